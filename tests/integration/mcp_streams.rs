//! The MCP endpoints beside plain answers: streams, cancellation, and clients that vanish.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::mcp::{Events, Session, request, stateless};
use crate::support::{Gateway, servers, until};

const CHANGED: &str = r#""method":"notifications/tools/list_changed""#;

/// The messages in a scripted server's log that have the method.
fn messages(log: &Path, method: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.map(|entry| entry["message"].clone()).filter(|message| message["method"] == method).collect()
}

async fn at_the_server(log: &Path, method: &str) -> Value {
    until(Duration::from_secs(20), &format!("{method} at the server"), async || {
        messages(log, method).into_iter().next()
    })
    .await
}

fn configuration(tools: &str) -> Value {
    json!({ "mcpServers": { "s": servers::scripted(&["--tools", tools]), "other": servers::scripted(&[]) } })
}

#[tokio::test]
async fn a_session_hears_of_changed_tools_across_reloads_and_of_nothing_else() {
    let gateway = Gateway::with(configuration("one")).start().await;
    gateway.ready(&["s", "other"]).await;
    let (here, all, other) = (
        Session::open(&gateway, "/s/mcp").await,
        Session::open(&gateway, "/mcp").await,
        Session::open(&gateway, "/other/mcp").await,
    );
    let mut streams = [
        here.stream(&gateway, "/s/mcp").await,
        all.stream(&gateway, "/mcp").await,
        other.stream(&gateway, "/other/mcp").await,
    ];
    for stream in &mut streams {
        assert!(stream.until("\r\n\r\n").await.to_lowercase().contains("content-type: text/event-stream"));
    }
    assert!(here.tools().await.contains(&"one".to_owned()));
    gateway.rewrite(&configuration("two").to_string());
    gateway.hang_up();
    for stream in &mut streams[..2] {
        stream.until(CHANGED).await;
    }
    assert!(here.tools().await.contains(&"two".to_owned()));
    assert!(all.tools().await.contains(&"s_two".to_owned()));
    assert!(!streams[2].text.contains(CHANGED));
    // Ending the session closes its stream.
    let delete = gateway.ask("DELETE", "/other/mcp").header("Mcp-Session-Id", &other.id).send().await;
    assert_eq!(delete.status, 204);
    assert!(!streams[2].end().await.contains(CHANGED));
}

#[tokio::test]
async fn a_stream_does_not_hold_up_the_end_of_the_gateway() {
    let mut gateway = Gateway::with(configuration("one")).start().await;
    gateway.ready(&["s"]).await;
    let session = Session::open(&gateway, "/s/mcp").await;
    let mut stream = session.stream(&gateway, "/s/mcp").await;
    stream.until("\r\n\r\n").await;
    assert!(gateway.stop().await.success());
    stream.end().await;
    assert!(!gateway.log().contains("cut"), "{}", gateway.log());
}

#[tokio::test]
async fn a_stream_ends_when_its_key_is_taken_away() {
    let keyed = |keys: Value| {
        let mut config = configuration("one");
        config["apiKeys"] = keys;
        config
    };
    let gateway = Gateway::with(keyed(json!({ "a": "key-a", "b": "key-b" }))).start().await;
    let ask = gateway.ask("POST", "/s/mcp").header("Authorization", "Bearer key-a");
    let session = Session::open_with(ask).await;
    let head = format!("Authorization: Bearer key-a\r\nMcp-Session-Id: {}\r\n", session.id);
    let mut stream = Events::open(&gateway, "GET", "/s/mcp", &head, "").await;
    stream.until("\r\n\r\n").await;
    gateway.rewrite(&keyed(json!({ "b": "key-b" })).to_string());
    gateway.hang_up();
    stream.end().await;
}

#[tokio::test]
async fn a_listener_of_the_stateless_era_is_acknowledged_told_and_dismissed() {
    let mut gateway = Gateway::with(configuration("one")).start().await;
    gateway.ready(&["s", "other"]).await;
    let body = json!({
        "jsonrpc": "2.0", "id": "listen-1", "method": "subscriptions/listen",
        "params": {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
            "notifications": { "toolsListChanged": true, "promptsListChanged": true },
        },
    });
    let head = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
    let mut stream = Events::open(&gateway, "POST", "/mcp", head, &body.to_string()).await;
    let text = stream.until("notifications/subscriptions/acknowledged").await;
    assert!(text.to_lowercase().contains("x-accel-buffering: no"), "{text}");
    let text = stream.until("\n\n").await;
    // Only what is honoured is acknowledged.
    assert!(text.contains(r#""notifications":{"toolsListChanged":true}"#), "{text}");
    assert!(text.contains(r#""io.modelcontextprotocol/subscriptionId":"listen-1""#), "{text}");
    gateway.rewrite(&configuration("two").to_string());
    gateway.hang_up();
    stream.until(CHANGED).await;
    assert!(gateway.stop().await.success());
    let text = stream.end().await;
    assert!(text.contains(r#""id":"listen-1","result":{"resultType":"complete""#), "{text}");
}

#[tokio::test]
async fn a_cancelled_request_is_cancelled_at_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = servers::scripted(&["--log", log.to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "s": server })).start().await;
    let session = Session::open(&gateway, "/s/mcp").await;
    let waiting = session.clone();
    let call = tokio::spawn(async move { waiting.answer("tools/call", &json!({ "name": "wait" })).await });
    let request = at_the_server(&log, "tools/call").await;
    assert_eq!(session.notify("notifications/cancelled", &json!({ "requestId": 2 })).await, 202);
    assert!(messages(&log, "notifications/cancelled").is_empty(), "another request was named");
    assert_eq!(session.notify("notifications/cancelled", &json!({ "requestId": 1 })).await, 202);
    let cancelled = at_the_server(&log, "notifications/cancelled").await;
    assert_eq!(cancelled["params"]["requestId"], request["id"]);
    assert_eq!(call.await.unwrap().status, 202);
}

#[tokio::test]
async fn the_call_of_a_client_that_vanishes_is_cancelled_in_either_era() {
    for era in ["sessions", "stateless"] {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let server = servers::scripted(&["--log", log.to_str().unwrap()]);
        let gateway = Gateway::serving(json!({ "s": server })).start().await;
        gateway.ready(&["s"]).await;
        let session = Session::open(&gateway, "/s/mcp").await;
        let ask = gateway.ask("POST", "/s/mcp");
        let ask = match era {
            "sessions" => ask
                .header("Mcp-Session-Id", &session.id)
                .json(&request("tools/call", &json!({ "name": "wait" }))),
            _ => stateless(ask, "tools/call", &json!({ "name": "wait" })),
        };
        let call = tokio::spawn(ask.send());
        let sent = at_the_server(&log, "tools/call").await;
        call.abort();
        let cancelled = at_the_server(&log, "notifications/cancelled").await;
        assert_eq!(cancelled["params"]["requestId"], sent["id"], "{era}");
        gateway.logged("s/wait cancelled").await;
    }
}
