//! Bodies that are huge, slow, deep or of a million pieces.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::beside::Beside;
use super::{chaos, head, process};
use crate::support::{Gateway, servers};

const LIMIT: usize = 1 << 20;
const LIMIT_KB: usize = LIMIT >> 10;
/// What the gateway holds for connections, tasks and its allocator's free pages, in kB.
const SLACK: usize = 16 << 10;

async fn gateway(limits: serde_json::Value) -> Gateway {
    let servers = json!({ "s": chaos(&[]), "other": servers::scripted(&[]) });
    let gateway = Gateway::with(json!({ "mcpServers": servers, "limits": limits })).start().await;
    gateway.listed(&["s", "other"]).await;
    gateway
}

/// Sends pieces until there is an answer; gives the answer's beginning.
async fn pour(mut stream: TcpStream, head: &str, piece: &[u8], count: usize) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let pouring = async {
        for _ in 0..count {
            if writer.write_all(piece).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = vec![0; 2048];
    tokio::select! {
        () = pouring => unreachable!("it never ends"),
        read = reader.read(&mut answer) => {
            let count = read.unwrap();
            String::from_utf8_lossy(&answer[..count]).into_owned()
        }
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_whether_announced_or_not_and_memory_stays() {
    let gateway = gateway(json!({ "bodyBytes": LIMIT })).await;
    let beside = Beside::start(&gateway, "other");
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let clients = 16;
    for announced in [true, false] {
        let mut pouring = Vec::new();
        for _ in 0..clients {
            let stream = TcpStream::connect(gateway.address).await.unwrap();
            let head = match announced {
                true => head("/s/echo", 1 << 40),
                false => "POST /s/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                    .to_owned(),
            };
            let mut piece = format!("{:x}\r\n", 32 << 10).into_bytes();
            piece.resize(piece.len() + (32 << 10), b' ');
            piece.extend_from_slice(b"\r\n");
            pouring.push(tokio::spawn(async move { pour(stream, &head, &piece, 1000).await }));
        }
        for answer in pouring {
            let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap();
            assert!(answer.starts_with("HTTP/1.1 413"), "announced: {announced}: {answer}");
        }
    }
    beside.end("bodies over the limit").await;
    // The buffer of a body doubles as it grows, and is copied once when it does.
    let (peak, bound) = (process::peak(gateway.pid()), before + 3 * clients * LIMIT_KB + SLACK);
    eprintln!("bodies over the limit: {before} kB before, {peak} kB at most");
    assert!(peak < bound, "{peak} kB, above {bound}");
}

#[tokio::test]
async fn bodies_that_drip_are_given_up_and_hold_up_nobody() {
    let gateway = gateway(json!({ "bodyTimeout": 2 })).await;
    let beside = Beside::start(&gateway, "other");
    let began = Instant::now();
    let mut dripping = Vec::new();
    for _ in 0..300 {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        dripping.push(tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            let writing = tokio::spawn(async move {
                writer.write_all(head("/s/echo", 1 << 20).as_bytes()).await.unwrap();
                while writer.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            });
            let mut answer = vec![0; 2048];
            let count = reader.read(&mut answer).await.unwrap();
            writing.abort();
            String::from_utf8_lossy(&answer[..count]).into_owned()
        }));
    }
    for answer in dripping {
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("limits.bodyTimeout"), "{answer}");
    }
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
    beside.end("bodies that drip").await;
}

#[tokio::test]
async fn a_body_a_hundred_thousand_levels_deep_is_refused() {
    let gateway = gateway(json!({})).await;
    let depth = 100_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let body = format!("{{\"value\":{}1{}}}", open.repeat(depth), close.repeat(depth));
        let ask = gateway.ask("POST", "/s/echo").header("Content-Type", "application/json").body(body);
        let answer = ask.send().await;
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    gateway.post("/s/pid", &json!({})).await.ok();
}

#[tokio::test]
async fn a_million_members_delay_no_other_call_and_their_memory_is_given_back() {
    let gateway = gateway(json!({})).await;
    let mut body = String::from("{\"m\":0");
    for member in 0..700_000 {
        write!(body, ",\"{member:x}\":0").unwrap();
    }
    body.push('}');
    let size = body.len() >> 10;
    assert!(size < 10 << 10, "under the limit");
    let beside = Beside::start(&gateway, "other");
    let before = process::resident(gateway.pid());
    process::forget_peak(gateway.pid());
    let mut after = Vec::new();
    for _ in 0..4 {
        let ask = gateway.ask("POST", "/s/pid").header("Content-Type", "application/json").body(body.clone());
        let answer = ask.send().await;
        assert!([200, 422].contains(&answer.status), "{} {}", answer.status, answer.text());
        after.push(process::resident(gateway.pid()));
    }
    beside.end("a million members").await;
    let peak = process::peak(gateway.pid());
    eprintln!(
        "a million members of {size} kB: {before} kB before, {peak} kB at most, {after:?} kB after each"
    );
    // A member of a tree takes about two hundred bytes, whatever its own length; the allocator keeps a part.
    assert!(peak < before + 40 * size, "{peak} kB for {size} kB of body");
    let most = after.iter().max().unwrap();
    assert!(*most < before + 16 * size + SLACK, "{most} kB are kept");
}
