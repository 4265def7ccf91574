//! Bodies and results of one key that are many, slow, or made to become many times their size: another key's calls go on,
//! and memory stays under the rooms for them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};

use super::{chaos, process};
use crate::support::mcp::Session;
use crate::support::{Answer, Ask, Gateway, servers, until};

/// What the gateway holds for connections, tasks and its allocator's free pages, in kB.
const SLACK: usize = 48 << 10;

async fn gateway(limits: Value) -> Gateway {
    let keys = json!({ "a": "key-a", "b": "key-b" });
    let servers = json!({ "s": servers::scripted(&[]), "wild": chaos(&[]) });
    let config = json!({ "mcpServers": servers, "apiKeys": keys, "limits": limits });
    let gateway = Gateway::with(config).start().await;
    for server in ["s", "wild"] {
        until(Duration::from_secs(60), "the servers answer", async || {
            let answer = ask(&gateway, "b", &format!("/{server}/pid")).json(&json!({})).send().await;
            (answer.status == 200).then_some(())
        })
        .await;
    }
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

/// A client that sends a request with this head and body, and reads nothing.
async fn deaf(gateway: &Gateway, path: &str, head: &str, body: &Value) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(gateway.address).await.unwrap();
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer key-a\r\nContent-Type: application/json\r\n\
         {head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Asks until there is an answer; until then a refusal names the setting of the room.
async fn until_there_is_room(what: &str, ask: impl AsyncFn() -> Answer) {
    until(Duration::from_secs(60), what, async || {
        let answer = ask().await;
        assert!([200, 503].contains(&answer.status), "{}", answer.status);
        if answer.status == 503 {
            assert!(answer.text().contains("limits.resultsBytes"), "{}", answer.text());
        }
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn results_that_one_key_does_not_read_stay_under_their_room_and_another_keys_come() {
    let size = 16 << 20;
    let gateway = gateway(json!({ "resultBytes": 20 << 20, "resultsBytes": 64 << 20 })).await;
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let call = json!({ "id": "c", "type": "function", "function": { "name": "wild_giant",
                       "arguments": json!({ "bytes": size }).to_string() } });
    let mut unread = Vec::new();
    for _ in 0..12 {
        unread.push(deaf(&gateway, "/wild/giant", "", &json!({ "bytes": size })).await);
        unread.push(deaf(&gateway, "/v1/tools/call", "", &json!([call, call])).await);
    }
    // Whatever waits, what another key asks for comes; its own server is not held up.
    let large = json!({ "bytes": 1 << 20 });
    for _ in 0..5 {
        let answer = ask(&gateway, "b", "/s/big").json(&large).send();
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("it is held up");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // Clients that take nothing are cut off for the same key's next large result, which may fail meanwhile.
    until_there_is_room("a large result of the same key", async || {
        ask(&gateway, "a", "/s/big").json(&json!({ "bytes": size })).send().await
    })
    .await;
    let peak = process::peak(gateway.pid());
    eprintln!("unread results: {before} kB before, {peak} kB at most");
    // A key's half, what is made of one result while it is read, and copies on the way.
    assert!(peak < before + (160 << 10), "{peak} kB, from {before}");
}

#[tokio::test]
async fn progress_that_is_not_read_is_bounded_in_bytes_in_both_eras() {
    let gateway = gateway(json!({})).await;
    let session = Session::open_with(ask(&gateway, "a", "/mcp")).await;
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let mut unread = Vec::new();
    for number in 0..6 {
        let meta = |more: Value| {
            let mut meta = json!({ "progressToken": number });
            meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let arguments = json!({ "count": 100, "bytes": 900_000 });
            let params = json!({ "name": "wild_progress", "arguments": arguments, "_meta": meta });
            json!({ "jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params })
        };
        let accept = "Accept: application/json, text/event-stream\r\n";
        let head = format!("{accept}Mcp-Session-Id: {}\r\n", session.id);
        unread.push(deaf(&gateway, "/mcp", &head, &meta(json!({}))).await);
        let head = format!(
            "{accept}Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: wild_progress\r\n"
        );
        let declared = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        unread.push(deaf(&gateway, "/mcp", &head, &meta(declared)).await);
    }
    // The server answers one call after the other: then all progress was told.
    let last = ask(&gateway, "b", "/wild/echo").json(&json!({ "value": 1 })).send().await;
    assert_eq!(last.status, 200, "{}", last.text());
    let peak = process::peak(gateway.pid());
    eprintln!("unread progress: {before} kB before, {peak} kB at most");
    assert!(peak < before + (64 << 10), "{peak} kB, from {before}");
}

#[tokio::test]
async fn lists_that_one_key_does_not_read_stay_under_the_room_for_results_and_another_keys_come() {
    let described = ["--tells", "--prompts", "p", "--described", "400000"];
    let config = json!({
        "mcpServers": { "long": servers::entry("offering_server.py", &described) },
        "apiKeys": { "a": "key-a", "b": "key-b" },
        "limits": { "resultBytes": 8 << 20, "resultsBytes": 32 << 20 },
    });
    let gateway = Gateway::with(config).start().await;
    let declared = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let declaring = |method: &str, more: Value| {
        let mut params = json!({ "_meta": declared });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
    };
    let accept = "application/json, text/event-stream";
    let listed = async |key: &str, method: &str| {
        let ask = ask(&gateway, key, "/mcp").header("Accept", accept).header("Mcp-Method", method);
        let ask = ask.header("Mcp-Protocol-Version", "2026-07-28");
        ask.json(&declaring(method, json!({}))).send().await
    };
    until(Duration::from_secs(60), "the long list", async || {
        (listed("b", "tools/list").await.body.len() > 2 << 20).then_some(())
    })
    .await;
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let mut unread = Vec::new();
    for _ in 0..50 {
        let wanted = json!({ "notifications": { "toolsListChanged": true } });
        for (path, method, more) in [
            ("/mcp", "tools/list", json!({})),
            ("/long/mcp", "tools/list", json!({})),
            ("/mcp", "prompts/list", json!({})),
            ("/long/mcp", "subscriptions/listen", wanted),
        ] {
            let head =
                format!("Accept: {accept}\r\nMcp-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
            unread.push(deaf(&gateway, path, &head, &declaring(method, more)).await);
        }
    }
    for method in ["tools/list", "prompts/list"] {
        let answer = tokio::time::timeout(Duration::from_secs(10), listed("b", method)).await;
        let answer = answer.expect("it is held up");
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
    }
    // The key's own lists find no room, until those that are not read are cut off.
    until_there_is_room("a list of the same key", async || listed("a", "tools/list").await).await;
    let peak = process::peak(gateway.pid());
    eprintln!("unread lists: {before} kB before, {peak} kB at most");
    assert!(peak < before + (128 << 10), "{peak} kB, from {before}");
}
