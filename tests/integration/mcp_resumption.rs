//! Answers of sessions whose connection breaks: the work goes on, and the client hears the rest of it, once.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::conformance::Upstream;
use crate::support::mcp::{Events, Session, introduction, request};
use crate::support::{Gateway, provisioned, servers, until};

/// How long the work goes on for nobody.
const GRACE: Duration = Duration::from_secs(10);

/// The events with an id in a response, with their data, which may be empty.
fn events(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(id) = line.strip_prefix("id: ") {
            found.push((id.to_owned(), String::new()));
        } else if let (Some(data), Some((_, last))) = (line.strip_prefix("data: "), found.last_mut()) {
            data.clone_into(last);
        }
    }
    found
}

fn messages(events: &[(String, String)]) -> Vec<Value> {
    let said = events.iter().filter(|(_, data)| !data.is_empty());
    said.map(|(_, data)| serde_json::from_str(data).unwrap()).collect()
}

/// Calls a tool with a name for its progress, on a connection of its own.
async fn call(gateway: &Gateway, session: &Session, tool: &str, arguments: Value) -> Events {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": "mine" } });
    let head = format!(
        "Mcp-Session-Id: {}\r\nMCP-Protocol-Version: 2025-11-25\r\nAccept: application/json, text/event-stream\r\n",
        session.id
    );
    Events::open(gateway, "POST", "/s/mcp", &head, &request("tools/call", &params).to_string()).await
}

async fn resume(gateway: &Gateway, session: &Session, id: &str) -> Events {
    let head =
        format!("Mcp-Session-Id: {}\r\nAccept: text/event-stream\r\nLast-Event-ID: {id}\r\n", session.id);
    Events::open(gateway, "GET", "/s/mcp", &head, "").await
}

async fn is_refused(gateway: &Gateway, session: &Session, id: &str) {
    let mut refused = resume(gateway, session, id).await;
    let text = refused.until("`Last-Event-ID` names no event").await;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
}

/// A gateway in front of a server that notes what it hears, with a session.
async fn gateway(log: &Path) -> (Gateway, Session) {
    let server = servers::scripted(&["--log", log.to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "s": server })).start().await;
    gateway.ready(&["s"]).await;
    let session = Session::open(&gateway, "/s/mcp").await;
    (gateway, session)
}

/// Waits until a call has reached the server.
async fn called(log: &Path) {
    let text = || std::fs::read_to_string(log).unwrap_or_default();
    until(GRACE * 3, "the call at the server", async || text().contains("tools/call").then_some(())).await;
}

fn is_cancelled(log: &Path) -> bool {
    std::fs::read_to_string(log).unwrap_or_default().contains("notifications/cancelled")
}

async fn cancelled(log: &Path) {
    until(GRACE * 3, "the cancellation at the server", async || is_cancelled(log).then_some(())).await;
}

#[tokio::test]
async fn a_client_whose_connection_broke_hears_every_event_once() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, session) = gateway(&folder.path().join("log")).await;
    let mut first = call(&gateway, &session, "progress", json!({ "steps": 8, "seconds": 0.2 })).await;
    let head = first.until("\"progress\": 2}}\n\n").await;
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    assert!(head.to_lowercase().contains("x-accel-buffering: no"), "{head}");
    let mut heard = events(&first.text);
    let (id, data) = &heard[0];
    assert!(data.is_empty() && first.text.contains(&format!("id: {id}\nretry: ")), "{}", first.text);
    drop(first);

    // What came while nobody listened is heard too.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let last = heard.last().unwrap().0.clone();
    let mut second = resume(&gateway, &session, &last).await;
    second.until("\"progress\": 6}}\n\n").await;
    // The client takes its first connection for dead before the gateway does: the later one is the one that is served.
    let last = events(&second.text).last().unwrap().0.clone();
    let mut third = resume(&gateway, &session, &last).await;
    second.end().await;
    heard.extend(events(&second.text));
    third.end().await;
    let rest = events(&third.text);
    heard.extend(rest.iter().filter(|event| !heard.contains(event)).cloned().collect::<Vec<_>>());

    let messages = messages(&heard);
    let progress: Vec<_> =
        messages.iter().filter_map(|message| message["params"]["progress"].as_u64()).collect();
    assert_eq!(progress, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(messages.len(), 9, "{messages:?}");
    assert!(messages[..8].iter().all(|message| message["params"]["progressToken"] == "mine"));
    assert_eq!(messages[8]["result"]["content"][0]["text"], "done");
    let mut ids: Vec<_> = heard.iter().map(|(id, _)| id.clone()).collect();
    ids.dedup();
    assert_eq!(ids.len(), heard.len(), "{ids:?}");

    // An answer that is over can be heard again, from wherever the client stopped.
    let mut again = resume(&gateway, &session, &heard[7].0).await;
    assert_eq!(events(again.end().await), heard[8..]);
}

#[tokio::test]
async fn a_call_whose_client_does_not_come_back_is_cancelled_after_a_while_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (gateway, session) = gateway(&log).await;
    let mut stream = call(&gateway, &session, "wait", json!({})).await;
    stream.until("data: \n\n").await;
    let id = events(&stream.text)[0].0.clone();
    let broke = Instant::now();
    drop(stream);
    // Whoever comes back in time starts the clock again.
    tokio::time::sleep(GRACE / 2).await;
    let stream = resume(&gateway, &session, &id).await;
    tokio::time::sleep(GRACE / 4).await;
    drop(stream);
    cancelled(&log).await;
    assert!(broke.elapsed() > GRACE * 3 / 2, "{:?}", broke.elapsed());
    gateway.logged("s/wait cancelled").await;
    is_refused(&gateway, &session, &id).await;
}

#[tokio::test]
async fn a_cancellation_ends_a_call_whose_client_is_away_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (gateway, session) = gateway(&log).await;
    let mut stream = call(&gateway, &session, "wait", json!({})).await;
    stream.until("data: \n\n").await;
    let id = events(&stream.text)[0].0.clone();
    drop(stream);
    let left = Instant::now();
    assert_eq!(session.notify("notifications/cancelled", &json!({ "requestId": 1 })).await, 202);
    cancelled(&log).await;
    assert!(left.elapsed() < GRACE / 2, "{:?}", left.elapsed());
    is_refused(&gateway, &session, &id).await;
}

#[tokio::test]
async fn a_session_that_ends_ends_the_calls_that_nobody_listens_to() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (gateway, session) = gateway(&log).await;
    let mut stream = call(&gateway, &session, "wait", json!({})).await;
    stream.until("data: \n\n").await;
    drop(stream);
    let left = Instant::now();
    let delete = gateway.ask("DELETE", "/s/mcp").header("Mcp-Session-Id", &session.id).send().await;
    assert_eq!(delete.status, 204);
    cancelled(&log).await;
    assert!(left.elapsed() < GRACE / 2, "{:?}", left.elapsed());
}

#[tokio::test]
async fn a_call_that_nobody_listens_to_does_not_hold_up_the_end_of_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (mut gateway, session) = gateway(&log).await;
    let mut stream = call(&gateway, &session, "wait", json!({})).await;
    stream.until("data: \n\n").await;
    called(&log).await;
    drop(stream);
    let left = Instant::now();
    assert!(gateway.stop().await.success());
    assert!(left.elapsed() < GRACE / 2, "{:?}", left.elapsed());
    assert!(is_cancelled(&log), "the server was not told");
}

#[tokio::test]
async fn an_event_of_another_session_is_none_here() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, mine) = gateway(&folder.path().join("log")).await;
    let other = Session::open(&gateway, "/s/mcp").await;
    let mut ids = Vec::new();
    for session in [&mine, &other] {
        let mut stream = call(&gateway, session, "progress", json!({ "steps": 2, "seconds": 0.1 })).await;
        ids.push(events(stream.end().await)[0].0.clone());
    }
    is_refused(&gateway, &mine, &ids[1]).await;
    is_refused(&gateway, &other, &ids[0]).await;
    let (stream, _) = ids[0].split_once('-').unwrap();
    for wrong in ["nonsense", "-", "1-1", &format!("{stream}-4"), &format!("{stream}--1")] {
        is_refused(&gateway, &mine, wrong).await;
    }
    let mut again = resume(&gateway, &mine, &ids[0]).await;
    assert_eq!(messages(&events(again.end().await)).len(), 3);
}

#[tokio::test]
async fn an_older_revision_gets_no_event_that_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, _) = gateway(&folder.path().join("log")).await;
    let session = Session::introduced(gateway.ask("POST", "/s/mcp"), &introduction("2025-06-18")).await;
    let mut stream = call(&gateway, &session, "slow", json!({ "seconds": 0.3 })).await;
    let text = stream.until("slept").await.to_lowercase();
    assert!(text.contains("content-type: application/json"), "{text}");
    let mut stream = call(&gateway, &session, "progress", json!({ "steps": 2, "seconds": 0.1 })).await;
    let events = events(stream.end().await);
    assert_eq!(messages(&events).len(), 3);
    assert_eq!(events.len(), 3, "{events:?}");
}

#[tokio::test]
async fn a_server_that_lets_its_client_poll_lets_ours_poll_and_the_sdk_does() {
    let (Some(python), Some(upstream)) = (provisioned::python(), Upstream::start("legacy")) else { return };
    let server = json!({ "type": "streamable-http", "url": upstream.url });
    let gateway = Gateway::serving(json!({ "s": server })).start().await;
    gateway.ready(&["s"]).await;
    let session = Session::open(&gateway, "/s/mcp").await;
    let mut first = call(&gateway, &session, "test_reconnection", json!({})).await;
    let before = events(first.end().await);
    assert!(messages(&before).is_empty(), "{before:?}");
    let mut rest = resume(&gateway, &session, &before.last().unwrap().0).await;
    let after = messages(&events(rest.end().await));
    assert_eq!(after.len(), 1, "{after:?}");
    let told = &after[0]["result"]["content"][0]["text"];
    assert_eq!(told, "Reconnection test completed successfully.");

    let mut command = Command::new(python);
    let url = format!("http://{}/s/mcp", gateway.address);
    command.arg(provisioned::root().join("tests/clients/mcp_sdk_polls.py")).args([&url, "test_reconnection"]);
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.trim(), told.as_str().unwrap(), "{complaint}");
    assert!(complaint.contains("Reconnected to SSE stream"), "{complaint}");
}
