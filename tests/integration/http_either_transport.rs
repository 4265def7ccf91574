//! A `url` without `type`: the transport is found out, kept, and found again when the server has another.

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::fake_http::{FakeHttp, Says};
use crate::support::servers::{Running, script};
use crate::support::{Gateway, free_port, until};

fn untyped(port: u16, path: &str) -> Value {
    json!({ "url": format!("http://127.0.0.1:{port}{path}") })
}

/// A server of the older transport, with a log of its requests.
async fn legacy(port: u16, log: &str) -> Running {
    let (path, number) = (script("http_server.py"), port.to_string());
    Running::on_port(
        &["python3", path.to_str().unwrap(), "--port", &number, "--sse", "--log", log],
        &[],
        port,
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn streamable_http_is_found_by_its_first_request() {
    let server = FakeHttp::start(|_| None).await;
    let gateway = Gateway::serving(json!({ "s": untyped(server.port, "/mcp") })).start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.post("/s/t", &json!({})).await.ok(), "done");
    assert_eq!(gateway.server("s").await["transport"], "streamable-http");
    assert_eq!(server.times("initialize"), 1);
    assert!(!gateway.log().contains("legacy"), "nothing is warned of: {}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_older_transport_is_found_and_known_at_the_next_start() {
    let (port, state) = (free_port(), TempDir::new().unwrap());
    let log = state.path().join("requests");
    let _server = legacy(port, log.to_str().unwrap()).await;
    let start = || Gateway::serving(json!({ "s": untyped(port, "/sse") })).state(state.path()).start();
    let mut gateway = start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.post("/s/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
    assert_eq!(gateway.server("s").await["transport"], "sse");
    let paths = || -> Vec<String> {
        let requests = std::fs::read_to_string(&log).unwrap();
        let path = |line| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().to_owned();
        requests.lines().map(path).collect()
    };
    assert_eq!(paths()[0], "/sse", "the newer transport was tried first");
    assert!(gateway.stop().await.success());
    std::fs::write(&log, "").unwrap();
    let gateway = start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.post("/s/echo", &json!({ "value": 2 })).await.ok(), json!({ "value": 2 }));
    let paths = paths();
    assert!(paths.iter().all(|path| path.starts_with("/messages/")), "at once in the older one: {paths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_pins_the_transport_and_a_stranger_keeps_its_own_reason() {
    let server = FakeHttp::start(|_| Some(Says::new(404, "text/plain", "no MCP here"))).await;
    let mut pinned = server.entry();
    pinned["type"] = json!("sse");
    let servers = json!({ "pinned": pinned, "either": untyped(server.port, "/mcp") });
    let gateway = Gateway::serving(servers).start().await;
    for name in ["pinned", "either"] {
        let reason = gateway.in_state(name, "unavailable").await["reason"].to_string();
        assert!(reason.contains("404") && reason.contains("no MCP here"), "{name}: {reason}");
    }
    assert!(server.came().iter().all(|came| came.path == "/mcp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_the_newer_transport_meanwhile_is_found_anew() {
    let (port, state) = (free_port(), TempDir::new().unwrap());
    let log = state.path().join("requests");
    let mut server = legacy(port, log.to_str().unwrap()).await;
    let gateway = Gateway::serving(json!({ "s": untyped(port, "/mcp") })).start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.server("s").await["transport"], "sse");
    server.kill();
    let (path, number) = (script("http_server.py"), port.to_string());
    let _newer = Running::on_port(&["python3", path.to_str().unwrap(), "--port", &number], &[], port).await;
    until(Duration::from_secs(40), "the newer transport to be found", async || {
        let server = gateway.server("s").await;
        (server["state"] == "ready" && server["transport"] == "streamable-http").then_some(())
    })
    .await;
    assert_eq!(gateway.post("/s/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
}
