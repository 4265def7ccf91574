//! A broken server harms nobody, and says why it is broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::support::servers::{Running, script};
use crate::support::{Gateway, free_port, provisioned, servers, until};

/// The text that an operator reads about a server, whatever fields it is spread over.
fn reason(server: &Value) -> String {
    server["reason"].to_string()
}

#[tokio::test]
async fn of_thirteen_servers_the_eight_good_ones_work_while_five_are_broken_in_five_ways() {
    let Some(time) = provisioned::time() else { return };
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let mut config = Map::new();
    let good = ["time", "everything", "q1", "q2", "q3", "q4", "s1", "s2"];
    for name in good {
        let entry = match name {
            "time" => time.clone(),
            "everything" => everything.clone(),
            _ if name.starts_with('q') => servers::quirk(&["behave"]),
            _ => servers::scripted(&[]),
        };
        config.insert(name.to_owned(), entry);
    }
    let refused = format!("http://127.0.0.1:{}/mcp", free_port());
    for (name, entry) in [
        ("missing", json!({ "command": "no-such-command-of-anybody" })),
        ("exits", servers::scripted(&["--start", "exit"])),
        ("hangs", servers::scripted(&["--start", "hang"])),
        ("refused", json!({ "type": "streamable-http", "url": refused })),
        ("secret", json!({ "command": "python3", "env": { "TOKEN": "${env:NOBODY_SET_THIS_VARIABLE}" } })),
    ] {
        config.insert(name.to_owned(), entry);
    }
    let config = json!({ "mcpServers": config, "limits": { "startTimeout": 10 } });
    let gateway = Arc::new(Gateway::with(config).start().await);
    gateway.ready(&good).await;

    // From here on no call to a good one may fail, for as long as the broken ones are retried.
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = good
        .iter()
        .map(|name| {
            let (gateway, stop, name) = (gateway.clone(), stop.clone(), *name);
            tokio::spawn(async move {
                let mut calls = 0;
                while !stop.load(Ordering::Relaxed) {
                    let (tool, body) = match name {
                        "time" => ("get_current_time", json!({ "timezone": "UTC" })),
                        "everything" => ("echo", json!({ "message": "x" })),
                        _ => ("pid", json!({})),
                    };
                    let answer = gateway.post(&format!("/{name}/{tool}"), &body).await;
                    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    for (name, why) in [
        ("missing", "no-such-command-of-anybody"),
        ("exits", "no licence"),
        ("hangs", "initialize"),
        ("refused", "refused"),
        ("secret", "NOBODY_SET_THIS_VARIABLE"),
    ] {
        let server = gateway.in_state(name, "unavailable").await;
        assert!(reason(&server).contains(why), "{name} does not say {why:?}: {server}");
        let answer = gateway.post(&format!("/{name}/any"), &json!({})).await;
        assert!([404, 503].contains(&answer.status), "{name}: {} {}", answer.status, answer.text());
    }
    // The gateway tries each again by itself. The one that hangs is not waited for a second time.
    for name in ["missing", "exits", "refused", "secret"] {
        until(Duration::from_secs(30), "the server was tried again", async || {
            let failures = gateway.server(name).await["failures"].as_u64();
            failures.is_some_and(|failures| failures >= 2).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() > 3);
    }
    for name in good {
        assert_eq!(gateway.server(name).await["state"], "ready");
    }
}

#[tokio::test]
async fn an_unauthorized_server_and_one_that_writes_garbage_are_named_and_harm_nobody() {
    let port = free_port();
    let path = script("http_server.py");
    let command = ["python3", path.to_str().unwrap(), "--port", &port.to_string(), "--status", "401"];
    let _server = Running::on_port(&command, &[], port).await;
    let config = json!({
        "mcpServers": {
            "unauthorized": { "type": "streamable-http", "url": format!("http://127.0.0.1:{port}/mcp") },
            "noise": servers::scripted(&["--start", "noise"]),
            "chatty": servers::scripted(&["--start", "garbage"]),
            "good": servers::quirk(&["behave"]),
        },
        "limits": { "startTimeout": 3 },
    });
    let gateway = Gateway::with(config).start().await;
    // Lines that are no JSON are skipped, so a server that only greets works.
    gateway.ready(&["good", "chatty"]).await;
    let unauthorized = gateway.in_state("unauthorized", "unavailable").await;
    assert!(reason(&unauthorized).contains("401"), "{unauthorized}");
    gateway.in_state("noise", "unavailable").await;
    gateway.post("/good/noargs", &json!({})).await.ok();
    gateway.post("/chatty/pid", &json!({})).await.ok();
}

#[tokio::test]
async fn a_server_that_comes_later_is_found_without_a_restart() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/mcp");
    let gateway =
        Gateway::serving(json!({ "late": { "type": "streamable-http", "url": url } })).start().await;
    gateway.in_state("late", "unavailable").await;
    let path = script("http_server.py");
    let _server =
        Running::on_port(&["python3", path.to_str().unwrap(), "--port", &port.to_string()], &[], port).await;
    gateway.ready(&["late"]).await;
    assert_eq!(gateway.post("/late/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
}

#[tokio::test]
async fn a_call_to_an_unavailable_server_is_told_to_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (fault, state) = (folder.path().join("fault"), folder.path().join("state"));
    let config = json!({ "s": servers::scripted(&["--unless", fault.to_str().unwrap()]) });
    let mut first = Gateway::serving(config.clone()).state(&state).start().await;
    first.ready(&["s"]).await;
    first.stop().await;
    // The tools are known from before; the server no longer starts.
    std::fs::write(&fault, "").unwrap();
    let gateway = Gateway::serving(config).state(&state).start().await;
    gateway.in_state("s", "unavailable").await;
    let answer = gateway.post("/s/echo", &json!({ "value": 1 })).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn the_reason_carries_exit_status_and_last_words() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let answer = gateway.post("/s/complain", &json!({})).await;
    assert!([502, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
    assert!(!answer.text().contains("disk"), "stderr is not for callers: {}", answer.text());
    gateway.logged("the disk is on fire").await;
    // What it says while it dies is in the log; what it says when it cannot start is the reason.
    let failing = json!({ "s": servers::scripted(&["--start", "exit"]) });
    let gateway = Gateway::serving(failing).start().await;
    let server = gateway.in_state("s", "unavailable").await;
    assert!(server.to_string().contains("giving up: no licence"), "{server}");
    assert!(reason(&server).contains('7'), "no exit status: {server}");
}

#[tokio::test]
async fn a_flapping_server_is_tried_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let options = ["--start", "exit", "--log", log.to_str().unwrap()];
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&options) })).start().await;
    let start = Instant::now();
    until(Duration::from_secs(20), "three starts", async || {
        (std::fs::read_to_string(&log).unwrap_or_default().matches("\"start\"").count() >= 3).then_some(())
    })
    .await;
    assert!(start.elapsed() > Duration::from_millis(700), "three starts without a pause");
    assert_eq!(gateway.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_server_that_fails_for_another_reason_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("status");
    std::fs::write(&status, "3").unwrap();
    let command = json!({ "command": "sh", "args": ["-c", format!("exit $(cat {})", status.display())] });
    let gateway = Gateway::serving(json!({ "s": command })).start().await;
    let tries = async || {
        gateway.post("/s/echo", &json!({})).await;
        let text = gateway.get("/metrics").await.text();
        let count =
            text.lines().find_map(|line| line.strip_prefix("mcpo_server_starts_total{mcp_server=\"s\"} "));
        count.expect("the starts are counted").parse::<f64>().unwrap()
    };
    // From the fourth on the same failure is no news.
    until(Duration::from_secs(30), "five tries", async || (tries().await >= 5.0).then_some(())).await;
    let told = gateway.log().matches("exited with status 3; next try").count();
    assert_eq!(told, 3, "{}", gateway.log());
    std::fs::write(&status, "5").unwrap();
    until(Duration::from_secs(30), "two more", async || (tries().await >= 7.0).then_some(())).await;
    gateway.logged("exited with status 5; next try").await;
}
