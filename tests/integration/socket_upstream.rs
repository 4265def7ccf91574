//! A server behind a Unix socket, which speaks the framing of stdio.

use std::time::Duration;

use serde_json::json;

use crate::support::servers::{Running, script};
use crate::support::{Gateway, until};

#[tokio::test]
async fn a_socket_server_is_served_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("server.sock");
    let path = script("scripted_server.py");
    let command = ["python3", path.to_str().unwrap(), "--socket", socket.to_str().unwrap()];
    let mut server = Running::on_socket(&command, &socket).await;
    let gateway = Gateway::serving(json!({ "u": { "socket": socket } })).start().await;
    gateway.ready(&["u"]).await;
    let before = gateway.post("/u/pid", &json!({})).await.ok();
    assert_eq!(
        gateway.post("/u/echo", &json!({ "value": "x" })).await.ok()["arguments"],
        json!({ "value": "x" })
    );
    server.kill();
    std::fs::remove_file(&socket).unwrap();
    gateway.in_state("u", "unavailable").await;
    let _server = Running::on_socket(&command, &socket).await;
    let after = until(Duration::from_secs(40), "the socket server again", async || {
        let answer = gateway.post("/u/pid", &json!({})).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_ne!(after, before);
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_named_in_the_reason() {
    let gateway = Gateway::serving(json!({ "u": { "socket": "/nonexistent/of-nobody.sock" } })).start().await;
    let server = gateway.in_state("u", "unavailable").await;
    assert!(server["reason"].to_string().contains("of-nobody.sock"), "{server}");
}
