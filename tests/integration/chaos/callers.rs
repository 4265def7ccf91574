//! Clients that reset in every phase of a call, and clients that never read their answers.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::beside::Beside;
use super::{chaos, head, process};
use crate::support::{Gateway, servers, until};

fn logged(log: &Path, method: &str) -> usize {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter(|message| message["method"] == method).count()
}

/// Closes with a reset instead of an orderly end.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

#[tokio::test]
async fn a_hundred_resets_cancel_their_calls_and_give_their_places_back() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = chaos(&["--log", log.to_str().unwrap()]);
    server["concurrency"] = json!(2);
    let servers = json!({ "s": server, "other": servers::scripted(&[]) });
    let gateway = Gateway::serving(servers).start().await;
    gateway.listed(&["s", "other"]).await;
    let beside = Beside::start(&gateway, "other");
    let descriptors = process::descriptors(gateway.pid());

    for _ in 0..20 {
        // In the middle of the head, and of the body.
        for length in [40, head("/s/wait", 1000).len() + 500] {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            let request = format!("{}{}", head("/s/wait", 1000), " ".repeat(1000));
            stream.write_all(&request.as_bytes()[..length]).await.unwrap();
            reset(stream);
        }
    }
    let mut cancelled = 0;
    for _ in 0..20 {
        // Before the answer. Both places are taken, so each pair must give its back for the next to be sent.
        let mut pair = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(gateway.address).await.unwrap();
            stream.write_all(format!("{}{{}}", head("/s/wait", 2)).as_bytes()).await.unwrap();
            pair.push(stream);
        }
        until(Duration::from_secs(20), "two more calls at the server", async || {
            (logged(&log, "tools/call") == cancelled + 2).then_some(())
        })
        .await;
        pair.into_iter().for_each(reset);
        cancelled += 2;
        until(Duration::from_secs(20), "two more cancellations at the server", async || {
            (logged(&log, "notifications/cancelled") == cancelled).then_some(())
        })
        .await;
    }
    for _ in 0..20 {
        // In the middle of the answer.
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let body = json!({ "bytes": 1 << 20 }).to_string();
        stream.write_all(format!("{}{body}", head("/s/giant", body.len())).as_bytes()).await.unwrap();
        assert!(stream.read(&mut [0; 1000]).await.unwrap() > 0, "an answer begins");
        reset(stream);
    }
    beside.end("resets").await;
    for value in 0..4 {
        assert_eq!(gateway.post("/s/echo", &json!({ "value": value })).await.ok(), json!({ "value": value }));
    }
    until(Duration::from_secs(20), "the descriptors of before", async || {
        (process::descriptors(gateway.pid()) <= descriptors).then_some(())
    })
    .await;
}

#[tokio::test]
async fn answers_that_nobody_reads_are_given_up_and_their_memory_with_them() {
    let config = json!({
        "mcpServers": { "s": chaos(&[]), "other": servers::scripted(&[]) },
        "limits": { "idleTimeout": 2, "headerTimeout": 2 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s", "other"]).await;
    let beside = Beside::start(&gateway, "other");
    let (clients, size) = (100, 4 << 20);
    let (before, descriptors) = (process::resident(gateway.pid()), process::descriptors(gateway.pid()));
    let mut deaf = Vec::new();
    for _ in 0..clients {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(gateway.address).await.unwrap();
        let body = json!({ "bytes": size }).to_string();
        stream.write_all(format!("{}{body}", head("/s/giant", body.len())).as_bytes()).await.unwrap();
        // Answered one after the other, so that the server is not what is measured.
        assert!(stream.read(&mut [0; 100]).await.unwrap() > 0, "an answer begins");
        deaf.push(stream);
    }
    let held = process::resident(gateway.pid());
    until(Duration::from_secs(20), "the end of every connection that takes nothing", async || {
        (process::descriptors(gateway.pid()) <= descriptors).then_some(())
    })
    .await;
    let after = process::resident(gateway.pid());
    eprintln!("unread answers: {before} kB before, {held} kB held, {after} kB after");
    assert!(after < before + (32 << 10), "{after} kB are kept, of {held}");
    beside.end("unread answers").await;
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_arrives_whole() {
    let config = json!({
        "mcpServers": { "s": chaos(&[]) },
        "limits": { "idleTimeout": 1, "headerTimeout": 1 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s"]).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = json!({ "bytes": 16 << 20 }).to_string();
    stream.write_all(format!("{}{body}", head("/s/giant", body.len())).as_bytes()).await.unwrap();
    let (mut read, mut piece) = (0, vec![0; 128 << 10]);
    let end = loop {
        match stream.read(&mut piece).await {
            Ok(0) => break Ok(()),
            Ok(count) => read += count,
            Err(error) => break Err(error),
        }
        // About six seconds for the whole: many times the limit.
        tokio::time::sleep(Duration::from_millis(45)).await;
    };
    assert!(read > 16 << 20, "{read} bytes came, then {end:?}");
}
