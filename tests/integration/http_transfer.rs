//! What lies between the gateway and HTTP servers: compressed answers, cookies, credentials in the address, proxies, and
//! connections that servers end while they rest.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::Gateway;
use crate::support::fake_http::{Came, FakeHttp, Says, plain, result};

/// `text` as a stored block of gzip (RFC 1951, section 3.2.4), which is how a compressor packs what it cannot shorten.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let length = u32::try_from(text.len()).unwrap();
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    let block = u16::try_from(text.len()).unwrap();
    packed.extend([block.to_le_bytes(), (!block).to_le_bytes()].concat());
    packed.extend(text);
    packed.extend([(!crc).to_le_bytes(), length.to_le_bytes()].concat());
    packed
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_compressed_unasked_are_read() {
    let packed = |came: &Came, events: bool| {
        let answer = result(&came.message)?.to_string();
        Some(match events {
            false => Says::new(200, "application/json", gzip(answer.as_bytes())),
            true => Says::new(200, "text/event-stream", gzip(format!("data: {answer}\n\n").as_bytes())),
        })
    };
    let json = FakeHttp::start(move |came| Some(packed(came, false)?.with("Content-Encoding", "gzip"))).await;
    let events =
        FakeHttp::start(move |came| Some(packed(came, true)?.with("Content-Encoding", "x-gzip"))).await;
    let odd =
        FakeHttp::start(move |came| Some(packed(came, false)?.with("Content-Encoding", "compress"))).await;
    let servers = json!({ "json": json.entry(), "events": events.entry(), "odd": odd.entry() });
    let gateway = Gateway::serving(servers).start().await;
    for name in ["json", "events"] {
        gateway.ready(&[name]).await;
        assert_eq!(gateway.post(&format!("/{name}/t"), &json!({})).await.ok(), "done");
    }
    assert!(
        json.came().iter().all(|came| came.header("accept-encoding").is_empty()),
        "nothing was asked for"
    );
    let state = gateway.in_state("odd", "unavailable").await;
    assert!(state["reason"].to_string().contains("content encoding `compress`"), "{state}");
}

/// 64 MB of spaces behind the start of an answer, packed to 62 kB by Python.
fn bomb() -> Vec<u8> {
    let pack = "import gzip,sys\nsys.stdout.buffer.write(gzip.compress(b' '*(64<<20)))";
    let packed = std::process::Command::new("python3").args(["-c", pack]).output().unwrap();
    assert!(packed.status.success() && packed.stdout.len() < 100 << 10);
    packed.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_small_only_while_it_is_packed_meets_the_limit() {
    let packed = bomb();
    let server = FakeHttp::start(move |came| {
        let says = |kind| Says::new(200, kind, packed.clone()).with("Content-Encoding", "gzip");
        match (came.asks(), came.message["params"]["name"].as_str()) {
            ("tools/call", Some("t")) => Some(says("application/json")),
            ("tools/call", _) => Some(says("text/event-stream")),
            _ => None,
        }
    })
    .await;
    let config = json!({ "mcpServers": { "s": server.entry() }, "limits": { "resultBytes": 1 << 20 } });
    let gateway = Gateway::with(config).start().await;
    gateway.ready(&["s"]).await;
    for tool in ["t", "fine"] {
        let call = gateway.post(&format!("/s/{tool}"), &json!({})).await;
        assert_eq!(call.status, 502, "{}", call.text());
        assert!(call.text().contains("larger than the limit of 1048576 bytes"), "{}", call.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_finds_its_client_by_the_cookie_that_it_has_set() {
    let known = Arc::new(Mutex::new(BTreeSet::new()));
    let turns = Arc::new(Mutex::new(0));
    let server = FakeHttp::start(move |came| {
        let replica = match came.header("cookie").split("; ").find_map(|pair| pair.strip_prefix("AWSALB=")) {
            Some(replica) => replica.to_owned(),
            None => {
                let mut turns = turns.lock().unwrap();
                *turns += 1;
                format!("r{turns}")
            }
        };
        let cookie = format!("AWSALB={replica}; Expires=Sun, 06 Dec 2099 12:00:00 GMT; Path=/");
        if came.asks() == "initialize" {
            known.lock().unwrap().insert(replica.clone());
            return Some(plain(came).with("Mcp-Session-Id", &replica).with("Set-Cookie", &cookie));
        }
        let says = match came.header("mcp-session-id") == replica && known.lock().unwrap().contains(&replica)
        {
            true => plain(came),
            false => Says::new(404, "text/plain", "Session not found"),
        };
        Some(says.with("Set-Cookie", &cookie).with("Set-Cookie", "other=1; Path=/elsewhere"))
    })
    .await;
    let mut entry = server.entry();
    entry["headers"] = json!({ "Cookie": "own=1" });
    let gateway = Gateway::serving(json!({ "s": entry })).start().await;
    gateway.ready(&["s"]).await;
    for _ in 0..6 {
        assert_eq!(gateway.post("/s/t", &json!({})).await.ok(), "done");
    }
    assert_eq!(server.times("initialize"), 1);
    let calls = server.came().into_iter().filter(|came| came.asks() == "tools/call");
    for call in calls {
        let cookies = call.header("cookie");
        assert!(cookies.starts_with("own=1; AWSALB=r") && !cookies.contains("other"), "{cookies}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_password_of_a_url_are_used_and_shown_to_nobody() {
    let wanted = format!("Basic {}", STANDARD.encode("me:p@ssw0rd"));
    let server = FakeHttp::start(move |came| {
        let says = Says::new(401, "text/plain", format!("not {}", came.header("authorization")));
        (came.header("authorization") != wanted).then(|| says.with("WWW-Authenticate", "Basic realm=x"))
    })
    .await;
    let entry =
        |user: &str| json!({ "type": "http", "url": format!("http://{user}@127.0.0.1:{}/mcp", server.port) });
    let mut own = entry("other:secret77");
    own["headers"] = json!({ "Authorization": format!("Basic {}", STANDARD.encode("me:p@ssw0rd")) });
    let servers = json!({
        "literal": entry("me:p%40ssw0rd"),
        "reference": entry("me:${env:PW}"),
        "headers_win": own,
        "wrong": entry("me:secret77"),
    });
    let gateway = Gateway::serving(servers).environment("PW", "p%40ssw0rd").start().await;
    for name in ["literal", "reference", "headers_win"] {
        gateway.ready(&[name]).await;
        assert_eq!(gateway.post(&format!("/{name}/t"), &json!({})).await.ok(), "done", "{name}");
    }
    let wrong = gateway.in_state("wrong", "unavailable").await.to_string();
    assert!(wrong.contains("401") && wrong.contains("***"), "{wrong}");
    for text in [gateway.log(), gateway.get("/servers").await.text()] {
        for secret in ["p@ssw0rd", "p%40ss", "secret77", &STANDARD.encode("me:secret77")] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxies_of_the_environment_are_used() {
    let direct = FakeHttp::start(|_| None).await;
    // As a proxy for plain HTTP: the target is a whole address.
    let proxy = FakeHttp::start(|came| match came.path.as_str() {
        "http://mcp.corp.example/mcp" => None,
        _ => Some(Says::new(502, "text/plain", "the proxy knows no such host")),
    })
    .await;
    let servers = json!({
        "corp": { "type": "http", "url": "http://mcp.corp.example/mcp" },
        "unknown": { "type": "http", "url": "http://unknown.example/mcp" },
        "secure": { "type": "http", "url": "https://mcp.corp.example/mcp" },
        "excepted": { "type": "http", "url": "http://inner.example.invalid/mcp" },
        "local": direct.entry(),
    });
    let address = format!("http://me:p%40ss@127.0.0.1:{}", proxy.port);
    let gateway = Gateway::serving(servers)
        .environment("HTTP_PROXY", &address)
        .environment("HTTPS_PROXY", &address)
        .environment("NO_PROXY", "example.invalid")
        .environment("http_proxy", "")
        .environment("https_proxy", "")
        .start()
        .await;
    gateway.ready(&["corp", "local"]).await;
    assert_eq!(gateway.post("/corp/t", &json!({})).await.ok(), "done");
    assert_eq!(gateway.post("/local/t", &json!({})).await.ok(), "done");
    for (name, words) in [
        ("unknown", "the proxy knows no such host"),
        ("secure", &*format!("through the proxy http://127.0.0.1:{}", proxy.port)),
        ("excepted", "cannot connect to http://inner.example.invalid"),
    ] {
        let reason = gateway.in_state(name, "unavailable").await["reason"].to_string();
        assert!(reason.contains(words), "{name}: {reason}");
    }
    let came = proxy.came();
    let asked: BTreeSet<&str> = came.iter().map(|came| came.path.as_str()).collect();
    let expected = ["http://mcp.corp.example/mcp", "http://unknown.example/mcp", "mcp.corp.example:443"];
    assert_eq!(asked, BTreeSet::from(expected));
    assert!(came.iter().all(|came| came.header("proxy-authorization") == "Basic bWU6cEBzcw=="));
    assert!(direct.came().iter().all(|came| came.header("proxy-authorization").is_empty()));
    assert!(!gateway.log().contains("p%40ss"), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_no_longer_than_its_server_keeps_it() {
    let server = FakeHttp::start(|came| Some(plain(came).with("Keep-Alive", "timeout=1"))).await;
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    gateway.ready(&["s"]).await;
    let connection_of_a_call = async || {
        assert_eq!(gateway.post("/s/t", &json!({})).await.ok(), "done");
        server.came().iter().rfind(|came| came.asks() == "tools/call").unwrap().connection
    };
    let (first, second) = (connection_of_a_call().await, connection_of_a_call().await);
    assert_eq!(first, second, "one after the other they share it");
    // The time itself is what is tested: a connection that rested for so long is about to be ended.
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_ne!(connection_of_a_call().await, first);
}
