//! A server with several addresses: the first that serves is used, and nothing that was sent is sent again.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::servers::{Running, script};
use crate::support::{Gateway, free_port, until};

const PATIENCE: Duration = Duration::from_secs(30);

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

async fn server(port: u16, options: &[&str]) -> Running {
    let (path, number) = (script("http_server.py"), port.to_string());
    let mut command = vec!["python3", path.to_str().unwrap(), "--port", &number];
    command.extend(options);
    Running::on_port(&command, &[], port).await
}

async fn gateway(ports: [u16; 2]) -> Gateway {
    let urls = ports.map(|port| address(port) + "/mcp");
    let gateway =
        Gateway::serving(json!({ "h": { "url": urls, "headers": { "X-Of-All": "1" } } })).start().await;
    gateway.listed(&["h"]).await;
    gateway
}

async fn is_at(gateway: &Gateway, port: u16) {
    until(PATIENCE, &format!("the address {port} in use"), async || {
        (gateway.server("h").await["location"] == address(port)).then_some(())
    })
    .await;
}

async fn pid(gateway: &Gateway, arguments: &Value) -> Value {
    gateway.post("/h/pid", arguments).await.ok()
}

/// Waits until a call that waits for `file` has come to the server that writes this log.
async fn has_come(log: &Path, file: &Path) {
    until(PATIENCE, "the call at the server", async || {
        std::fs::read_to_string(log).unwrap_or_default().contains(file.to_str().unwrap()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_comes_back_to_its_first_address_and_calls_end_where_they_are() {
    for options in [&[][..], &["--sse"]] {
        let folder = tempfile::tempdir().unwrap();
        let (log, file) = (folder.path().join("log"), folder.path().join("go"));
        let ports = [free_port(), free_port()];
        let log_option = ["--log", log.to_str().unwrap()];
        let _second = server(ports[1], &[options, &log_option].concat()).await;
        let gateway = gateway(ports).await;
        is_at(&gateway, ports[1]).await;
        let at_second = pid(&gateway, &json!({})).await;
        let waiting = json!({ "until": file });
        let in_flight = async {
            let answer = pid(&gateway, &waiting).await;
            assert_eq!(answer, at_second);
        };
        let coming_back = async {
            has_come(&log, &file).await;
            let first = server(ports[0], options).await;
            is_at(&gateway, ports[0]).await;
            assert_ne!(pid(&gateway, &json!({})).await, at_second);
            std::fs::write(&file, "").unwrap();
            first
        };
        let ((), mut first) = tokio::join!(in_flight, coming_back);
        gateway.logged("h is back at its address 1").await;
        assert!(std::fs::read_to_string(&log).unwrap().to_lowercase().contains("x-of-all"));
        first.kill();
        // Nothing was sent to the first one.
        assert_eq!(pid(&gateway, &json!({})).await, at_second, "{options:?}");
        is_at(&gateway, ports[1]).await;
    }
}

#[tokio::test]
async fn a_look_at_an_earlier_address_that_is_cut_off_leaves_no_session_at_the_server() {
    for ends_itself in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (log, ports) = (folder.path().join("log"), [free_port(), free_port()]);
        let mut second = server(ports[1], &[]).await;
        let mut gateway = gateway(ports).await;
        is_at(&gateway, ports[1]).await;
        let log_option = ["--log", log.to_str().unwrap()];
        let _first = server(ports[0], &[&log_option[..], &["--hang", "tools/list"]].concat()).await;
        let is_logged = async |text: &str| {
            until(PATIENCE, &format!("{text} at the first address"), async || {
                std::fs::read_to_string(&log).unwrap_or_default().contains(text).then_some(())
            })
            .await;
        };
        is_logged("tools/list").await;
        assert!(!std::fs::read_to_string(&log).unwrap().contains("DELETE"));
        if ends_itself {
            assert!(gateway.stop().await.success());
            is_logged("DELETE").await;
        } else {
            second.kill();
            // The call finds that the connection is gone.
            let none = json!({});
            let call = gateway.post("/h/pid", &none);
            tokio::select! {
                () = is_logged("DELETE") => {}
                answer = call => {
                    assert_ne!(answer.status, 200);
                    is_logged("DELETE").await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_call_that_was_sent_is_not_made_again_at_another_address() {
    let folder = tempfile::tempdir().unwrap();
    let [first_log, second_log, file] = ["first", "second", "go"].map(|name| folder.path().join(name));
    let ports = [free_port(), free_port()];
    let mut first = server(ports[0], &["--log", first_log.to_str().unwrap()]).await;
    let _second = server(ports[1], &["--log", second_log.to_str().unwrap()]).await;
    let gateway = gateway(ports).await;
    is_at(&gateway, ports[0]).await;
    let waiting = json!({ "until": file });
    let in_flight = async { gateway.post("/h/pid", &waiting).await.status };
    let killing = async {
        has_come(&first_log, &file).await;
        first.kill();
    };
    let (status, ()) = tokio::join!(in_flight, killing);
    assert_eq!(status, 502);
    pid(&gateway, &json!({})).await;
    is_at(&gateway, ports[1]).await;
    assert!(!std::fs::read_to_string(&second_log).unwrap().contains(file.to_str().unwrap()));
}

#[tokio::test]
async fn servers_end_in_order_at_a_stop_and_when_a_reload_takes_them_away() {
    let port = free_port();
    let _server = server(port, &[]).await;
    let names: Vec<String> = (0..24).map(|number| format!("h{number}")).collect();
    let entry = json!({ "url": address(port) + "/mcp" });
    let entries = |names: &[String]| {
        json!(names.iter().map(|name| (name.clone(), entry.clone())).collect::<serde_json::Map<_, _>>())
    };
    let mut gateway = Gateway::serving(entries(&names)).start().await;
    gateway.listed(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    gateway.reload(&json!({ "mcpServers": entries(&names[..12]) })).await;
    assert!(gateway.stop().await.success());
    assert!(!gateway.log().contains("a panic"), "{}", gateway.log());
}
