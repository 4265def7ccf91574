//! Bodies of one key that are many, slow, or made to become many times their size: another key's calls go on, and memory
//! stays under the room for bodies.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::process;
use crate::support::mcp::Session;
use crate::support::{Ask, Gateway, servers, until};

/// What the gateway holds for connections, tasks and its allocator's free pages, in kB.
const SLACK: usize = 48 << 10;

async fn gateway(limits: Value) -> Gateway {
    let keys = json!({ "a": "key-a", "b": "key-b" });
    let config = json!({ "mcpServers": { "s": servers::scripted(&[]) }, "apiKeys": keys, "limits": limits });
    let gateway = Gateway::with(config).start().await;
    until(Duration::from_secs(60), "s answers", async || {
        (ask(&gateway, "b", "/s/pid").json(&json!({})).send().await.status == 200).then_some(())
    })
    .await;
    gateway
}

fn ask(gateway: &Gateway, key: &str, path: &str) -> Ask {
    gateway.ask("POST", path).header("Authorization", &format!("Bearer key-{key}"))
}

#[tokio::test]
async fn slow_bodies_of_one_key_keep_no_other_key_from_its_large_call_and_not_its_own_for_long() {
    let gateway = gateway(json!({})).await;
    let mut dripping = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let head = "POST /s/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer key-a\r\n\
                    Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut piece = format!("{head}{:x}\r\n", 70 << 10).into_bytes();
        piece.resize(piece.len() + (70 << 10), b' ');
        piece.extend_from_slice(b"\r\n");
        stream.write_all(&piece).await.unwrap();
        dripping.push(tokio::spawn(async move {
            while stream.write_all(b"400\r\n").await.is_ok()
                && stream.write_all(&[b' '; 1024]).await.is_ok()
                && stream.write_all(b"\r\n").await.is_ok()
            {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }));
    }
    let large = json!({ "value": "x".repeat(100 << 10) });
    let other = ask(&gateway, "b", "/s/echo").json(&large).send();
    let other = tokio::time::timeout(Duration::from_secs(5), other).await.expect("it waits for the slow");
    assert_eq!(other.status, 200, "{}", other.text());
    // Those of the same key are ended one by one.
    let own = ask(&gateway, "a", "/s/echo").json(&large).send();
    let own = tokio::time::timeout(Duration::from_secs(25), own).await.expect("it waits for the slow");
    assert_eq!(own.status, 200, "{}", own.text());
    gateway.logged("408 body_too_slow by a").await;
    for drip in dripping {
        drip.abort();
    }
}

/// Hostile texts of `size` bytes that would be many times as much as a tree of values.
fn lists(size: usize) -> [String; 2] {
    [format!("[{}0]", "[],".repeat(size / 3)), format!("{{{}\"z\":0}}", "\"\":0,".repeat(size / 5))]
}

#[tokio::test]
async fn a_message_or_a_models_turn_becomes_no_tree() {
    let gateway = gateway(json!({})).await;
    let size = 9 << 20;
    let session = Session::open_with(ask(&gateway, "a", "/mcp")).await;
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let json_rpc = |rest: &str| format!(r#"{{"jsonrpc":"2.0",{rest}}}"#);
    for text in lists(size) {
        let messages = [
            json_rpc(&format!(r#""method":"ping","id":{text}"#)),
            json_rpc(&format!(r#""method":"ping","id":1,"params":{{"_meta":{{"progressToken":{text}}}}}"#)),
            json_rpc(&format!(r#""method":"ping","id":1,"params":{text}"#)),
            json_rpc(&format!(
                r#""method":"prompts/get","id":1,"params":{{"name":"s_x","arguments":{text}}}"#
            )),
            json_rpc(&format!(
                r#""method":"initialize","id":1,"params":{{"capabilities":{{"roots":{text}}}}}"#
            )),
            json_rpc(&format!(r#""method":"tools/call","id":1,"params":{{"name":"s_pid","_meta":{text}}}"#)),
        ];
        for message in messages {
            let sent = ask(&gateway, "a", "/mcp")
                .header("Content-Type", "application/json")
                .header("Accept", "application/json, text/event-stream")
                .header("Mcp-Session-Id", &session.id);
            let answer = sent.body(message.clone()).send().await;
            assert!([200, 400].contains(&answer.status), "{}: {}", &message[..60], answer.text());
        }
        for turn in [text.clone(), format!(r#"{{"tool_calls":{text}}}"#), format!(r#"{{"choices":{text}}}"#)]
        {
            let sent = ask(&gateway, "a", "/v1/tools/call").header("Content-Type", "application/json");
            let answer = sent.body(turn).send().await;
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
    }
    let peak = process::peak(gateway.pid());
    eprintln!("trees: {before} kB before, {peak} kB at most");
    assert!(peak < before + 6 * (size >> 10) + SLACK, "{peak} kB, from {before}");
}
