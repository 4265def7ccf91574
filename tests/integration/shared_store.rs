//! Replicas that share a real Redis: limits that hold over all of them, also while it is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mcpo::shared_store::{AddressSource, SharedStore, StoreAddress, StoreAway, StoreEvent};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::support::redis::Redis;
use crate::support::{Answer, Gateway, free_port, provisioned, servers, until};

const GATEWAY: &str = "/gateway/list_servers";

/// Replicas with the key `limited`, which has `limits`, and the keys `rated`, `few` and `watch`.
async fn replicas(count: usize, redis: &Redis, limits: &Value, server: &Value) -> Vec<Gateway> {
    let mut limited = json!({ "key": "limited-key" });
    let mut s = servers::scripted(&[]);
    for (into, from) in [(&mut limited, limits), (&mut s, server)] {
        for (name, value) in from.as_object().unwrap() {
            into[name] = value.clone();
        }
    }
    let config = json!({
        "shared": redis.url(),
        "mcpServers": { "s": s, "gateway": { "builtin": "gateway" } },
        "apiKeys": {
            "limited": limited, "watch": { "key": "watch-key", "admin": true }, "few": { "key": "few-key", "rate": "60/min" },
            "rated": { "key": "rated-key", "rate": { "calls": 1_000_000, "per": 60 } },
        },
    });
    let started = join_all((0..count).map(|_| Gateway::with(config.clone()).start())).await;
    for gateway in &started {
        until(Duration::from_secs(60), "s is ready", async || {
            let state = servers(gateway).await["servers"][0]["state"].clone();
            (state == "ready").then_some(())
        })
        .await;
        in_state(gateway, "ready").await;
    }
    started
}

async fn servers(gateway: &Gateway) -> Value {
    gateway.ask("GET", "/servers").header("Authorization", "Bearer watch-key").send().await.ok()
}

/// Waits until the replica says so of its store.
async fn in_state(gateway: &Gateway, state: &str) {
    until(Duration::from_secs(20), &format!("the store is {state}"), async || {
        (servers(gateway).await["shared"]["state"] == state).then_some(())
    })
    .await;
}

async fn call(gateway: &Gateway, key: &str, path: &str, arguments: &Value) -> Answer {
    gateway.ask("POST", path).header("Authorization", &format!("Bearer {key}")).json(arguments).send().await
}

/// Whether a call of the limited key is let through.
async fn is_let_through(gateway: &Gateway) -> bool {
    is_let(gateway, "limited-key").await
}

async fn is_let(gateway: &Gateway, key: &str) -> bool {
    let answer = call(gateway, key, GATEWAY, &json!({})).await;
    assert!(matches!(answer.status, 200 | 429), "{}", answer.text());
    answer.status == 200
}

/// How many of 180 calls at once are let through three replicas under a rate of 60 a minute: as many as through one.
async fn sixty_are_let_through(replicas: &[Gateway], key: &str) {
    let began = Instant::now();
    let calls = (0..180).map(|number| is_let(&replicas[number % 3], key));
    let through = join_all(calls).await.into_iter().filter(|through| *through).count();
    let took = began.elapsed().as_secs_f64();
    let most = 60 + took.ceil() as usize;
    assert!((60..=most).contains(&through), "{through} of 180 calls in {took:.1} s");
}

async fn metric(gateway: &Gateway, line: &str) -> bool {
    let ask = gateway.ask("GET", "/metrics").header("Authorization", "Bearer watch-key");
    ask.send().await.text().lines().any(|known| known == line)
}

#[tokio::test]
async fn a_rate_lets_as_many_calls_through_three_replicas_as_through_one() {
    let Some(redis) = Redis::start(&[]).await else { return };
    let replicas = replicas(3, &redis, &json!({ "rate": "60/min" }), &json!({})).await;
    sixty_are_let_through(&replicas, "limited-key").await;
    let refused = async || {
        let answer = call(&replicas[0], "limited-key", GATEWAY, &json!({})).await;
        (answer.status == 429).then_some(answer)
    };
    let refused = until(Duration::from_secs(5), "a refused call", refused).await;
    assert_eq!(
        (refused.header("x-mcpo-error"), refused.header("retry-after")),
        (Some("rate_limited"), Some("1"))
    );
    assert!(
        refused.text().contains("may make 60 calls in 60 s (`apiKeys.limited.rate`)"),
        "{}",
        refused.text()
    );
    assert!(metric(&replicas[1], "mcpo_shared_store_up 1").await);
}

#[tokio::test]
async fn a_servers_rate_is_for_all_replicas_and_a_call_that_never_reaches_it_uses_none() {
    let Some(redis) = Redis::start(&[]).await else { return };
    let replicas = replicas(2, &redis, &json!({ "rate": "1000/h" }), &json!({ "rate": "2/h" })).await;
    let [one, two] = &replicas[..] else { panic!("two were started") };
    for _ in 0..3 {
        let refused = call(one, "limited-key", "/s/slow", &json!({ "seconds": "soon" })).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
        // Nothing waits for that, so that the next call could come before it.
        until(Duration::from_secs(5), "the call that was not made is given back", async || {
            let keys = redis.ask(&["KEYS", "mcpo:rate:server:s:*"]).await;
            let key = keys.lines().find(|line| line.starts_with("mcpo:"))?;
            // `:0` when its last arrival lies in the past, `:N` a while ahead.
            let script = "local t = redis.call('TIME'); \
                          return tonumber(redis.call('GET', KEYS[1])) <= (t[1] - 1735689600) * 1000000 + t[2] and 1 or 0";
            (redis.ask(&["EVAL", script, "1", key]).await.trim() == ":1").then_some(())
        })
        .await;
    }
    call(one, "limited-key", "/s/pid", &json!({})).await.ok();
    call(two, "watch-key", "/s/pid", &json!({})).await.ok();
    for gateway in [one, two] {
        let refused = call(gateway, "limited-key", "/s/pid", &json!({})).await;
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert!(refused.text().contains("(`mcpServers.s.rate`)"), "{}", refused.text());
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1700..=1800).contains(&wait), "{wait}");
    }
}

/// A call that the server never answers; it ends when the stream is dropped.
async fn hold(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "POST /s/wait HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer limited-key\r\n\
                Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(head.as_bytes()).await.unwrap();
    until(Duration::from_secs(20), "the call is at its server", async || {
        let metrics = gateway.ask("GET", "/metrics").header("Authorization", "Bearer watch-key").send().await;
        metrics.text().contains("mcpo_calls_in_flight{mcp_server=\"s\"} 1\n").then_some(())
    })
    .await;
    stream
}

#[tokio::test]
async fn calls_in_flight_count_over_all_replicas_and_those_of_a_killed_one_end_by_themselves() {
    let Some(redis) = Redis::start(&[]).await else { return };
    let replicas = replicas(3, &redis, &json!({ "concurrency": 2 }), &json!({})).await;
    let [killed, other, last] = &replicas[..] else { panic!("three were started") };
    let (_first, second) = (hold(killed).await, hold(other).await);
    let refused = call(last, "limited-key", GATEWAY, &json!({})).await;
    assert_eq!((refused.status, refused.header("x-mcpo-error")), (429, Some("concurrency_limited")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let said = refused.text();
    assert!(said.contains("may have 2 calls in flight (`apiKeys.limited.concurrency`)"), "{said}");

    killed.signal(Signal::SIGKILL);
    let gone = Instant::now();
    until(Duration::from_secs(45), "the place of the killed one is free", async || {
        is_let_through(last).await.then_some(())
    })
    .await;
    // Its last sign of life was given up to five seconds before.
    let after = gone.elapsed().as_secs_f64();
    assert!((24.0..=32.0).contains(&after), "{after:.1} s after it was killed");

    // One place is left while the other call is in flight, and two when its caller has left.
    let third = hold(last).await;
    assert!(!is_let_through(other).await && !is_let_through(last).await);
    drop(second);
    until(Duration::from_secs(5), "the place of the call that was given up", async || {
        is_let_through(other).await.then_some(())
    })
    .await;
    drop(third);
}

#[tokio::test]
async fn while_the_store_is_away_calls_go_on_and_nothing_is_doubled_when_it_is_back() {
    let Some(mut redis) = Redis::start(&[]).await else { return };
    let replicas = replicas(3, &redis, &json!({ "concurrency": 3 }), &json!({})).await;
    let [one, two, three] = &replicas[..] else { panic!("three were started") };
    // Held over all that follows, and one that ends while the store is away.
    let (first, ended) = (hold(one).await, hold(three).await);
    let done = AtomicBool::new(false);
    let load = async |gateway: &Gateway| {
        let mut made = 0;
        while !done.load(Ordering::Relaxed) {
            let answer = call(gateway, "rated-key", GATEWAY, &json!({})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            made += 1;
        }
        made
    };
    let all_are = async |state: &str| {
        for gateway in [one, two, three] {
            in_state(gateway, state).await;
        }
    };
    let outage = async {
        redis.kill();
        let gone = Instant::now();
        all_are("unavailable").await;
        until(Duration::from_secs(20), "ten seconds without a store", async || {
            (gone.elapsed() > Duration::from_secs(10)).then_some(())
        })
        .await;
        redis.begin().await;
        all_are("ready").await;
        redis.signal(Signal::SIGSTOP);
        all_are("unavailable").await;
        two.logged("the shared store is away: ").await;
        assert!(metric(two, "mcpo_shared_store_up 0").await);
        let reason = servers(two).await["shared"]["reason"].clone();
        assert!(reason.as_str().is_some_and(|reason| !reason.is_empty()), "{reason}");
        drop(ended);
        redis.signal(Signal::SIGCONT);
        all_are("ready").await;
        done.store(true, Ordering::Relaxed);
    };
    let (made_two, made_three, ()) = tokio::join!(load(two), load(three), outage);
    assert!(made_two > 100 && made_three > 100, "{made_two} and {made_three} calls");
    sixty_are_let_through(&replicas, "few-key").await;

    // The empty store knows the one in flight, once.
    let (second, third) = (hold(two).await, hold(three).await);
    for gateway in [one, two, three] {
        assert!(!is_let_through(gateway).await);
    }
    drop((first, second, third));
    until(Duration::from_secs(5), "all places are free", async || is_let_through(one).await.then_some(()))
        .await;
}

#[tokio::test]
async fn a_store_with_a_password_is_reached_and_its_address_is_shown_without_it() {
    let Some(redis) = Redis::start(&["--requirepass", "p@ss/word"]).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "p@ss/word\n").unwrap();
    let config = |password: &str| {
        json!({
            "shared": format!("redis://:{password}@127.0.0.1:{}/0", redis.port),
            "sharedPrefix": "home:",
            "mcpServers": { "gateway": { "builtin": "gateway" } },
            "apiKeys": { "limited": { "key": "limited-key", "rate": "1/h" }, "watch": { "key": "watch-key", "admin": true } },
        })
    };
    let gateway = Gateway::with(config(&format!("${{file:{}}}", secret.display()))).start().await;
    in_state(&gateway, "ready").await;
    assert!(is_let_through(&gateway).await && !is_let_through(&gateway).await);
    gateway.logged(&format!("the shared store redis://127.0.0.1:{}/0 is there", redis.port)).await;
    assert!(!gateway.log().contains("p@ss"), "{}", gateway.log());

    // A wrong password is no reason not to start, and is told.
    let gateway = Gateway::with(config("wrong")).start().await;
    in_state(&gateway, "unavailable").await;
    let reason = servers(&gateway).await["shared"]["reason"].to_string();
    assert!(reason.contains("username-password") && !reason.contains("wrong@"), "{reason}");
    // It counts by itself.
    assert!(is_let_through(&gateway).await && !is_let_through(&gateway).await);
}

#[tokio::test]
async fn a_user_of_the_store_needs_its_keys_and_channels_alone() {
    let rights = ["--user", "default", "off"];
    let whole = [
        "--user",
        "whole",
        "on",
        ">pass",
        "~home:*",
        "resetchannels",
        "&home:events:*",
        "+@all",
        "-@dangerous",
    ];
    // The pattern of a subscription has to be the very text.
    let other_channels = ["--user", "deaf", "on", ">pass", "~home:*", "&home:*", "+@all"];
    let Some(redis) = Redis::start(&[&rights[..], &whole, &other_channels].concat()).await else { return };
    let config = |user: &str| {
        json!({
            "shared": format!("redis://{user}:pass@127.0.0.1:{}", redis.port), "sharedPrefix": "home:",
            "mcpServers": { "gateway": { "builtin": "gateway" } },
            "apiKeys": {
                "limited": { "key": "limited-key", "rate": "1/h", "concurrency": 1 },
                "watch": { "key": "watch-key", "admin": true },
            },
        })
    };
    let gateway = Gateway::with(config("whole")).start().await;
    in_state(&gateway, "ready").await;
    assert!(is_let_through(&gateway).await && !is_let_through(&gateway).await);
    in_state(&gateway, "ready").await;

    let gateway = Gateway::with(config("deaf")).start().await;
    in_state(&gateway, "unavailable").await;
    let reason = servers(&gateway).await["shared"]["reason"].to_string();
    assert!(reason.contains("channels") && reason.contains("&mcpo:events:*"), "{reason}");
}

/// A replica as a part of the gateway has it.
async fn opened(redis: &Redis, stop: &CancellationToken) -> Arc<SharedStore> {
    let url = redis.url();
    let address: AddressSource = Box::new(move || {
        let address = StoreAddress::parse(&url);
        Box::pin(async move { address })
    });
    let (store, keeping) = SharedStore::open(address, "mcpo:", stop.clone()).await.unwrap();
    tokio::spawn(keeping);
    store
}

#[tokio::test]
async fn replicas_keep_take_tell_and_lock_together() {
    let Some(mut redis) = Redis::start(&[]).await else { return };
    let stop = CancellationToken::new();
    let (one, two) = (opened(&redis, &stop).await, opened(&redis, &stop).await);
    let minute = Duration::from_secs(60);

    one.set("ended", "a", b"1", minute).await.unwrap();
    one.set("ended", "short", b"1", Duration::from_millis(1)).await.unwrap();
    assert_eq!(two.get("ended", "a").await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(two.get("other", "a").await.unwrap(), None);
    until(Duration::from_secs(5), "a value expires", async || {
        two.get("ended", "short").await.unwrap().is_none().then_some(())
    })
    .await;
    let (first, second) = tokio::join!(one.take("ended", "a"), two.take("ended", "a"));
    assert_eq!([first.unwrap(), second.unwrap()].iter().flatten().count(), 1, "one of the two takes it");

    let mut told = two.subscribe();
    one.publish("revoked", b"token").await.unwrap();
    let event = tokio::time::timeout(Duration::from_secs(5), told.recv()).await.unwrap().unwrap();
    assert_eq!(event, StoreEvent::Told { topic: "revoked".into(), message: b"token".to_vec() });

    // The holder that was late writes nothing over its successor's value.
    let late = one.lock("tokens", Duration::from_millis(50)).await.unwrap().unwrap();
    let next =
        until(Duration::from_secs(5), "a lock expires", async || two.lock("tokens", minute).await.unwrap())
            .await;
    assert!(next.number > late.number);
    assert_eq!(one.lock("tokens", minute).await.unwrap(), None);
    assert!(one.write("value", &late, b"before any other", minute).await.unwrap());
    assert!(two.write("value", &next, b"new", minute).await.unwrap());
    assert!(!one.write("value", &late, b"late", minute).await.unwrap());
    assert_eq!(one.read("value", "tokens").await.unwrap().as_deref(), Some(&b"new"[..]));
    one.unlock(&late).await.unwrap();
    assert_eq!(one.lock("tokens", minute).await.unwrap(), None, "it was not its own any more");
    two.unlock(&next).await.unwrap();
    assert!(one.lock("tokens", minute).await.unwrap().is_some());

    redis.kill();
    assert_eq!(one.get("ended", "a").await, Err(StoreAway));
    assert!(one.status().reason.is_some());
    stop.cancel();
}

#[tokio::test]
async fn a_store_is_reached_over_tls_by_its_certificate_alone() {
    let edge = provisioned::root().join("tests/integration/edge");
    let (certificate, key) = (edge.join("certificate.pem"), edge.join("key.pem"));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    let port = free_port();
    let tls = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no", "--tls-cert-file", certificate];
    let options = [&tls[..], &["--tls-key-file", key, "--tls-ca-cert-file", certificate]].concat();
    let Some(_redis) = Redis::start(&options).await else { return };
    let config = json!({
        "shared": format!("rediss://localhost:{port}"),
        "mcpServers": { "gateway": { "builtin": "gateway" } },
        "apiKeys": { "watch": { "key": "watch-key", "admin": true } },
    });
    let trusting = Gateway::with(config.clone()).environment("SSL_CERT_FILE", certificate).start().await;
    in_state(&trusting, "ready").await;
    let careful = Gateway::with(config).start().await;
    in_state(&careful, "unavailable").await;
    let reason = servers(&careful).await["shared"]["reason"].to_string();
    assert!(reason.contains("certificate"), "{reason}");
}
