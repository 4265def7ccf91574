//! Streamable HTTP servers: restarts, lost sessions, both forms of answers, headers with secrets.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::servers::{Running, script};
use crate::support::{Ask, Gateway, free_port, provisioned, until};

fn entry(port: u16) -> Value {
    json!({ "type": "streamable-http", "url": format!("http://127.0.0.1:{port}/mcp") })
}

async fn scripted(port: u16, options: &[&str]) -> Running {
    let (path, number) = (script("http_server.py"), port.to_string());
    let mut command = vec!["python3", path.to_str().unwrap(), "--port", &number];
    command.extend(options);
    Running::on_port(&command, &[], port).await
}

/// Calls until an answer is 200; a server that comes back may take its time.
async fn answers_again(gateway: &Gateway, path: &str, body: &Value) -> Value {
    until(Duration::from_secs(40), &format!("{path} to answer again"), async || {
        let answer = gateway.post(path, body).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let port = free_port();
    let mut server = scripted(port, &[]).await;
    let gateway = Gateway::serving(json!({ "h": entry(port) })).start().await;
    gateway.ready(&["h"]).await;
    let before = gateway.post("/h/pid", &json!({})).await.ok();
    server.restart(port).await;
    // The first call already finds the new process: nothing was sent to the old one.
    let after = gateway.post("/h/pid", &json!({})).await;
    assert_eq!(after.status, 200, "{}", after.text());
    assert_ne!(after.json(), before);
    server.kill();
    let down = gateway.post("/h/pid", &json!({})).await;
    assert!([502, 503].contains(&down.status), "{} {}", down.status, down.text());
    server.restart(port).await;
    answers_again(&gateway, "/h/pid", &json!({})).await;
}

#[tokio::test]
async fn a_lost_session_costs_no_call() {
    let port = free_port();
    let _server = scripted(port, &["--events"]).await;
    let gateway = Gateway::serving(json!({ "h": entry(port) })).start().await;
    gateway.ready(&["h"]).await;
    for round in 0..3 {
        let forget = Ask::new(([127, 0, 0, 1], port).into(), "POST", "/forget").send().await;
        assert_eq!(forget.status, 200);
        let answer = gateway.post("/h/echo", &json!({ "value": round })).await;
        assert_eq!(answer.ok(), json!({ "value": round }));
    }
}

#[tokio::test]
async fn a_secret_header_reaches_the_server_and_nobody_else() {
    let port = free_port();
    let _server = scripted(port, &["--token", "sesame-of-the-server"]).await;
    let mut good = entry(port);
    good["headers"] = json!({ "Authorization": "Bearer ${env:SERVER_TOKEN}" });
    let gateway = Gateway::serving(json!({ "good": good, "bad": entry(port) }))
        .environment("SERVER_TOKEN", "sesame-of-the-server")
        .start()
        .await;
    gateway.ready(&["good"]).await;
    assert_eq!(gateway.post("/good/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
    let bad = gateway.in_state("bad", "unavailable").await;
    assert!(bad["reason"].to_string().contains("401"), "{bad}");
    for text in
        [gateway.log(), gateway.get("/servers").await.text(), gateway.get("/openapi.json").await.text()]
    {
        assert!(!text.contains("sesame"), "the secret leaked: {text}");
    }
}

#[tokio::test]
async fn the_official_python_sdk_is_served_and_survives_a_restart() {
    let Some(python) = provisioned::python() else { return };
    let port = free_port();
    let (path, number) = (script("sdk_server.py"), port.to_string());
    let command = [python.to_str().unwrap(), path.to_str().unwrap(), &number];
    let mut server = Running::on_port(&command, &[], port).await;
    let gateway = Gateway::serving(json!({ "sdk": entry(port) })).start().await;
    gateway.ready(&["sdk"]).await;
    let sum = json!({ "a": 2, "b": 3 });
    assert_eq!(gateway.post("/sdk/add", &sum).await.ok(), 5);
    server.restart(port).await;
    assert_eq!(answers_again(&gateway, "/sdk/add", &sum).await, 5);
}

#[tokio::test]
async fn the_everything_server_is_served_over_http_and_survives_a_restart() {
    let Some(command) = provisioned::node("mcp-server-everything") else { return };
    let port = free_port();
    let environment = [("PORT", port.to_string())];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let command = [command.to_str().unwrap(), "streamableHttp"];
    let mut server = Running::on_port(&command, &environment, port).await;
    let gateway = Gateway::serving(json!({ "e": entry(port) })).start().await;
    gateway.ready(&["e"]).await;
    let body = json!({ "message": "x" });
    assert_eq!(gateway.post("/e/echo", &body).await.ok(), "Echo: x");
    // It answers a lost session with 400 instead of 404, so the first call may fail; a later one may not.
    server.restart(port).await;
    assert_eq!(answers_again(&gateway, "/e/echo", &body).await, "Echo: x");
}
