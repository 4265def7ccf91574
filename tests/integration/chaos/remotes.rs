//! Remote servers that reset, stall, break off, keep silent, or are started again under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::beside::Beside;
use crate::support::servers::{Running, script};
use crate::support::{Connection, Gateway, free_port, servers, until};

async fn started() -> (Running, Gateway, u16) {
    let (port, path) = (free_port(), script("chaos_http_server.py"));
    let number = port.to_string();
    let server = Running::on_port(&["python3", path.to_str().unwrap(), "--port", &number], &[], port).await;
    let url = format!("http://127.0.0.1:{port}/mcp");
    let remote = json!({ "type": "streamable-http", "url": url, "timeout": 2 });
    let gateway = Gateway::serving(json!({ "s": remote, "other": servers::scripted(&[]) })).start().await;
    gateway.listed(&["s", "other"]).await;
    (server, gateway, port)
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_fault_at_once_and_one_that_stalls_at_the_deadline() {
    let (_server, gateway, _) = started().await;
    let beside = Beside::start(&gateway, "other");
    for (tool, status) in [("reset", 502), ("cut_events", 502), ("stall", 504), ("silence", 504)] {
        let began = Instant::now();
        let answer = gateway.post(&format!("/s/{tool}"), &json!({})).await;
        assert_eq!(answer.status, status, "{tool}: {}", answer.text());
        let limit = if status == 502 { 1500 } else { 6000 };
        assert!(began.elapsed() < Duration::from_millis(limit), "{tool}: {:?}", began.elapsed());
        assert_eq!(gateway.post("/s/echo", &json!({ "value": 1 })).await.ok(), json!({ "value": 1 }));
    }
    beside.end("broken answers").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_remote_that_is_started_again_under_load_fails_only_its_own_calls() {
    let (mut server, gateway, port) = started().await;
    let beside = Beside::start(&gateway, "other");
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|caller| {
            let (stop, address) = (stop.clone(), gateway.address);
            let ask = gateway.ask("POST", "/s/echo");
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await.unwrap();
                let (mut good, mut bad) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let body = json!({ "value": [caller, good] });
                    let answer = connection.send(ask.clone().json(&body)).await.unwrap();
                    match answer.status {
                        200 => {
                            assert_eq!(answer.json(), body, "another caller's answer");
                            good += 1;
                        }
                        status => {
                            assert!([502, 503].contains(&status), "{status} {}", answer.text());
                            bad += 1;
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
                (good, bad)
            })
        })
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.restart(port).await;
        until(Duration::from_secs(20), "the remote to answer again", async || {
            (gateway.post("/s/pid", &json!({})).await.status == 200).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut good, mut bad) = (0, 0);
    for caller in callers {
        let (answered, failed) = caller.await.unwrap();
        good += answered;
        bad += failed;
    }
    eprintln!("a remote started again: {good} calls answered, {bad} failed");
    assert!(good > 100, "no load: {good} calls");
    beside.end("a remote started again").await;
}
