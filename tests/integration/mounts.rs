//! Where the gateway stands in the path space: under a prefix, behind a proxy's root path, or one server at the root.

use serde_json::{Value, json};

use crate::support::gateway::Setup;
use crate::support::{Gateway, servers, until};

fn two_servers() -> Setup {
    Gateway::serving(json!({ "s": servers::scripted(&[]), "odd": servers::quirk(&["name_docs"]) }))
}

/// One server alone, as `mcpo -- command` serves it.
async fn single(script: &str, arguments: &[&str]) -> Gateway {
    let script = servers::script(script).to_string_lossy().into_owned();
    let mut command = vec!["python3", &script];
    command.extend(arguments);
    let gateway = Gateway::bare().command(&command).start().await;
    until(
        std::time::Duration::from_secs(60),
        "the only server is ready and its tools are listed",
        async || {
            let servers = gateway.servers().await;
            let ready = servers.len() == 1 && servers[0]["state"] == "ready";
            (ready && servers[0]["tools"] != json!([])).then_some(())
        },
    )
    .await;
    gateway
}

/// What a client makes of a document: the address of every operation.
fn operations(document: &Value) -> Vec<String> {
    let base = document["servers"][0]["url"].as_str().unwrap_or_default().trim_end_matches('/');
    let paths = document["paths"].as_object().unwrap();
    paths.keys().map(|path| format!("{base}{path}")).collect()
}

/// Calls every operation that the harmless tools of a document have; gives their number.
async fn call_all(gateway: &Gateway, document: &Value) -> usize {
    let mut calls = 0;
    for path in operations(document) {
        if ["/wait", "/slow", "/progress", "/fork", "/complain", "/big"].iter().any(|end| path.ends_with(end))
        {
            continue;
        }
        let answer = gateway.post(&path, &json!({})).await;
        assert_eq!(answer.status, 200, "POST {path}: {}", answer.text());
        calls += 1;
    }
    calls
}

#[tokio::test]
async fn a_path_prefix_stands_before_every_server() {
    let gateway = two_servers().flag("--path-prefix", "/pre").start().await;
    gateway.listed(&["s", "odd"]).await;
    gateway.post("/pre/s/pid", &json!({})).await.ok();
    for path in ["/s/pid", "/pre/pid", "/pres/pid", "/pre/pre/s/pid"] {
        let answer = gateway.post(path, &json!({})).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    let document = gateway.get("/pre/s/openapi.json").await.ok();
    assert_eq!(document["servers"][0]["url"], "/pre/s");
    assert!(call_all(&gateway, &document).await >= 4);
    assert_eq!(gateway.get("/s/openapi.json").await.status, 404);
    assert_eq!(gateway.get("/pre/s/docs").await.status, 200);
    // What belongs to the whole gateway is at both places, and is the same.
    for path in ["/openapi.json", "/health", "/ready"] {
        let prefixed = gateway.get(&format!("/pre{path}")).await;
        assert_eq!((prefixed.status, prefixed.body), (200, gateway.get(path).await.body), "{path}");
    }
    let combined = gateway.get("/openapi.json").await.ok();
    assert!(operations(&combined).iter().all(|path| path.starts_with("/pre/")), "{combined}");
    assert!(call_all(&gateway, &combined).await >= 8);
}

#[tokio::test]
async fn a_root_path_is_told_to_clients_and_may_or_may_not_arrive() {
    let gateway = two_servers().flag("--root-path", "/api").start().await;
    gateway.listed(&["s", "odd"]).await;
    // A proxy may strip it or leave it.
    for path in ["/api/s/pid", "/s/pid"] {
        gateway.post(path, &json!({})).await.ok();
    }
    let document = gateway.get("/s/openapi.json").await;
    assert_eq!(document.ok()["servers"][0]["url"], "/api/s");
    assert_eq!(gateway.get("/api/s/openapi.json").await.body, document.body);
    assert!(call_all(&gateway, &document.ok()).await >= 4);
    let combined = gateway.get("/openapi.json").await;
    assert_eq!(gateway.get("/api/openapi.json").await.body, combined.body);
    assert!(operations(&combined.ok()).iter().all(|path| path.starts_with("/api/")), "{}", combined.text());
    assert!(call_all(&gateway, &combined.ok()).await >= 8);
    for path in ["/api/docs", "/docs", "/api/health", "/api/s/docs"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
    assert_eq!(gateway.post("/apis/pid", &json!({})).await.status, 404);
}

#[tokio::test]
async fn root_path_and_prefix_go_together() {
    let gateway = two_servers().flag("--root-path", "/api").flag("--path-prefix", "/pre").start().await;
    gateway.listed(&["s", "odd"]).await;
    for path in ["/api/pre/s/pid", "/pre/s/pid"] {
        gateway.post(path, &json!({})).await.ok();
    }
    for path in ["/pre/api/s/pid", "/api/s/pid", "/s/pid"] {
        assert_eq!(gateway.post(path, &json!({})).await.status, 404, "{path}");
    }
    let document = gateway.get("/api/pre/s/openapi.json").await.ok();
    assert_eq!(document["servers"][0]["url"], "/api/pre/s");
    assert!(call_all(&gateway, &gateway.get("/openapi.json").await.ok()).await >= 8);
}

#[tokio::test]
async fn a_single_server_has_its_tools_at_the_root() {
    let gateway = single("scripted_server.py", &[]).await;
    let document = gateway.get("/openapi.json").await.ok();
    assert!(document.get("servers").is_none(), "{document}");
    assert!(document["paths"].get("/echo").is_some(), "{document}");
    assert!(call_all(&gateway, &document).await >= 4);
    let name = gateway.servers().await[0]["name"].as_str().unwrap().to_owned();
    for path in [format!("/{name}/echo"), "/missing".to_owned(), "/echo/more".to_owned()] {
        let answer = gateway.post(&path, &json!({})).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    let wrong = gateway.get("/echo").await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    for path in ["/docs", "/health", "/ready", "/servers"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
}

/// Serves the group alone and calls all of its `count` tools at the addresses that the document gives.
async fn single_group_answers(group: &str, count: usize) {
    let gateway = single("quirk_server.py", &[group]).await;
    let document = gateway.get("/openapi.json").await.ok();
    assert_eq!(operations(&document).len(), count, "{document}");
    assert_eq!(call_all(&gateway, &document).await, count);
    // The pages stay where they are.
    assert_eq!(gateway.get("/docs").await.status, 200);
    assert_eq!(gateway.get("/redoc").await.status, 307);
}

#[tokio::test]
async fn a_single_servers_tools_may_be_called_like_the_gateways_pages() {
    single_group_answers("name_docs", 4).await;
}

#[tokio::test]
async fn a_single_servers_tool_may_have_an_empty_name() {
    single_group_answers("name_empty", 2).await;
}

#[tokio::test]
async fn a_single_servers_tools_may_have_odd_names() {
    single_group_answers("names_odd", 8).await;
}
