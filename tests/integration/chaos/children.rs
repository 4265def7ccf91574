//! Children that close their pipes, stop, fork, or break the protocol: the call ends, the server comes back.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::beside::Beside;
use super::{chaos_within, process};
use crate::support::{Gateway, servers, until};

async fn gateway(seconds: u64) -> Gateway {
    let servers = json!({ "s": chaos_within(seconds), "other": servers::scripted(&[]) });
    let gateway = Gateway::serving(servers).start().await;
    gateway.listed(&["s", "other"]).await;
    gateway
}

fn number(value: &Value) -> Pid {
    Pid::from_raw(i32::try_from(value.as_i64().unwrap_or_else(|| panic!("no number: {value}"))).unwrap())
}

async fn pid(gateway: &Gateway) -> Pid {
    number(&gateway.post("/s/pid", &json!({})).await.ok())
}

/// Waits for another process than `old`, and for the end of that.
async fn another(gateway: &Gateway, old: Pid) {
    until(Duration::from_secs(20), "another process", async || {
        let answer = gateway.post("/s/pid", &json!({})).await;
        (answer.status == 200 && number(&answer.json()) != old).then_some(())
    })
    .await;
    until(Duration::from_secs(20), "the end of the old one", async || (!process::lives(old)).then_some(()))
        .await;
}

#[tokio::test]
async fn a_child_that_closes_its_output_or_input_is_replaced() {
    let gateway = gateway(20).await;
    let beside = Beside::start(&gateway, "other");
    for (tool, statuses) in [("close_output", &[502][..]), ("close_input", &[200, 502])] {
        let old = pid(&gateway).await;
        let began = Instant::now();
        let answer = gateway.post(&format!("/s/{tool}"), &json!({})).await;
        assert!(statuses.contains(&answer.status), "{tool}: {} {}", answer.status, answer.text());
        assert!(began.elapsed() < Duration::from_secs(5), "{tool}: {:?}", began.elapsed());
        another(&gateway, old).await;
    }
    beside.end("closed pipes").await;
}

#[tokio::test]
async fn a_child_that_closes_its_stderr_goes_on() {
    let gateway = gateway(20).await;
    let old = pid(&gateway).await;
    assert_eq!(gateway.post("/s/close_errors", &json!({})).await.ok(), "closed");
    for _ in 0..3 {
        assert_eq!(pid(&gateway).await, old);
    }
}

#[tokio::test]
async fn a_stopped_child_costs_its_calls_their_time_and_goes_on_when_continued() {
    let gateway = gateway(1).await;
    let beside = Beside::start(&gateway, "other");
    let child = pid(&gateway).await;
    kill(child, Signal::SIGSTOP).unwrap();
    let answer = gateway.post("/s/echo", &json!({ "value": 1 })).await;
    kill(child, Signal::SIGCONT).unwrap();
    assert_eq!(answer.status, 504, "{}", answer.text());
    // The answer that came too late is nobody's.
    for value in 2..5 {
        assert_eq!(gateway.post("/s/echo", &json!({ "value": value })).await.ok(), json!({ "value": value }));
    }
    assert_eq!(pid(&gateway).await, child);
    beside.end("a stopped child").await;
}

#[tokio::test]
async fn a_stopped_child_does_not_outlive_the_gateway() {
    let mut gateway = gateway(1).await;
    let child = pid(&gateway).await;
    kill(child, Signal::SIGSTOP).unwrap();
    let began = Instant::now();
    assert_eq!(gateway.stop().await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(!process::lives(child));
}

#[tokio::test]
async fn answers_that_are_late_double_foreign_or_no_json_reach_nobody() {
    let gateway = gateway(1).await;
    let child = pid(&gateway).await;
    for (tool, arguments, status) in [
        // It says whose answer it is, and that is told at once that it is none.
        ("malformed", json!({}), 502),
        ("wrong_id", json!({}), 504),
        ("late", json!({ "seconds": 1.3 }), 504),
    ] {
        let answer = gateway.post(&format!("/s/{tool}"), &arguments).await;
        assert_eq!(answer.status, status, "{tool}: {}", answer.text());
    }
    assert_eq!(gateway.post("/s/twice", &json!({})).await.ok(), "first");
    for value in 0..50 {
        assert_eq!(gateway.post("/s/echo", &json!({ "value": value })).await.ok(), json!({ "value": value }));
        // Long enough for the late answer to come in between.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pid(&gateway).await, child, "none of this is a reason to start it again");
}

#[tokio::test]
async fn half_a_message_costs_its_call_its_time_and_no_other_server_anything() {
    let gateway = gateway(1).await;
    let beside = Beside::start(&gateway, "other");
    let answer = gateway.post("/s/half", &json!({})).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    beside.end("half a message").await;
}

#[tokio::test]
async fn a_child_that_leaves_its_pipes_to_another_is_replaced_and_the_other_ended() {
    let gateway = gateway(20).await;
    let old = pid(&gateway).await;
    let began = Instant::now();
    let answer = gateway.post("/s/leave_holder", &json!({})).await;
    assert!([502, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    another(&gateway, old).await;
    let children = process::children(gateway.pid());
    assert_eq!(children.len(), 2, "{children:?}");
}

/// What leaves its session and its group leaves the reach of a process without rights: only its unit's cgroup
/// ends it (systemd does when the gateway, or the server's own unit, ends).
#[tokio::test]
async fn a_daemon_of_a_child_keeps_nothing_of_the_gateway_open() {
    let mut gateway = gateway(20).await;
    let old = pid(&gateway).await;
    let daemon = number(&gateway.post("/s/leave_daemon", &json!({})).await.ok());
    kill(old, Signal::SIGKILL).unwrap();
    another(&gateway, old).await;
    let ended = gateway.stop().await;
    let survived = process::lives(daemon);
    if survived {
        kill(daemon, Signal::SIGKILL).unwrap();
    }
    assert_eq!(ended.code(), Some(0));
    assert!(survived, "it is ended now: say so in the documentation");
}
