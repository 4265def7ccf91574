//! Deadlines, and calls whose caller has left.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::{Gateway, servers, until};

/// The messages in a scripted server's log that have the method.
fn messages(log: &Path, method: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.map(|entry| entry["message"].clone()).filter(|message| message["method"] == method).collect()
}

async fn cancelled(log: &Path) -> Value {
    until(Duration::from_secs(20), "notifications/cancelled at the server", async || {
        messages(log, "notifications/cancelled").into_iter().next()
    })
    .await
}

fn called(log: &Path) -> Option<Value> {
    messages(log, "tools/call").into_iter().find(|call| call["params"]["name"] == "wait")
}

#[tokio::test]
async fn the_server_is_told_when_the_caller_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let gateway =
        Gateway::serving(json!({ "s": servers::scripted(&["--log", log.to_str().unwrap()]) })).start().await;
    gateway.ready(&["s"]).await;
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let request = "POST /s/wait HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                   Content-Length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    let call = until(Duration::from_secs(20), "the call at the server", async || called(&log)).await;
    assert!(messages(&log, "notifications/cancelled").is_empty(), "cancelled while the caller waits");
    drop(stream);
    let notice = cancelled(&log).await;
    assert_eq!(notice["params"]["requestId"], call["id"]);
    gateway.post("/s/pid", &json!({})).await.ok();
}

#[tokio::test]
async fn a_call_past_its_deadline_is_given_up_with_504_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = servers::scripted(&["--log", log.to_str().unwrap()]);
    server["timeout"] = json!(1);
    let gateway = Gateway::serving(json!({ "s": server })).start().await;
    gateway.ready(&["s"]).await;
    let start = Instant::now();
    let answer = gateway.post("/s/wait", &json!({})).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(answer.json()["detail"].is_string() || answer.json()["detail"]["message"].is_string());
    let took = start.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_secs(8), "{took:?}");
    let call = called(&log).expect("the server saw the call");
    assert_eq!(cancelled(&log).await["params"]["requestId"], call["id"]);
    assert_eq!(gateway.post("/s/slow", &json!({ "seconds": 0.2 })).await.ok(), "slept");
}

#[tokio::test]
async fn progress_extends_the_deadline_and_its_absence_does_not() {
    let mut server = servers::scripted(&[]);
    server["timeout"] = json!(1);
    let gateway = Gateway::serving(json!({ "s": server })).start().await;
    gateway.ready(&["s"]).await;
    let steady = gateway.post("/s/progress", &json!({ "seconds": 0.5, "steps": 5 })).await;
    assert_eq!(steady.ok(), "done");
    assert_eq!(gateway.post("/s/slow", &json!({ "seconds": 2.5 })).await.status, 504);
}

#[tokio::test]
async fn a_child_that_dies_in_a_call_fails_that_call_at_once() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["behave"]) })).start().await;
    gateway.ready(&["q"]).await;
    let start = Instant::now();
    let answer = gateway.post("/q/crash", &json!({})).await;
    assert!([500, 502, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    until(Duration::from_secs(20), "the server again", async || {
        (gateway.post("/q/noargs", &json!({})).await.status == 200).then_some(())
    })
    .await;
}
