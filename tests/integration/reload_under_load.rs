//! A hundred reloads under load: no call to an unchanged server fails, and nothing is left behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Connection, Gateway, servers, until};

/// Connections that call at the same time.
const CONNECTIONS: usize = 32;
const RELOADS: usize = 100;

/// `steady` in all of them; `changing` differs each time, and `guest` comes and goes.
fn configuration(round: usize) -> Value {
    let mut all = json!({ "steady": servers::scripted(&[]) });
    all["changing"] = servers::scripted(&["--tools", &format!("t{}", round / 3)]);
    if round % 3 == 1 {
        all["guest"] = servers::scripted(&[]);
    }
    json!({ "mcpServers": all, "limits": { "drain": 10 } })
}

/// The commands of all processes whose parent is `pid`, zombies included.
fn children(pid: nix::unistd::Pid) -> BTreeMap<i32, String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let status = |number: i32| std::fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
    numbers
        .map(|number| (number, status(number)))
        .filter(|(_, status)| status.lines().any(|line| line == format!("PPid:\t{pid}")))
        .collect()
}

fn descriptors(pid: nix::unistd::Pid) -> usize {
    std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")).unwrap().count()
}

/// The tasks of the gateway's runtime.
async fn tasks(gateway: &Gateway) -> usize {
    let metrics = gateway.get("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("mcpo_runtime_tasks "));
    line.unwrap_or_else(|| panic!("no mcpo_runtime_tasks in {metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_fail_no_call_and_leave_nothing_behind() {
    let gateway = Arc::new(Gateway::with(configuration(0)).start().await);
    gateway.listed(&["steady", "changing"]).await;
    let steady = gateway.post("/steady/pid", &json!({})).await.ok();
    let before = descriptors(gateway.pid());
    let tasks_before = tasks(&gateway).await;

    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (gateway, stop, calls) = (gateway.clone(), stop.clone(), calls.clone());
            tokio::spawn(async move {
                // A few use the server that is replaced all the time: it drains, so theirs succeed, too.
                let server = if number % 8 == 0 { "changing" } else { "steady" };
                let mut connection = Connection::open(gateway.address).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let ask =
                        gateway.ask("POST", &format!("/{server}/echo")).json(&json!({ "value": number }));
                    let answer = connection.send(ask).await.unwrap();
                    assert_eq!(answer.status, 200, "{server}: {}", answer.text());
                    assert_eq!(answer.json()["arguments"]["value"], number, "another caller's answer");
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 1..=RELOADS {
        let made = calls.load(Ordering::Relaxed);
        gateway.reload(&configuration(round)).await;
        until(Duration::from_secs(30), "calls under the new configuration", async || {
            (calls.load(Ordering::Relaxed) > made + CONNECTIONS).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }

    assert_eq!(gateway.post("/steady/pid", &json!({})).await.ok(), steady, "it was never touched");
    gateway.post(&format!("/changing/t{}", RELOADS / 3), &json!({})).await.ok();
    let wanted = configuration(RELOADS)["mcpServers"].as_object().unwrap().len();
    until(Duration::from_secs(30), "the processes of the last configuration alone", async || {
        (children(gateway.pid()).len() == wanted).then_some(())
    })
    .await;
    // One more server than before: its supervisor, connection, handshake, stderr, and what rmcp runs.
    let most = tasks_before + 6 * (wanted - 2) + 2;
    until(Duration::from_secs(30), &format!("at most {most} tasks"), async || {
        (tasks(&gateway).await <= most).then_some(())
    })
    .await;
    // And with three pipes and a descriptor of its process.
    let allowed = before + 4 * (wanted - 2) + 2;
    until(Duration::from_secs(30), &format!("at most {allowed} descriptors"), async || {
        (descriptors(gateway.pid()) <= allowed).then_some(())
    })
    .await;
}
