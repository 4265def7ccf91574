//! One key and two servers attack in every way that is known: another key's calls to other servers go on, memory stays
//! within its bound, and afterwards everything rests.
//!
//! The attack itself is that of the benchmark (`tests/bench/attack.py`), which measures the delay.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::beside::Beside;
use super::process;
use crate::support::provisioned::root;
use crate::support::{Gateway, servers, until};

const ATTACKERS_KEY: &str = "a-key-of-somebody-else";
const SECONDS: u64 = 8;
/// What the gateway may hold under attack with its default limits, in kB; the README promises it.
const MOST_RESIDENT: usize = 512 << 10;
/// Until everything is at rest: the gateway takes less of one core than this over a second.
const REST: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(20));

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attack_by_one_key_and_two_servers_leaves_another_key_its_calls_and_ends_at_rest() {
    let config = json!({
        "mcpServers": {
            "schemas": servers::entry("hostile_server.py", &["schemas"]),
            "lists": servers::entry("hostile_server.py", &["lists"]),
            "other": servers::scripted(&[]),
        },
        "apiKeys": { "attacker": { "key": ATTACKERS_KEY, "rate": "100/s", "concurrency": 32 } },
    });
    let gateway = Gateway::with(config).flag("--api-key", "good").start().await;
    gateway.ready(&["schemas", "lists", "other"]).await;
    process::forget_peak(gateway.pid());
    let beside = Beside::start(&gateway, "other");
    let (port, seconds) = (gateway.address.port().to_string(), SECONDS.to_string());
    let attack = tokio::task::spawn_blocking(move || {
        let mut command = Command::new("python3");
        command.arg(root().join("tests/bench/attack.py")).args([&port, ATTACKERS_KEY, &seconds]);
        command.stderr(Stdio::inherit()).output().unwrap()
    });
    let attack = attack.await.unwrap();
    assert!(attack.status.success(), "the attack broke off: {}", attack.status);
    beside.end("attack").await;
    let peak = process::peak(gateway.pid());
    eprintln!("attack: {peak} kB at most; {}", String::from_utf8_lossy(&attack.stdout));
    assert!(peak < MOST_RESIDENT, "{peak} kB were resident under attack");
    let over = Instant::now();
    until(REST.0, "the gateway to rest after the attack", async || {
        let before = process::cpu(gateway.pid());
        tokio::time::sleep(Duration::from_secs(1)).await;
        (process::cpu(gateway.pid()) - before < REST.1).then_some(())
    })
    .await;
    eprintln!("attack: at rest after {:?}", over.elapsed());
}
