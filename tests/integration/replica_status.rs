//! Replicas that say through a real Redis how they are: each shows all of them to an operator.

use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::status_page::browser::scene;
use crate::support::redis::Redis;
use crate::support::{Gateway, free_port, servers, until};

const SESSION_KEY: &str = "the same at each replica: 3c7e1f0b9a52";

fn config(redis: &Redis, name: &str, session_key: &str, server: &Value) -> Value {
    json!({
        "shared": redis.url(),
        "sessionKey": session_key,
        "replica": { "name": name },
        "mcpServers": {
            "s": server,
            "well": servers::scripted(&[]),
            "off": { "command": "none", "disabled": true },
        },
        "apiKeys": {
            "watch": { "key": "watch-key", "admin": true },
            "narrow": { "key": "narrow-key", "admin": true, "servers": ["well"] },
            "plain": "plain-key",
        },
    })
}

/// What a replica says of the store and of all replicas.
async fn shared(gateway: &Gateway, key: &str) -> Value {
    let ask = gateway.ask("GET", "/servers").header("Authorization", &format!("Bearer {key}"));
    ask.send().await.ok()["shared"].clone()
}

/// Waits until `gateway` shows the replicas so that `holds`.
async fn shows(gateway: &Gateway, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    until(Duration::from_secs(40), what, async || {
        let replicas = shared(gateway, "watch-key").await["replicas"].as_array().cloned()?;
        holds(&replicas).then_some(replicas)
    })
    .await
}

fn names(replicas: &[Value]) -> Vec<&str> {
    replicas.iter().map(|replica| replica["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_replica_shows_all_of_them_and_which_one_is_silent() {
    let Some(redis) = Redis::start(&[]).await else { return };
    let (fine, down) = (servers::scripted(&[]), servers::scripted(&["--start", "exit"]));
    let port = free_port();
    let start = async |name: &str, server: &Value| {
        let setup = Gateway::with(config(&redis, name, SESSION_KEY, server));
        let setup = if name == "b" { setup.port(port) } else { setup };
        setup.start().await
    };
    let [mut a, mut b, c] = [start("a", &fine).await, start("b", &fine).await, start("c", &down).await];
    let all_are_known = |replicas: &[Value]| {
        names(replicas) == ["a", "b", "c"]
            && [&replicas[0], &replicas[1]].iter().all(|replica| replica["ready"] == 2)
            && replicas[2]["ready"] == 1
            && replicas[2]["notReady"][0]["state"] == "unavailable"
    };
    for gateway in [&a, &b, &c] {
        shows(gateway, "all three replicas", all_are_known).await;
    }
    let shown = shows(&a, "all three replicas", all_are_known).await;
    let own: Vec<&Value> = shown.iter().map(|replica| &replica["own"]).collect();
    assert_eq!(own, [&json!(true), &Value::Null, &Value::Null]);
    let trouble = &shown[2]["notReady"][0];
    assert!(
        trouble["name"] == "s" && trouble["reason"].as_str().unwrap().contains("no licence"),
        "{trouble}"
    );
    assert_eq!([&shown[2]["servers"], &shown[2]["version"]], [&json!(2), &json!(env!("CARGO_PKG_VERSION"))]);
    assert!(shown[2]["since"].as_u64() > Some(1_700_000_000) && shown[2]["silent"].is_null(), "{shown:?}");

    // A call at another replica is seen; a key that does not open a server learns nothing of it, and one that is no admin of no replica.
    let held = tokio::spawn(
        b.ask("POST", "/well/wait").header("Authorization", "Bearer plain-key").json(&json!({})).send(),
    );
    shows(&a, "the call at b", |replicas| replicas[1]["callsInFlight"] == 1).await;
    held.abort();
    let narrow = shared(&a, "narrow-key").await;
    assert_eq!(narrow["replicas"][2]["notReady"], json!([]), "{narrow}");
    let plain = shared(&a, "plain-key").await;
    assert!(plain["state"] == "ready" && plain["replicas"].is_null(), "{plain}");
    let kept = redis.ask(&["HGETALL", "mcpo:replicas:status"]).await;
    assert!(kept.contains(" c\r\n") && !kept.contains("licence"), "{kept}");

    // One that is killed is missed, and is itself again when it is back.
    b.signal(Signal::SIGKILL);
    b.stop().await;
    let silent = shows(&a, "b is silent", |replicas| replicas[1]["silent"] == true).await;
    assert_eq!((names(&silent), silent[1]["ready"].as_u64()), (vec!["a", "b", "c"], Some(2)));
    let b = start("b", &fine).await;
    let back = shows(&a, "b speaks again", |replicas| replicas[1]["silent"].is_null()).await;
    assert_eq!(names(&back), ["a", "b", "c"]);
    scene("replicas", &a, &["--key", "watch-key"]).await;

    // One that ends says so.
    a.stop().await;
    shows(&b, "a is gone", |replicas| names(replicas) == ["b", "c"]).await;
}

#[tokio::test]
async fn a_replica_with_another_session_key_is_shown_as_one_that_shares_nothing() {
    let Some(redis) = Redis::start(&[]).await else { return };
    let other = "another one at this replica: 77d1c09e5b3a";
    let start = |name, key| Gateway::with(config(&redis, name, key, &servers::scripted(&[]))).start();
    let both = join_all([start("a", SESSION_KEY), start("b", other)]).await;
    let shown = shows(&both[0], "the other replica", |replicas| names(replicas) == ["a", "b"]).await;
    assert!(shown[1]["problem"].as_str().unwrap().contains("another `sessionKey`"), "{shown:?}");
    assert!(shown[1]["ready"].is_null() && shown[1]["version"].is_null(), "{shown:?}");
    both[0].logged("the replica b: it seals with another `sessionKey`").await;
}
