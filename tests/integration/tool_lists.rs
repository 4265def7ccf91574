//! Tool lists: all pages, changes while running, kept while a server is down and across restarts of the gateway.

use std::time::Duration;

use serde_json::json;

use crate::support::{Gateway, servers, until};

async fn offers(gateway: &Gateway, server: &str, tool: &str) -> bool {
    let document = gateway.get(&format!("/{server}/openapi.json")).await.ok();
    document["paths"].get(format!("/{tool}")).is_some()
}

#[tokio::test]
async fn every_page_of_a_long_list_is_read() {
    let gateway =
        Gateway::serving(json!({ "q": servers::quirk(&["pages", "many", "--paged"]) })).start().await;
    gateway.ready(&["q"]).await;
    let document = gateway.get("/q/openapi.json").await.ok();
    assert_eq!(document["paths"].as_object().unwrap().len(), 303);
    for tool in ["p1", "p3", "t000", "t299"] {
        assert_eq!(gateway.post(&format!("/q/{tool}"), &json!({})).await.ok()["tool"], tool);
    }
}

#[tokio::test]
async fn a_tool_that_is_added_later_is_offered_and_called() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["behave"]) })).start().await;
    gateway.ready(&["q"]).await;
    assert_eq!(gateway.post("/q/added0", &json!({ "z": "x" })).await.status, 404);
    let before = gateway.get("/openapi.json").await.header("etag").map(str::to_owned);
    gateway.post("/q/list_changed", &json!({})).await.ok();
    until(Duration::from_secs(10), "the added tool", async || {
        offers(&gateway, "q", "added0").await.then_some(())
    })
    .await;
    assert_eq!(gateway.post("/q/added0", &json!({ "z": "x" })).await.ok()["args"], json!({ "z": "x" }));
    assert_eq!(gateway.post("/q/added0", &json!({})).await.status, 422, "its schema counts");
    assert_ne!(gateway.get("/openapi.json").await.header("etag").map(str::to_owned), before);
}

#[tokio::test]
async fn a_new_list_after_a_restart_of_the_server_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let tools = folder.path().join("tools");
    std::fs::write(&tools, "early\n").unwrap();
    let config = json!({ "s": servers::scripted(&["--tools-file", tools.to_str().unwrap()]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["s"]).await;
    assert!(offers(&gateway, "s", "early").await);
    std::fs::write(&tools, "late\n").unwrap();
    gateway.post("/s/complain", &json!({})).await;
    until(Duration::from_secs(20), "the new list", async || {
        (offers(&gateway, "s", "late").await && !offers(&gateway, "s", "early").await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn tools_are_kept_across_restarts_of_the_gateway_while_their_server_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let fault = folder.path().join("fault");
    let options = ["--tools", "special", "--unless", fault.to_str().unwrap()];
    let config = json!({ "s": servers::scripted(&options) });
    let state = folder.path().join("state");
    let mut first = Gateway::serving(config.clone()).state(&state).start().await;
    first.ready(&["s"]).await;
    assert!(offers(&first, "s", "special").await);
    first.stop().await;
    std::fs::write(&fault, "").unwrap();
    let second = Gateway::serving(config.clone()).state(&state).start().await;
    second.in_state("s", "unavailable").await;
    assert!(offers(&second, "s", "special").await, "the tools of a known server are forgotten");
    assert_eq!(second.post("/s/special", &json!({})).await.status, 503);
    let fresh = Gateway::serving(config).start().await;
    fresh.in_state("s", "unavailable").await;
    assert!(!offers(&fresh, "s", "special").await, "another state directory knows nothing");
}

#[tokio::test]
async fn enabled_and_disabled_tools_shape_the_list() {
    let with = |key: &str, globs: &[&str]| {
        let mut server = servers::scripted(&["--tools", "special"]);
        server[key] = json!(globs);
        server
    };
    let config = json!({
        "without": with("disabledTools", &["pid"]),
        "older": with("disabled_tools", &["pid"]),
        "only": with("enabledTools", &["spec*"]),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["without", "older", "only"]).await;
    for server in ["without", "older", "only"] {
        assert!(!offers(&gateway, server, "pid").await, "{server}");
        assert_eq!(gateway.post(&format!("/{server}/pid"), &json!({})).await.status, 404, "{server}");
        gateway.post(&format!("/{server}/special"), &json!({})).await.ok();
    }
    assert!(offers(&gateway, "without", "echo").await && !offers(&gateway, "only", "echo").await);
}
