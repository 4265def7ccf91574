//! A call that came with a trace goes on with it, over every transport; one without takes nothing along.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::servers::{Running, script};
use crate::support::{Gateway, free_port, servers, until};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STATE: &str = "vendor=\"a b\",other=1";

fn entries(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The message of the call whose argument is `value`, and the headers that it came with, if any.
fn received(log: &Path, value: &str) -> (Value, Value) {
    let found = entries(log).into_iter().find_map(|entry| {
        let message = match entry["body"].as_str() {
            Some(body) => serde_json::from_str(body).unwrap(),
            None => entry["message"].clone(),
        };
        (message["params"]["arguments"]["value"] == value).then(|| (message, entry["headers"].clone()))
    });
    found.unwrap_or_else(|| panic!("no call with {value} in {}", log.display()))
}

/// Asserts that it is the same trace, with a new span.
fn assert_child(given: &Value) {
    let given = given.as_str().unwrap_or_else(|| panic!("no traceparent: {given}"));
    assert_eq!((&given[..36], &given[52..]), (&PARENT[..36], &PARENT[52..]));
    assert_ne!(given, PARENT);
    assert!(given[36..52].bytes().all(|digit| digit.is_ascii_hexdigit()), "{given}");
}

#[tokio::test]
async fn a_trace_goes_on_to_servers_over_stdio_streamable_http_and_sse() {
    let folder = tempfile::tempdir().unwrap();
    let log = |name: &str| folder.path().join(name);
    let path = script("http_server.py");
    let ports = [free_port(), free_port()];
    let mut running = Vec::new();
    for (port, name, option) in [(ports[0], "http", None), (ports[1], "sse", Some("--sse"))] {
        let (number, file) = (port.to_string(), log(name));
        let mut command =
            vec!["python3", path.to_str().unwrap(), "--port", &number, "--log", file.to_str().unwrap()];
        command.extend(option);
        running.push(Running::on_port(&command, &[], port).await);
    }
    let gateway = Gateway::serving(json!({
        "stdio": servers::scripted(&["--log", log("stdio").to_str().unwrap()]),
        "http": { "type": "streamable-http", "url": format!("http://127.0.0.1:{}/mcp", ports[0]) },
        "sse": { "type": "sse", "url": format!("http://127.0.0.1:{}/sse", ports[1]) },
    }))
    .flag("--log-format", "json")
    .start()
    .await;
    gateway.ready(&["stdio", "http", "sse"]).await;
    for server in ["stdio", "http", "sse"] {
        let call = async |value: &str, headers: &[(&str, &str)]| {
            let mut ask = gateway.ask("POST", &format!("/{server}/echo")).json(&json!({ "value": value }));
            for (name, value) in headers {
                ask = ask.header(name, value);
            }
            ask.send().await.ok();
            received(&log(server), value)
        };
        let (message, headers) = call("traced", &[("traceparent", PARENT), ("tracestate", STATE)]).await;
        let meta = &message["params"]["_meta"];
        assert_child(&meta["traceparent"]);
        assert_eq!(meta["tracestate"], STATE, "{server}");
        if server != "stdio" {
            assert_eq!(
                (&headers["traceparent"], &headers["tracestate"]),
                (&meta["traceparent"], &json!(STATE))
            );
        }
        let (message, headers) = call("stateless", &[("traceparent", PARENT)]).await;
        assert_child(&message["params"]["_meta"]["traceparent"]);
        assert!(message["params"]["_meta"].get("tracestate").is_none(), "{message}");
        assert!(headers.get("tracestate").is_none(), "{headers}");
        let broken = PARENT.replace("0af7", "0AF7");
        for (value, given) in
            [("untraced", &[][..]), ("broken", &[("traceparent", broken.as_str()), ("tracestate", STATE)])]
        {
            let (message, headers) = call(value, given).await;
            let text = message.to_string() + &headers.to_string();
            assert!(!text.contains("traceparent") && !text.contains("tracestate"), "{server}: {text}");
        }
    }
    // Each server was called twice with the trace, and the log names it.
    until(Duration::from_secs(20), "six lines with the trace", async || {
        let named = r#""trace_id":"0af7651916cd43dd8448eb211c80319c""#;
        (gateway.log().matches(named).count() == 6).then_some(())
    })
    .await;
}
