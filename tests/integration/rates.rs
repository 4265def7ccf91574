//! Rates and numbers of calls in flight, of keys and of servers, on every face.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::mcp::{Session, stateless};
use crate::support::{Answer, Gateway, servers, until};

/// Servers `s` and `slow`, and the keys `limited` (with `limits`), `free` and `watch`.
fn config(limits: &Value, server: &Value) -> Value {
    let mut limited = json!({ "key": "limited-key" });
    let mut s = servers::scripted(&[]);
    for (into, from) in [(&mut limited, limits), (&mut s, server)] {
        for (name, value) in from.as_object().unwrap() {
            into[name] = value.clone();
        }
    }
    json!({
        "mcpServers": { "s": s, "gateway": { "builtin": "gateway" } },
        "apiKeys": { "limited": limited, "free": "free-key", "watch": { "key": "watch-key", "admin": true } },
    })
}

async fn started(limits: &Value, server: &Value) -> Gateway {
    let gateway = Gateway::with(config(limits, server)).start().await;
    until(Duration::from_secs(60), "s is ready", async || {
        let answer = gateway.ask("GET", "/servers").header("Authorization", "Bearer watch-key").send().await;
        let servers = answer.json()["servers"].clone();
        let ready = servers.as_array().unwrap().iter().all(|server| server["state"] == "ready");
        ready.then_some(())
    })
    .await;
    gateway
}

async fn call(gateway: &Gateway, key: &str, path: &str, body: &Value) -> Answer {
    gateway.ask("POST", path).header("Authorization", &format!("Bearer {key}")).json(body).send().await
}

async fn metrics(gateway: &Gateway) -> String {
    gateway.ask("GET", "/metrics").header("Authorization", "Bearer watch-key").send().await.text()
}

#[tokio::test]
async fn a_key_over_its_rate_is_told_when_to_come_again_on_every_face_and_other_keys_are_served() {
    let gateway = started(&json!({ "rate": { "calls": 2, "per": 3600 } }), &json!({})).await;
    for _ in 0..2 {
        call(&gateway, "limited-key", "/s/pid", &json!({})).await.ok();
    }
    let refused = call(&gateway, "limited-key", "/s/pid", &json!({})).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.header("x-mcpo-error"), Some("rate_limited"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    let said = refused.json()["detail"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("2 calls in 3600 s") && said.contains("`apiKeys.limited.rate`"), "{said}");

    // MCP: a result for the model.
    let params = json!({ "name": "pid", "arguments": {} });
    let ask = gateway.ask("POST", "/s/mcp").header("Authorization", "Bearer limited-key");
    let result = stateless(ask, "tools/call", &params).send().await.ok()["result"].clone();
    assert_eq!(result["isError"], true, "{result}");
    assert!(result["content"][0]["text"].as_str().unwrap().contains("`apiKeys.limited.rate`"), "{result}");

    // The built-in server, by itself and in front of another.
    for (tool, arguments, status) in
        [("list_servers", json!({}), 429), ("call_tool", json!({ "server": "s", "tool": "pid" }), 500)]
    {
        let refused = call(&gateway, "limited-key", &format!("/gateway/{tool}"), &arguments).await;
        assert_eq!(refused.status, status, "{}", refused.text());
        assert!(refused.text().contains("`apiKeys.limited.rate`"), "{}", refused.text());
    }
    call(&gateway, "free-key", "/s/pid", &json!({})).await.ok();

    let metrics = metrics(&gateway).await;
    assert!(metrics.contains(r#"mcpo_refusals_total{code="rate_limited"} 4"#), "{metrics}");
    assert!(metrics.contains(r#"error_type="rate_limited""#), "{metrics}");
    gateway.logged("s/pid rate_limited").await;
    gateway.logged("by limited from 127.0.0.1").await;
}

#[tokio::test]
async fn calls_come_free_again_with_time() {
    let gateway = started(&json!({ "rate": "2/s" }), &json!({})).await;
    let mut refused = false;
    for _ in 0..10 {
        refused |= call(&gateway, "limited-key", "/s/pid", &json!({})).await.status == 429;
    }
    assert!(refused, "ten calls went through within a second");
    until(Duration::from_secs(5), "a call is let through again", async || {
        (call(&gateway, "limited-key", "/s/pid", &json!({})).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_servers_rate_counts_the_calls_of_all_keys() {
    let gateway = started(&json!({}), &json!({ "rate": "2/h" })).await;
    call(&gateway, "limited-key", "/s/pid", &json!({})).await.ok();
    call(&gateway, "free-key", "/s/pid", &json!({})).await.ok();
    for key in ["limited-key", "free-key", "watch-key"] {
        let refused = call(&gateway, key, "/s/pid", &json!({})).await;
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert!(refused.text().contains("`mcpServers.s.rate`"), "{}", refused.text());
    }
    call(&gateway, "free-key", "/gateway/list_servers", &json!({})).await.ok();
}

#[tokio::test]
async fn a_key_has_so_many_calls_in_flight_and_its_next_one_when_one_has_ended() {
    let gateway = started(&json!({ "concurrency": 1 }), &json!({})).await;
    let arguments = json!({});
    let waiting = call(&gateway, "limited-key", "/s/wait", &arguments);
    let beside = async {
        until(Duration::from_secs(20), "the waiting call is under way", async || {
            metrics(&gateway).await.contains("mcpo_calls_in_flight{mcp_server=\"s\"} 1\n").then_some(())
        })
        .await;
        let refused = call(&gateway, "limited-key", "/s/pid", &json!({})).await;
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert_eq!(refused.header("x-mcpo-error"), Some("concurrency_limited"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        assert!(refused.text().contains("`apiKeys.limited.concurrency`"), "{}", refused.text());
        call(&gateway, "free-key", "/s/pid", &json!({})).await.ok();
    };
    tokio::select! {
        answer = waiting => panic!("nobody ended it: {}", answer.text()),
        () = beside => {}
    }
    // Its caller has left.
    until(Duration::from_secs(20), "the place is free again", async || {
        (call(&gateway, "limited-key", "/s/pid", &json!({})).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reload_forgives_nothing_that_an_unchanged_limit_has_counted() {
    let limits = json!({ "rate": "1/h" });
    let gateway = started(&limits, &json!({})).await;
    call(&gateway, "limited-key", "/s/pid", &json!({})).await.ok();
    let reload = async |config: Value, answer: u16| {
        let count = gateway.log().matches("the new configuration is served").count();
        gateway.rewrite(&config.to_string());
        gateway.hang_up();
        until(Duration::from_secs(20), "the new configuration to be served", async || {
            (gateway.log().matches("the new configuration is served").count() > count).then_some(())
        })
        .await;
        let status = call(&gateway, "limited-key", "/s/pid", &json!({})).await.status;
        assert_eq!(status, answer, "{config}");
    };
    reload(config(&limits, &json!({ "timeout": 20 })), 429).await;
    reload(config(&json!({ "rate": "2/h" }), &json!({ "timeout": 20 })), 200).await;
    reload(config(&json!({}), &json!({ "rate": "1/h" })), 200).await;
    reload(config(&json!({}), &json!({ "rate": "1/h" })), 429).await;
}

/// Sends the head of a JSON body of nine megabytes and `piece` of it; gives what is answered to that.
async fn answered_before_the_rest(gateway: &Gateway, path: &str, more: &str, piece: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer limited-key\r\n\
         Content-Type: application/json\r\n{more}Content-Length: 9000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(piece).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await;
    let count = read.unwrap_or_else(|_| panic!("{path}: the rest of the body is waited for")).unwrap();
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[tokio::test]
async fn a_key_over_its_limits_is_refused_before_its_body_is_read_on_every_face() {
    let waiting = json!({});
    for (limits, code) in
        [(json!({ "rate": "2/h" }), "rate_limited"), (json!({ "concurrency": 1 }), "concurrency_limited")]
    {
        let gateway = started(&limits, &json!({})).await;
        let session = gateway.ask("POST", "/s/mcp").header("Authorization", "Bearer limited-key");
        let session = Session::open_with(session).await;
        let all = async {
            // A message of MCP says what it asks for only in its body: a small one would be read.
            let large = [b' '; 80 << 10];
            let session = format!("Mcp-Session-Id: {}\r\n", session.id);
            for (path, more, piece) in [
                ("/s/echo", "", &b""[..]),
                ("/gateway/list_servers", "", b""),
                ("/gateway/call_tool", "", &large),
                ("/v1/tools/call", "", b""),
                ("/mcp", "Mcp-Protocol-Version: 2026-07-28\r\n", &large),
                ("/s/mcp", &session, &large),
            ] {
                let answer = answered_before_the_rest(&gateway, path, more, piece).await;
                assert!(answer.starts_with("HTTP/1.1 429"), "{path}: {answer}");
                assert!(answer.contains("retry-after: ") && answer.contains(code), "{path}: {answer}");
                let setting = format!("`apiKeys.limited.{}`", code.trim_end_matches("_limited"));
                assert!(answer.contains(&setting), "{path}: {answer}");
            }
        };
        if code == "rate_limited" {
            // The session was the first.
            call(&gateway, "limited-key", "/s/pid", &json!({})).await.ok();
            all.await;
            continue;
        }
        let under_way = async {
            // It may come while one of those below is under way, and is refused then.
            loop {
                let answer = call(&gateway, "limited-key", "/s/wait", &waiting).await;
                if answer.status != 429 {
                    break answer;
                }
            }
        };
        let beside = async {
            until(Duration::from_secs(20), "the waiting call is under way", async || {
                let refused = call(&gateway, "limited-key", "/s/pid", &json!({})).await;
                (refused.status == 429).then_some(())
            })
            .await;
            all.await;
        };
        tokio::select! {
            answer = under_way => panic!("nobody ended it: {}", answer.text()),
            () = beside => {}
        }
    }
}

#[tokio::test]
async fn each_call_of_a_models_turn_counts_under_the_rate() {
    let gateway = started(&json!({ "rate": { "calls": 3, "per": 3600 } }), &json!({})).await;
    let one =
        |id: usize| json!({ "id": format!("c{id}"), "type": "function", "function": { "name": "s_pid" } });
    let turn: Vec<Value> = (0..5).map(one).collect();
    let answers = call(&gateway, "limited-key", "/v1/tools/call", &json!(turn)).await.ok();
    let refused = |answer: &&Value| answer["content"].as_str().unwrap().contains("`apiKeys.limited.rate`");
    assert_eq!(answers.as_array().unwrap().iter().filter(refused).count(), 2, "{answers}");
    let next = call(&gateway, "limited-key", "/v1/tools/call", &json!([])).await;
    assert_eq!((next.status, next.header("x-mcpo-error")), (429, Some("rate_limited")), "{}", next.text());
}
