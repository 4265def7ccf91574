//! Many sessions of several keys: each costs the same, and no key's end another's.
//!
//! `tests/run --long sessions` has 100,000 of them.

use serde_json::{Value, json};

use crate::support::client::Connection;
use crate::support::mcp::{introduction, request};
use crate::support::{Ask, Gateway, servers};

const KEYS: usize = 10;
/// Of `MCPO_TESTS_SESSIONS`.
const FEW: usize = 1000;

fn ask(gateway: &Gateway, method: &str, key: usize, session: Option<&str>) -> Ask {
    let ask = gateway.ask(method, "/mcp").header("Authorization", &format!("Bearer key-of-number-{key}"));
    match session {
        Some(session) => ask.header("Mcp-Session-Id", session),
        None => ask,
    }
}

/// Opens a session and uses it once.
async fn opened(gateway: &Gateway, connection: &mut Connection, key: usize) -> String {
    let initialize = request("initialize", &introduction("2025-11-25"));
    let answer = connection.send(ask(gateway, "POST", key, None).json(&initialize)).await.unwrap();
    let id = answer.header("mcp-session-id").unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
    assert_eq!(used(gateway, connection, key, &id).await, 200);
    id
}

async fn used(gateway: &Gateway, connection: &mut Connection, key: usize, id: &str) -> u16 {
    let ping = request("ping", &json!({}));
    connection.send(ask(gateway, "POST", key, Some(id)).json(&ping)).await.unwrap().status
}

/// The gateway's resident memory in KB, and the time that it has computed, in hundredths of a second.
fn cost(gateway: &Gateway) -> (usize, usize) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", gateway.pid())).unwrap();
    let status = read("status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (resident, fields[11].parse::<usize>().unwrap() + fields[12].parse::<usize>().unwrap())
}

#[tokio::test]
async fn sessions_cost_the_same_however_many_there_are_and_end_none_of_another_key() {
    let count = std::env::var("MCPO_TESTS_SESSIONS").map_or(FEW, |count| count.parse().unwrap());
    let each = count / KEYS;
    let keys: serde_json::Map<String, Value> =
        (0..KEYS).map(|key| (format!("key{key}"), format!("key-of-number-{key}").into())).collect();
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]) },
        "apiKeys": keys,
        "limits": { "sessions": count + 10, "sessionsPerKey": each },
    });
    let state = tempfile::tempdir().unwrap();
    let start = || Gateway::with(config.clone()).state(state.path()).start();
    let mut gateway = start().await;
    let mut connection = Connection::open(gateway.address).await.unwrap();
    // The allocator has its arenas, and the code is in memory.
    let warm = opened(&gateway, &mut connection, 0).await;
    let delete = ask(&gateway, "DELETE", 0, Some(&warm));
    assert_eq!(connection.send(delete).await.unwrap().status, 204);

    let mut sessions: Vec<Vec<String>> = vec![Vec::new(); KEYS];
    let mut costs = vec![cost(&gateway)];
    for number in 0..each {
        for (key, own) in sessions.iter_mut().enumerate() {
            own.push(opened(&gateway, &mut connection, key).await);
        }
        if (number + 1) % (each / 10) == 0 {
            costs.push(cost(&gateway));
        }
    }
    let (first, last) = (costs[0], costs[costs.len() - 1]);
    let steps: Vec<_> =
        costs.windows(2).map(|pair| (pair[1].0.saturating_sub(pair[0].0), pair[1].1 - pair[0].1)).collect();
    let bytes = (last.0 - first.0) * 1024 / count;
    eprintln!(
        "{count} sessions: {} KB before, {} KB with them, {bytes} bytes each; KB and hundredths of a second of each tenth: {steps:?}",
        first.0, last.0
    );
    assert!(bytes < 3000, "{bytes} bytes each");
    let (early, late): (usize, usize) =
        (steps[..5].iter().map(|(_, time)| time).sum(), steps[5..].iter().map(|(_, time)| time).sum());
    assert!(late <= early * 2 + 20, "{steps:?}");

    // One key wants more than its share, and ends as many of its own.
    for _ in 0..each / 10 {
        opened(&gateway, &mut connection, 0).await;
    }
    for (key, own) in sessions.iter().enumerate() {
        let expected = if key == 0 { 404 } else { 200 };
        for id in own.iter().take(each / 10) {
            assert_eq!(used(&gateway, &mut connection, key, id).await, expected, "of key {key}");
        }
        assert_eq!(used(&gateway, &mut connection, key, &own[each - 1]).await, 200, "of key {key}");
    }

    // All go on after a restart, but those that have ended.
    assert!(gateway.stop().await.success());
    gateway = start().await;
    let mut connection = Connection::open(gateway.address).await.unwrap();
    for (key, own) in sessions.iter().enumerate() {
        for (number, id) in own.iter().enumerate() {
            let expected = if key == 0 && number < each / 10 { 404 } else { 200 };
            assert_eq!(used(&gateway, &mut connection, key, id).await, expected, "{number} of key {key}");
        }
    }
    let (resident, _) = cost(&gateway);
    eprintln!("after a restart, opened again: {resident} KB");
    for (key, own) in sessions.iter().enumerate().skip(1) {
        for id in own {
            let delete = ask(&gateway, "DELETE", key, Some(id));
            assert_eq!(connection.send(delete).await.unwrap().status, 204);
            assert_eq!(used(&gateway, &mut connection, key, id).await, 404);
        }
    }
    let length = std::fs::metadata(state.path().join("sessions")).unwrap().len();
    eprintln!("all have ended: {} KB, and a file of {length} bytes", cost(&gateway).0);
    assert!(length < 4 * (1 << 20) + 200 * count as u64, "{length}");
}
