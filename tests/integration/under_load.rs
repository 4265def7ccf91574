//! A child dies under load: other servers' calls notice nothing, and it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::{Connection, Gateway, servers, until};

/// Connections that call at the same time.
const CONNECTIONS: usize = 32;
/// Children that are killed while they do.
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_child_under_thirty_two_connections_fails_no_call_to_another_server() {
    let config = json!({ "victim": servers::scripted(&[]), "other": servers::scripted(&[]) });
    let gateway = Arc::new(Gateway::serving(config).start().await);
    gateway.ready(&["victim", "other"]).await;
    let (stop, calls, strikes) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = Vec::new();
    for number in 0..CONNECTIONS {
        let (gateway, stop) = (gateway.clone(), stop.clone());
        let (calls, strikes) = (calls.clone(), strikes.clone());
        callers.push(tokio::spawn(async move {
            // A quarter of the callers uses the server that is killed; theirs may fail, the others' may not.
            let server = if number % 4 == 0 { "victim" } else { "other" };
            let mut connection = Connection::open(gateway.address).await.unwrap();
            while !stop.load(Ordering::Relaxed) {
                let ask = gateway.ask("POST", &format!("/{server}/echo")).json(&json!({ "value": number }));
                let answer = connection.send(ask).await.unwrap();
                if server == "other" {
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    assert_eq!(
                        answer.json()["arguments"]["value"],
                        number,
                        "an answer reached another caller"
                    );
                    calls.fetch_add(1, Ordering::Relaxed);
                } else if answer.status != 200 {
                    assert!([500, 502, 503].contains(&answer.status), "{} {}", answer.status, answer.text());
                    strikes.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
    }
    for _ in 0..KILLS {
        let pid = until(Duration::from_secs(30), "the victim to answer", async || {
            let answer = gateway.post("/victim/pid", &json!({})).await;
            (answer.status == 200).then(|| answer.json().as_i64().unwrap())
        })
        .await;
        let before = calls.load(Ordering::Relaxed);
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        until(Duration::from_secs(30), "another victim, and calls to the other server", async || {
            let answer = gateway.post("/victim/pid", &json!({})).await;
            let back = answer.status == 200 && answer.json().as_i64() != Some(pid);
            (back && calls.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(calls.load(Ordering::Relaxed) > CONNECTIONS, "no load: {calls:?} calls");
}
