//! Sizes are bounded, and nobody without a key gets a body read.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Gateway, servers};

#[tokio::test]
async fn a_body_over_the_limit_is_refused_by_name_and_one_under_it_is_served() {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]) },
        "limits": { "bodyBytes": 4096 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.ready(&["s"]).await;
    let small = gateway.post("/s/echo", &json!({ "value": "x".repeat(3000) })).await;
    assert_eq!(small.status, 200, "{}", small.text());
    let large = gateway.post("/s/echo", &json!({ "value": "x".repeat(5000) })).await;
    assert_eq!(large.status, 413, "{}", large.text());
    assert!(
        large.text().contains("larger than 4096 bytes; the gateway's `limits.bodyBytes`"),
        "{}",
        large.text()
    );
    gateway.post("/s/pid", &json!({})).await.ok();
}

#[tokio::test]
async fn a_result_over_the_limit_is_a_fault_of_that_call_alone() {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]), "other": servers::scripted(&[]) },
        "limits": { "resultBytes": 65536 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.ready(&["s", "other"]).await;
    let small = gateway.post("/s/big", &json!({ "bytes": 30000 })).await;
    assert_eq!(small.ok().as_str().unwrap().len(), 30000);
    let large = gateway.post("/s/big", &json!({ "bytes": 200_000 })).await;
    assert_eq!(large.status, 502, "{}", large.text());
    assert!(large.text().contains("65536 bytes (limits.resultBytes)"), "{}", large.text());
    gateway.post("/other/pid", &json!({})).await.ok();
}

#[tokio::test]
async fn who_has_no_key_is_refused_before_the_body_is_sent() {
    let gateway =
        Gateway::serving(json!({ "s": servers::scripted(&[]) })).flag("--api-key", "k3y").start().await;
    gateway.ready(&["s"]).await;
    for (authorization, wanted) in [("", "401"), ("Authorization: Bearer wrong\r\n", "403")] {
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        // Nine megabytes are announced, and not a byte of them is sent.
        let head = format!(
            "POST /s/echo HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}Content-Type: application/json\r\n\
             Content-Length: 9000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        let count = read.expect("no answer before the body was sent").unwrap();
        let text = String::from_utf8_lossy(&answer[..count]);
        assert!(text.starts_with(&format!("HTTP/1.1 {wanted}")), "{text}");
    }
}

#[tokio::test]
async fn who_does_not_finish_a_request_holds_up_nobody() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(b"POST /s/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le").await.unwrap();
        idle.push(stream);
    }
    gateway.post("/s/pid", &json!({})).await.ok();
}
