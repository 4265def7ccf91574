//! A gateway that may open few files.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Gateway, servers, until};

#[tokio::test]
async fn callers_without_number_leave_descriptors_for_the_servers_and_are_served_in_turn() {
    let servers = json!({ "s": servers::scripted(&[]), "other": servers::scripted(&[]) });
    let gateway = Gateway::serving(servers).after("ulimit -n 64").start().await;
    gateway.listed(&["s", "other"]).await;
    let child = gateway.post("/s/pid", &json!({})).await.ok();

    let mut open = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream
            .write_all(b"POST /other/pid HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        open.push(stream);
    }
    gateway.logged("LimitNOFILE").await;
    assert!(open[0].read(&mut [0; 100]).await.unwrap() > 0, "the first are served");
    // A child that dies now can be started again.
    let number = child.as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(number).unwrap()), Signal::SIGKILL).unwrap();
    gateway.logged("s is ready").await;
    open.drain(..70);
    for mut stream in open {
        let answer = tokio::time::timeout(Duration::from_secs(20), async {
            let mut answer = vec![0; 2048];
            let count = stream.read(&mut answer).await.unwrap();
            String::from_utf8_lossy(&answer[..count]).into_owned()
        });
        let answer = answer.await.expect("those that waited are served when others leave");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let back = until(Duration::from_secs(20), "the server again", async || {
        let answer = gateway.post("/s/pid", &json!({})).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_ne!(back, child);
    assert!(!gateway.log().contains("Too many open files"), "{}", gateway.log());
}

#[tokio::test]
async fn servers_that_take_all_descriptors_leave_one_for_the_next_caller() {
    let many: serde_json::Map<_, _> =
        (0..8).map(|number| (format!("s{number}"), servers::scripted(&[]))).collect();
    let gateway = Gateway::serving(many.into()).after("ulimit -n 24").start().await;
    gateway.logged("Too many open files").await;
    for _ in 0..3 {
        let health = tokio::time::timeout(Duration::from_secs(10), gateway.get("/health")).await;
        assert_eq!(health.expect("an answer in time").status, 200);
    }
}
