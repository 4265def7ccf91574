//! Other names and descriptions for single tools: on every face, while the server hears its own name.

use std::time::Duration;

use serde_json::{Value, json};

use super::openai_form::shop;
use crate::support::mcp::Session;
use crate::support::operator::mcpo;
use crate::support::{Gateway, until};

fn with(tools: &Value) -> Option<Value> {
    let mut entry = shop("1")?;
    entry["tools"] = tools.clone();
    Some(json!({ "mcpServers": { "shop": entry } }))
}

#[tokio::test]
async fn every_face_shows_the_operators_words_and_calls_go_out_under_the_servers_own_name() {
    let tools = json!({ "find": { "name": "look up", "description": "Looks articles up.", "title": "Look" }, "old": { "name": "docs" } });
    let Some(config) = with(&tools) else { return };
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["shop"]).await;
    assert_eq!(
        gateway.server("shop").await["tools"],
        json!(["look up", "order", "docs_", "prices", "picture", "fail"])
    );

    let document = gateway.get("/shop/openapi.json").await.ok();
    let operation = &document["paths"]["/look%20up"]["post"];
    assert_eq!(operation["description"], "Looks articles up.", "{document}");
    assert!(document["paths"]["/find"].is_null());
    assert_eq!(gateway.post("/shop/look%20up", &json!({ "text": "a" })).await.ok(), "a 10 None");
    assert_eq!(gateway.post("/shop/find", &json!({ "text": "a" })).await.status, 404);
    assert_eq!(gateway.post("/shop/docs_", &json!({})).await.ok(), "old");

    for (path, name) in [("/shop/mcp", "look up"), ("/mcp", "")] {
        let session = Session::open(&gateway, path).await;
        let list = session.result("tools/list", &json!({})).await;
        let tool = list["tools"].as_array().unwrap().iter().find(|tool| tool["title"] == "Look").unwrap();
        assert_eq!(tool["description"], "Looks articles up.");
        assert!(name.is_empty() || tool["name"] == name, "{tool}");
        let call = json!({ "name": tool["name"], "arguments": { "text": "b" } });
        assert_eq!(session.result("tools/call", &call).await["content"][0]["text"], "b 10 None");
        let own = session.error("tools/call", &json!({ "name": "find", "arguments": { "text": "b" } })).await;
        assert_eq!(own["code"], -32602);
    }

    let list = gateway.get("/v1/tools").await.ok();
    let function = &list[0]["function"];
    assert_eq!(function["description"], "Looks articles up.");
    let name = function["name"].as_str().unwrap();
    assert!(name.starts_with("shop_look_up"), "{name}");
    let call = json!([{ "id": "c", "function": { "name": name, "arguments": "{\"text\": \"c\"}" } }]);
    assert_eq!(gateway.post("/v1/tools/call", &call).await.ok()[0]["content"], "c 10 None");
}

#[tokio::test]
async fn a_changed_override_counts_at_a_reload_and_an_idle_one_is_told() {
    let Some(config) = with(&json!({ "fnd": { "name": "look" }, "order": { "name": "prices" } })) else {
        return;
    };
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["shop"]).await;
    gateway.logged("the override of `fnd` is for no tool of the server; did you mean `find`?").await;
    gateway.logged("`prices` would be named `prices` as `order` is; the first is served").await;
    let changed = with(&json!({ "find": { "description": "Other words." } })).unwrap();
    gateway.reload(&changed).await;
    until(Duration::from_secs(20), "the new words", async || {
        let document = gateway.get("/shop/openapi.json").await.ok();
        (document["paths"]["/find"]["post"]["description"] == "Other words.").then_some(())
    })
    .await;
    assert_eq!(gateway.post("/shop/order", &json!({ "order": { "lines": [] } })).await.status, 200);
    gateway.logged("~ shop: new rules, its connection stays (tools)").await;
}

#[tokio::test]
async fn a_lock_holds_the_servers_own_text_whatever_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let lock = folder.path().join("tools.lock");
    let mut texts = Vec::new();
    for tools in [json!({}), json!({ "find": { "name": "look", "description": "Other words." } })] {
        let Some(config) = with(&tools) else { return };
        std::fs::write(&file, config.to_string()).unwrap();
        let done =
            mcpo(&["lock", "--config", file.to_str().unwrap(), "--file", lock.to_str().unwrap()]).await;
        assert_eq!(done.code, Some(0), "{}", done.err);
        texts.push(std::fs::read_to_string(&lock).unwrap());
    }
    assert_eq!(texts[0], texts[1]);
    assert!(texts[0].contains("Finds articles."));
}
