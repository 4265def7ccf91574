//! Manifests for LobeChat: their type to the letter, and addresses that lead to a document.

use serde_json::{Value, json};

use super::{ADMIN, LIMITED, get, keyed};
use crate::support::{Gateway, servers};

/// What a manifest must hold for LobeChat, which refuses it otherwise; gives the document's address.
fn document_of(manifest: &Value) -> String {
    assert!(manifest["identifier"].as_str().is_some_and(|text| text.is_ascii()), "{manifest}");
    assert_eq!((&manifest["api"], &manifest["type"]), (&json!([]), &json!("default")), "{manifest}");
    for text in ["title", "description", "avatar"] {
        assert!(manifest["meta"][text].as_str().is_some_and(|text| !text.is_empty()), "{manifest}");
    }
    manifest["openapi"].as_str().unwrap_or_else(|| panic!("no document: {manifest}")).to_owned()
}

#[tokio::test]
async fn each_server_and_all_together_have_a_manifest_whose_document_is_there() {
    let config = json!({ "s": servers::scripted(&[]), "a b/c": servers::scripted(&[]) });
    let gateway = Gateway::serving(config).flag("--path-prefix", "/pre").start().await;
    gateway.listed(&["s", "a b/c"]).await;
    let origin = format!("http://{}", gateway.address);
    let mut identifiers = Vec::new();
    for (path, document) in [
        ("/servers/s/lobechat.json", "/pre/s/openapi.json"),
        ("/servers/a%20b%2Fc/lobechat.json", "/pre/a%20b%2Fc/openapi.json"),
        ("/servers/lobechat.json", "/pre/openapi.json"),
        ("/pre/servers/lobechat.json", "/pre/openapi.json"),
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        let manifest = answer.ok();
        let address = document_of(&manifest);
        assert_eq!(address, format!("{origin}{document}"), "{path}");
        let document = gateway.get(address.strip_prefix(&origin).unwrap()).await.ok();
        assert!(!document["paths"].as_object().unwrap().is_empty(), "{path}");
        identifiers.push(manifest["identifier"].clone());
    }
    assert_eq!(identifiers, ["mcpo-s", "mcpo-a%20b%2Fc", "mcpo", "mcpo"]);
    assert_eq!(gateway.get("/servers/missing/lobechat.json").await.status, 404);
}

#[tokio::test]
async fn addresses_begin_with_the_public_one_or_with_the_host_that_was_asked() {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]) },
        "publicUrl": "https://tools.example.org/gateway/",
    });
    let gateway = Gateway::with(config).start().await;
    let manifest = gateway.get("/servers/s/lobechat.json").await.ok();
    assert_eq!(document_of(&manifest), "https://tools.example.org/gateway/s/openapi.json");
    let about = gateway.get("/servers").await.ok()["gateway"].clone();
    assert_eq!(about["publicUrl"], "https://tools.example.org/gateway/");

    let gateway =
        Gateway::serving(json!({ "s": servers::scripted(&[]) })).flag("--root-path", "/api").start().await;
    let ask = gateway.ask("GET", "/servers/s/lobechat.json").header("Host", "localhost:81");
    assert_eq!(document_of(&ask.send().await.ok()), "http://localhost:81/api/s/openapi.json");
    let foreign = gateway.ask("GET", "/servers/s/lobechat.json").header("Host", "evil.example");
    assert_eq!(foreign.send().await.status, 421);
}

#[tokio::test]
async fn a_manifest_is_as_open_as_the_document_it_names() {
    let gateway = keyed().await;
    for path in ["/servers/lobechat.json", "/servers/a/lobechat.json", "/servers/b/lobechat.json"] {
        assert_eq!(gateway.ask("GET", path).send().await.status, 401, "{path}");
        assert_eq!(get(&gateway, ADMIN, path).await.status, 200, "{path}");
    }
    assert_eq!(get(&gateway, LIMITED, "/servers/a/lobechat.json").await.status, 200);
    assert_eq!(get(&gateway, LIMITED, "/servers/b/lobechat.json").await.status, 404);
    let open = Gateway::serving(json!({ "s": servers::scripted(&[]) })).flag("--api-key", "k").start().await;
    assert_eq!(open.ask("GET", "/servers/s/lobechat.json").send().await.status, 200);
    assert_eq!(open.ask("GET", "/s/openapi.json").send().await.status, 200);
}
