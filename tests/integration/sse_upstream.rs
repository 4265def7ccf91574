//! A server that speaks the older HTTP+SSE transport.

use std::time::Duration;

use serde_json::json;

use crate::support::servers::Running;
use crate::support::{Gateway, free_port, provisioned, until};

#[tokio::test]
async fn an_sse_server_is_served_and_survives_a_restart() {
    let Some(command) = provisioned::node("mcp-server-everything") else { return };
    let port = free_port();
    let number = port.to_string();
    let command = [command.to_str().unwrap(), "sse"];
    let mut server = Running::on_port(&command, &[("PORT", &number)], port).await;
    let url = format!("http://127.0.0.1:{port}/sse");
    // Without a type the transport is found out.
    let config = json!({ "typed": { "type": "sse", "url": url }, "bare": { "url": url } });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["typed", "bare"]).await;
    let body = json!({ "message": "x" });
    for path in ["/typed/echo", "/bare/echo"] {
        assert_eq!(gateway.post(path, &body).await.ok(), "Echo: x");
    }
    server.kill();
    let down = gateway.post("/typed/echo", &body).await;
    assert!([502, 503].contains(&down.status), "{} {}", down.status, down.text());
    server.restart(port).await;
    for path in ["/typed/echo", "/bare/echo"] {
        until(Duration::from_secs(60), &format!("{path} to answer again"), async || {
            (gateway.post(path, &body).await.status == 200).then_some(())
        })
        .await;
    }
}
