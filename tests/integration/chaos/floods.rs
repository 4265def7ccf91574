//! Servers that say too much: giant and endless lines, events, pages, notifications, requests and complaints.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::beside::Beside;
use super::{chaos, process};
use crate::support::servers::{Running, script};
use crate::support::{Answer, Gateway, free_port, servers, until};

/// The limit of a server's message, in bytes and in kB.
const LIMIT: usize = 1 << 20;
const LIMIT_KB: usize = LIMIT >> 10;
/// What the gateway holds for tasks and its allocator's free pages, in kB.
const SLACK: usize = 12 << 10;

async fn gateway(entry: Value) -> Gateway {
    let config = json!({
        "mcpServers": { "s": entry, "other": servers::scripted(&[]) },
        "limits": { "resultBytes": LIMIT },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s", "other"]).await;
    gateway
}

/// Makes one call of the wild server beside the other's calls, and holds the memory to `bound` kB above that
/// of before. Gives the answer and the time it took.
async fn call(gateway: &Gateway, tool: &str, arguments: Value, bound: usize) -> (Answer, Duration) {
    let beside = Beside::start(gateway, "other");
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let began = Instant::now();
    let answer = gateway.post(&format!("/s/{tool}"), &arguments).await;
    let took = began.elapsed();
    // What was said after the answer counts, too.
    tokio::time::sleep(Duration::from_millis(300)).await;
    beside.end(tool).await;
    let (peak, after) = (process::peak(gateway.pid()), process::resident(gateway.pid()));
    eprintln!(
        "{tool}: {} in {took:?}; {before} kB before, {peak} kB at most, {after} kB after",
        answer.status
    );
    assert!(peak < before + bound + SLACK, "{tool}: {peak} kB, from {before}; the bound is {bound}");
    (answer, took)
}

#[tokio::test]
async fn a_line_over_the_limit_fails_its_call_alone() {
    let gateway = gateway(chaos(&[])).await;
    // The buffer doubles up to the limit, and is copied once when it does.
    let (answer, _) = call(&gateway, "giant", json!({ "bytes": 64 << 20 }), 4 * LIMIT_KB).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains(&LIMIT.to_string()), "{}", answer.text());
    assert_eq!(gateway.post("/s/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
}

#[tokio::test]
async fn a_line_that_never_ends_fails_its_call_as_soon_as_it_is_too_long() {
    let gateway = gateway(chaos(&[])).await;
    let (answer, took) = call(&gateway, "endless", json!({ "bytes": 64 << 20 }), 4 * LIMIT_KB).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn a_result_of_great_depth_costs_no_stack() {
    let gateway = gateway(chaos(&[])).await;
    let (answer, _) = call(&gateway, "deep", json!({ "depth": 100_000 }), 8 * LIMIT_KB).await;
    assert!([200, 502].contains(&answer.status), "{} {}", answer.status, answer.text());
    assert_eq!(gateway.post("/s/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
}

#[tokio::test]
async fn stderr_without_a_newline_is_read_and_not_kept() {
    let gateway = gateway(chaos(&[])).await;
    let (answer, _) = call(&gateway, "complain", json!({ "bytes": 64 << 20 }), LIMIT_KB).await;
    assert_eq!(answer.ok(), "complained");
    assert!(gateway.log().len() < 1 << 20, "the log has {} bytes", gateway.log().len());
}

#[tokio::test]
async fn notifications_without_number_are_dropped_when_too_many_wait() {
    let gateway = gateway(chaos(&[])).await;
    let (answer, _) = call(&gateway, "notify", json!({ "count": 50_000, "bytes": 500 }), 8 * LIMIT_KB).await;
    assert_eq!(answer.ok(), "notified");
    let large = json!({ "count": 20, "bytes": LIMIT - 1000 });
    let (answer, _) = call(&gateway, "notify", large, 40 * LIMIT_KB).await;
    assert_eq!(answer.ok(), "notified");
}

#[tokio::test]
async fn notifications_that_are_large_are_dropped_whatever_the_limit_of_results() {
    let gateway = Gateway::serving(json!({ "s": chaos(&[]), "other": servers::scripted(&[]) })).start().await;
    gateway.listed(&["s", "other"]).await;
    let (size, count) = (8 << 20, 12);
    // A few copies of one, and never all of them.
    let (answer, _) =
        call(&gateway, "notify", json!({ "count": count, "bytes": size }), (4 * size) >> 10).await;
    assert_eq!(answer.ok(), "notified");
}

#[tokio::test]
async fn requests_of_a_server_that_does_not_read_are_not_kept() {
    let gateway = gateway(chaos(&[])).await;
    let (answer, _) = call(&gateway, "ask", json!({ "count": 300_000 }), 8 * LIMIT_KB).await;
    assert_eq!(answer.ok(), "asked");
    assert_eq!(gateway.post("/s/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
}

#[tokio::test]
async fn calls_to_a_server_that_does_not_read_leave_nothing_when_they_are_given_up() {
    let mut entry = chaos(&[]);
    entry["timeout"] = json!(1);
    let gateway = gateway(entry).await;
    let beside = Beside::start(&gateway, "other");
    assert_eq!(gateway.post("/s/deafen", &json!({ "seconds": 30 })).await.ok(), "deaf");
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let (rounds, callers, size) = (4, 24, 1 << 20);
    let body = json!({ "value": "x".repeat(size) });
    for _ in 0..rounds {
        let calls: Vec<_> =
            (0..callers).map(|_| tokio::spawn(gateway.ask("POST", "/s/pid").json(&body).send())).collect();
        for call in calls {
            assert_eq!(call.await.unwrap().status, 504);
        }
    }
    beside.end("calls to a deaf server").await;
    let peak = process::peak(gateway.pid());
    eprintln!("calls to a deaf server: {before} kB before, {peak} kB at most");
    // The body as it came, with the room that it grew into, and as the message that waits to be written.
    let bound = 4 * callers * (size >> 10) + SLACK;
    assert!(peak < before + bound, "{peak} kB, from {before}; the bound is {bound}");
    let again = async || (gateway.post("/s/pid", &json!({})).await.status == 200).then_some(());
    until(Duration::from_secs(60), "an answer once it reads again", again).await;
}

#[tokio::test]
async fn a_tool_list_without_end_is_given_up_and_hurts_nobody() {
    let config = json!({
        "mcpServers": { "s": chaos(&["--pages", "500000"]), "other": servers::scripted(&[]) },
        "limits": { "startTimeout": 40 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["other"]).await;
    let before = process::resident(gateway.pid());
    let beside = Beside::start(&gateway, "other");
    let began = Instant::now();
    let state = loop {
        let server = gateway.server("s").await;
        if server["state"] != "starting" || began.elapsed() > Duration::from_secs(45) {
            break server;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    beside.end("a tool list without end").await;
    let (peak, took) = (process::peak(gateway.pid()), began.elapsed());
    eprintln!(
        "a tool list without end: {} after {took:?}; {before} kB before, {peak} kB at most",
        state["state"]
    );
    assert!(peak < before + (256 << 10), "{peak} kB, from {before}");
}

async fn remote(flood: bool) -> (Running, Gateway) {
    let (port, path) = (free_port(), script("chaos_http_server.py"));
    let number = port.to_string();
    let mut command = vec!["python3", path.to_str().unwrap(), "--port", &number];
    command.extend(flood.then_some("--flood"));
    let server = Running::on_port(&command, &[], port).await;
    let url = format!("http://127.0.0.1:{port}/mcp");
    (server, gateway(json!({ "type": "streamable-http", "url": url, "timeout": 3 })).await)
}

#[tokio::test]
async fn answers_over_http_that_never_end_are_given_up() {
    let (_server, gateway) = remote(false).await;
    for (tool, status) in [("endless_body", 502), ("endless_event", 502), ("endless_events", 504)] {
        let (answer, took) = call(&gateway, tool, json!({}), 4 * LIMIT_KB).await;
        assert_eq!(answer.status, status, "{tool}: {}", answer.text());
        assert!(took < Duration::from_secs(8), "{tool}: {took:?}");
    }
    assert_eq!(gateway.post("/s/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
}

#[tokio::test]
async fn events_without_number_are_dropped_when_too_many_wait() {
    let (_server, gateway) = remote(true).await;
    let (answer, _) = call(&gateway, "echo", json!({ "value": 1 }), 8 * LIMIT_KB).await;
    assert_eq!(answer.ok(), json!({ "value": 1 }));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (answer, _) = call(&gateway, "echo", json!({ "value": 2 }), 8 * LIMIT_KB).await;
    assert_eq!(answer.ok(), json!({ "value": 2 }));
}
