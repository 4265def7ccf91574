//! The status page and Swagger UI: a cookie opens what they read, and nothing else.

use serde_json::json;

use super::{config, servers};
use crate::status_page::browser::scene;
use crate::support::Gateway;

#[tokio::test]
async fn a_browser_signs_in_for_reading_alone_and_out_again() {
    let servers = servers().await;
    let mut config = config(&servers);
    config["strictAuth"] = json!(true);
    let gateway = Gateway::with(config.clone()).flag("--api-key", "key-of-ops").start().await;
    gateway.ready(&["one", "two"]).await;
    assert!(gateway.ask("GET", "/").send().await.text().contains("data-keys=\"sign-in\""));
    let open = |key: &str| gateway.ask("POST", "/oauth/page").json(&json!({ "key": key }));
    assert_eq!(open("wrong").send().await.status, 403);
    for site in ["cross-site", "same-site"] {
        assert_eq!(open("key-of-bob").header("Sec-Fetch-Site", site).send().await.status, 403, "{site}");
    }
    let signed_in = open("key-of-bob").header("Sec-Fetch-Site", "same-origin").send().await;
    let set = signed_in.header("set-cookie").unwrap();
    assert_eq!(signed_in.status, 204);
    assert!(
        set.starts_with("mcpo-page=") && set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"),
        "{set}"
    );
    let cookie = set.split(';').next().unwrap().to_owned();
    let with = |method: &str, path: &str| gateway.ask(method, path).header("Cookie", &cookie);

    let listed = with("GET", "/servers").send().await;
    assert_eq!(listed.ok()["servers"].as_array().unwrap().len(), 1, "the rights of the key");
    assert!(listed.headers.get_all("vary").iter().any(|value| value == "Cookie"));
    for path in ["/openapi.json", "/two/openapi.json", "/docs", "/two/docs", "/servers/two/tools"] {
        assert_eq!(with("GET", path).send().await.status, 200, "{path}");
        assert_eq!(gateway.ask("GET", path).send().await.status, 401, "{path}");
    }
    assert_eq!(with("GET", "/one/openapi.json").send().await.status, 404);
    let script = with("GET", "/docs/swagger-initializer.js").send().await.text();
    assert!(script.contains("two/openapi.json") && !script.contains("one/openapi.json"), "{script}");
    // Never for calls, by whatever door.
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for (path, body) in [
        ("/two/t", json!({})),
        ("/v1/tools/call", json!([])),
        ("/mcp", message.clone()),
        ("/two/mcp", message),
    ] {
        let refused = with("POST", path)
            .json(&body)
            .header("Accept", "application/json, text/event-stream")
            .send()
            .await;
        assert_eq!(refused.status, 401, "{path}");
    }
    assert_eq!(with("GET", "/v1/tools").send().await.status, 401);
    for site in ["cross-site", "same-site"] {
        assert_eq!(with("GET", "/servers").header("Sec-Fetch-Site", site).send().await.status, 401, "{site}");
    }
    // Credentials of the request itself go before it.
    assert_eq!(with("GET", "/servers").header("Authorization", "Bearer wrong").send().await.status, 403);
    let changed = format!("{cookie}A");
    assert_eq!(gateway.ask("GET", "/servers").header("Cookie", &changed).send().await.status, 401);
    let out = with("DELETE", "/oauth/page").send().await;
    assert!(out.header("set-cookie").unwrap().starts_with("mcpo-page=; Path=/; Max-Age=0;"));

    config["apiKeys"].as_object_mut().unwrap().remove("bob");
    gateway.reload(&config).await;
    assert_eq!(with("GET", "/servers").send().await.status, 401, "it ends with its key");
}

#[tokio::test]
async fn a_person_signs_in_at_the_page_and_reads_in_another_tab() {
    let servers = servers().await;
    let gateway = Gateway::with(config(&servers)).flag("--api-key", "key-of-ops").start().await;
    gateway.ready(&["one", "two"]).await;
    scene("page-sign-in", &gateway, &["--key", "key-of-bob"]).await;
}
