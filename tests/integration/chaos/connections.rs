//! Connections by the thousand, at their limit, and by the letter.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::beside::Beside;
use super::process;
use crate::support::mcp::Session;
use crate::support::{Gateway, servers, until};

/// As many as this process may open, up to four thousand; each costs a descriptor here and one there.
fn many() -> usize {
    let allowed = getrlimit(Resource::Nofile);
    let soft = allowed.maximum.map_or(16_384, |most| most.min(16_384));
    let wanted =
        Rlimit { current: Some(soft.max(allowed.current.unwrap_or(soft))), maximum: allowed.maximum };
    let _stays_as_it_is = setrlimit(Resource::Nofile, wanted);
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(16_384);
    usize::try_from(allowed).unwrap().saturating_sub(1000).min(4000)
}

async fn gateway(limits: serde_json::Value) -> Gateway {
    let config = json!({ "mcpServers": { "other": servers::scripted(&[]) }, "limits": limits });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["other"]).await;
    gateway
}

async fn asked(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 2048];
    let count = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[tokio::test]
async fn thousands_of_idle_connections_cost_little_and_hold_up_nobody() {
    let count = many();
    let gateway = gateway(json!({ "connections": 5000, "headerTimeout": 60 })).await;
    let (before, descriptors) = (process::resident(gateway.pid()), process::descriptors(gateway.pid()));
    let mut idle = Vec::new();
    for number in 0..count {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        if number % 2 == 0 {
            assert!(asked(&mut stream).await.starts_with("HTTP/1.1 200"));
        }
        idle.push(stream);
    }
    until(Duration::from_secs(20), "all of them to be accepted", async || {
        (process::descriptors(gateway.pid()) + 8 >= descriptors + count).then_some(())
    })
    .await;
    let beside = Beside::start(&gateway, "other");
    tokio::time::sleep(Duration::from_millis(500)).await;
    beside.end(&format!("{count} idle connections")).await;
    let held = process::resident(gateway.pid());
    eprintln!("{count} idle connections: {before} kB before, {held} kB with them");
    assert!(held < before + 24 * count, "{} kB each", (held - before) / count);
    drop(idle);
    until(Duration::from_secs(20), "the descriptors of before", async || {
        (process::descriptors(gateway.pid()) <= descriptors).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_and_are_served_when_others_leave() {
    let gateway = gateway(json!({ "connections": 20 })).await;
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        assert!(asked(&mut stream).await.starts_with("HTTP/1.1 200"));
        open.push(stream);
    }
    let waiting: Vec<_> = (0..10)
        .map(|_| {
            let address = gateway.address;
            tokio::spawn(async move { asked(&mut TcpStream::connect(address).await.unwrap()).await })
        })
        .collect();
    gateway.logged("limits.connections").await;
    assert!(waiting.iter().all(|caller| !caller.is_finished()), "served beside the limit");
    drop(open);
    for caller in waiting {
        let answer = tokio::time::timeout(Duration::from_secs(20), caller).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// A stream of events, which says something every fifteen seconds, is none of those that rest.
#[tokio::test]
async fn connections_that_rest_make_room_when_all_are_in_use() {
    let gateway = gateway(json!({ "connections": 4 })).await;
    let session = Session::open(&gateway, "/mcp").await;
    let mut stream = session.stream(&gateway, "/mcp").await;
    let mut resting = Vec::new();
    for _ in 0..3 {
        let mut connection = TcpStream::connect(gateway.address).await.unwrap();
        assert!(asked(&mut connection).await.starts_with("HTTP/1.1 200"));
        resting.push(connection);
    }
    // Long before the idle timeout of 75 s.
    let mut waiting = TcpStream::connect(gateway.address).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(40), asked(&mut waiting)).await;
    assert!(answer.expect("kept out").starts_with("HTTP/1.1 200"));
    stream.until(": ").await;
}

#[tokio::test]
async fn heads_by_the_letter_end_at_the_header_timeout() {
    let gateway = gateway(json!({ "headerTimeout": 2 })).await;
    let beside = Beside::start(&gateway, "other");
    let slow: Vec<_> = (0..500)
        .map(|_| {
            let address = gateway.address;
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let (began, mut byte) = (Instant::now(), [0]);
                for letter in b"POST /other/echo HTTP/1.1\r\nHost: 127.0.0.1\r\n".chunks(1) {
                    let gone = async {
                        if stream.write_all(letter).await.is_ok() {
                            let ended = stream.read(&mut byte);
                            tokio::time::timeout(Duration::from_millis(500), ended).await.is_ok()
                        } else {
                            true
                        }
                    };
                    if gone.await {
                        return began.elapsed();
                    }
                }
                panic!("it was listened to for {:?}", began.elapsed());
            })
        })
        .collect();
    for caller in slow {
        let took = caller.await.unwrap();
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(6), "{took:?}");
    }
    beside.end("heads by the letter").await;
}
