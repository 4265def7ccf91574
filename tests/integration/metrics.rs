//! `/metrics`: every call is counted once under its end, no caller can make series, and a real Prometheus understands
//! it, together with the dashboard and the alert rules.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Ask, Gateway, provisioned, servers, until};

const CALLS: &str = "mcp_client_operation_duration_seconds_count";
const PATIENCE: Duration = Duration::from_secs(30);

/// Every sample of a scrape by its series.
async fn scrape(gateway: &Gateway) -> BTreeMap<String, f64> {
    let answer = gateway.get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.map(|line| line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}")));
    samples.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

/// The value of one label; the values in these tests hold no quotes, and no name is the end of another.
fn label<'a>(series: &'a str, name: &str) -> &'a str {
    let found = series.split_once(&format!("{name}=\""));
    found.map_or("", |(_, rest)| rest.split('"').next().unwrap())
}

/// The calls that were counted, as `server/tool end`.
fn calls(samples: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let calls = samples
        .iter()
        .filter(|(series, _)| series.starts_with(CALLS) && label(series, "mcp_method_name") == "tools/call");
    let name = |series: &str| {
        let tool = label(series, "gen_ai_tool_name");
        format!("{}/{tool} {}", label(series, "mcp_server"), label(series, "error_type")).trim().to_owned()
    };
    calls.map(|(series, value)| (name(series), *value)).collect()
}

/// The requests to tools, whatever their answers.
fn requests(samples: &BTreeMap<String, f64>) -> f64 {
    let of_tools = samples.iter().filter(|(series, _)| {
        series.starts_with("http_server_request_duration_seconds_count{")
            && label(series, "http_route") == "/{server}/{tool}"
    });
    of_tools.map(|(_, count)| count).sum()
}

#[tokio::test]
async fn every_call_is_counted_once_under_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    let mut hasty = servers::scripted(&[]);
    hasty["timeout"] = json!(1);
    let config = json!({
        "mcpServers": {
            "a": servers::scripted(&[]),
            "hasty": hasty,
            "faults": servers::quirk(&["errors"]),
            "dying": servers::scripted(&["--unless", broken.to_str().unwrap()]),
            "gateway": { "type": "gateway" },
        },
        "limits": { "resultBytes": 100_000 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["a", "hasty", "faults", "dying"]).await;
    std::fs::write(&broken, "").unwrap();
    for (path, body, status) in [
        ("/a/echo", json!({ "value": 1 }), 200),
        ("/a/echo", json!({ "value": 2 }), 200),
        ("/a/echo", json!({ "value": 3 }), 200),
        ("/a/slow", json!({ "seconds": "many" }), 422),
        ("/a/big", json!({ "bytes": 200_000 }), 502),
        ("/hasty/wait", json!({}), 504),
        ("/faults/iserr_text", json!({}), 500),
        ("/faults/iserr_text", json!({}), 500),
        ("/dying/complain", json!({}), 502),
        ("/dying/echo", json!({}), 503),
        ("/gateway/call_tool", json!({ "server": "a", "tool": "pid" }), 200),
        ("/gateway/call_tool", json!({ "server": "faults", "tool": "e_internal" }), 500),
    ] {
        let answer = gateway.post(path, &body).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    // A caller who leaves.
    let waiting = tokio::spawn(gateway.ask("POST", "/a/wait").json(&json!({})).try_send());
    let in_flight = r#"mcpo_calls_in_flight{mcp_server="a"}"#;
    until(PATIENCE, "the call is in flight", async || {
        (scrape(&gateway).await[in_flight] == 1.0).then_some(())
    })
    .await;
    waiting.abort();
    until(PATIENCE, "the call has ended", async || (scrape(&gateway).await[in_flight] == 0.0).then_some(()))
        .await;

    let samples = scrape(&gateway).await;
    let wanted = [
        ("a/big result_too_large", 1.0),
        ("a/echo", 3.0),
        ("a/pid", 1.0),
        ("a/slow bad_arguments", 1.0),
        ("a/wait cancelled", 1.0),
        ("dying/complain connection_lost", 1.0),
        ("dying/echo unavailable", 1.0),
        ("faults/e_internal rpc_error", 1.0),
        ("faults/iserr_text tool_error", 2.0),
        ("gateway/call_tool", 1.0),
        ("gateway/call_tool tool_error", 1.0),
        ("hasty/wait deadline", 1.0),
    ];
    let counted = calls(&samples);
    let counted: Vec<(&str, f64)> = counted.iter().map(|(call, count)| (call.as_str(), *count)).collect();
    assert_eq!(counted, wanted);
    // The request of a caller who left ends a moment after its call.
    until(PATIENCE, "thirteen requests", async || (requests(&scrape(&gateway).await) == 13.0).then_some(()))
        .await;
    // What became of the servers.
    assert_eq!(samples[r#"mcpo_server_state{mcp_server="a",state="ready"}"#], 1.0);
    assert_eq!(samples[r#"mcpo_server_starts_total{mcp_server="a"}"#], 1.0);
    let ended = r#"mcp_client_session_duration_seconds_count{error_type="exited",mcp_server="dying"}"#;
    assert_eq!(samples[ended], 1.0);
    assert_eq!(samples[r#"mcpo_server_unavailable_reason{error_type="exited",mcp_server="dying"}"#], 1.0);
    let greeting = r#"mcp_client_operation_duration_seconds_count{error_type="",gen_ai_tool_name="",mcp_method_name="initialize",mcp_server="a"}"#;
    assert_eq!(samples[greeting], 1.0);
}

#[tokio::test]
async fn neither_unknown_names_nor_hostile_paths_make_series() {
    let gateway = Gateway::serving(json!({ "a": servers::scripted(&[]) })).start().await;
    gateway.listed(&["a"]).await;
    let hostile = |tag: &str| -> Vec<Ask> {
        let long = "x".repeat(2_000);
        let paths = [
            format!("/{tag}"),
            format!("/{tag}/echo"),
            format!("/a/{tag}"),
            format!("/a/{tag}/more"),
            format!("/a/{tag}%22%7D%0Amcpo_fake%201"),
            format!("/a/{tag}{long}"),
            format!("/a/echo/{tag}"),
            format!("/assets/swagger/{tag}"),
            format!("/a/echo?{tag}"),
        ];
        let methods = ["GET", "POST", "BREW"];
        paths.iter().flat_map(|path| methods.map(|method| gateway.ask(method, path))).collect()
    };
    for ask in hostile("first") {
        ask.send().await;
    }
    let series = async || scrape(&gateway).await.into_keys().collect::<BTreeSet<String>>();
    // The scrape itself is counted, too, once it has been answered.
    series().await;
    let before = series().await;
    for round in 0..20 {
        for ask in hostile(&format!("round{round}")) {
            ask.send().await;
        }
    }
    let after = series().await;
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(!after.iter().any(|series| series.contains("first") || series.contains("mcpo_fake")));
}

#[tokio::test]
async fn ten_thousand_tools_stay_within_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let names = folder.path().join("names");
    std::fs::write(&names, (0..10_000).map(|number| format!("t{number}\n")).collect::<String>()).unwrap();
    let server = servers::scripted(&["--tools-file", names.to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "many": server })).start().await;
    gateway.listed(&["many"]).await;
    for number in 0..250 {
        let answer = gateway.post(&format!("/many/t{number}"), &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let samples = scrape(&gateway).await;
    assert_eq!(samples[r#"mcpo_server_tools{mcp_server="many"}"#], 10_010.0);
    let counted = calls(&samples);
    assert_eq!(counted.len(), 201);
    assert_eq!(counted["many/_other"], 50.0);
    assert_eq!(counted.values().sum::<f64>(), 250.0);
}

#[tokio::test]
async fn metrics_are_for_keys_that_may_see_all() {
    let config = json!({
        "mcpServers": { "a": servers::scripted(&[]) },
        "apiKeys": {
            "limited": { "key": "key-limited", "servers": ["a"] },
            "reader": { "key": "key-reader", "readOnly": true },
            "prometheus": { "key": "key-prometheus", "servers": [], "metrics": true },
            "all": { "key": "key-all" },
        },
    });
    let gateway = Gateway::with(config).start().await;
    let ask = async |method: &str, key: Option<&str>| {
        let ask = gateway.ask(method, "/metrics");
        let ask = match key {
            Some(key) => ask.header("Authorization", &format!("Bearer {key}")),
            None => ask,
        };
        ask.send().await
    };
    assert_eq!(ask("GET", None).await.status, 401);
    assert_eq!(ask("GET", Some("key-wrong")).await.status, 403);
    for limited in ["key-limited", "key-reader"] {
        let refused = ask("GET", Some(limited)).await;
        assert_eq!((refused.status, refused.header("x-mcpo-error")), (403, Some("limited_key")));
        assert!(refused.text().contains("this API key is limited"), "{}", refused.text());
    }
    let text = ask("GET", Some("key-prometheus")).await;
    assert_eq!(text.status, 200);
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let refusals = |code: &str, count: u32| format!("\nmcpo_refusals_total{{code=\"{code}\"}} {count}\n");
    for wanted in [refusals("unauthenticated", 1), refusals("wrong_key", 1), refusals("limited_key", 2)] {
        assert!(text.text().contains(&wanted), "{wanted} is not in {}", text.text());
    }
    assert_eq!(ask("GET", Some("key-all")).await.status, 200);
    let calls_nothing = gateway.ask("POST", "/a/echo").header("Authorization", "Bearer key-prometheus");
    assert_eq!(calls_nothing.json(&json!({})).send().await.status, 404, "the right opens no server");
    let head = ask("HEAD", Some("key-prometheus")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.header("content-length").is_some_and(|length| length.parse::<usize>().unwrap() > 1000));
    assert_eq!(ask("POST", Some("key-prometheus")).await.status, 405);

    let keyless = Gateway::serving(json!({ "a": servers::scripted(&[]) })).start().await;
    assert_eq!(keyless.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn prometheus_understands_the_metrics_the_dashboard_and_the_rules() {
    const KEY: &str = "key-for-prometheus";
    let (Some(programs), Some(time)) = (provisioned::prometheus(), provisioned::time()) else { return };
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    let mut required = servers::scripted(&["--start", "exit"]);
    required["required"] = json!(true);
    let mut disabled = servers::scripted(&[]);
    disabled["disabled"] = json!(true);
    let config = json!({
        "time": time,
        "scripted": servers::scripted(&[]),
        "faults": servers::quirk(&["errors"]),
        "dying": servers::scripted(&["--unless", broken.to_str().unwrap()]),
        "broken": required,
        "off": disabled,
        "gateway": { "type": "gateway" },
    });
    let lock = folder.path().join("tools.lock");
    std::fs::write(&lock, json!({ "version": 1, "servers": {} }).to_string()).unwrap();
    // Nothing is there: its metric is told, and its alert fires.
    let config = json!({ "mcpServers": config, "lock": { "file": lock }, "shared": "redis://127.0.0.1:1" });
    let gateway = Gateway::with(config).flag("--api-key", KEY).start().await;
    gateway.listed(&["time", "scripted", "faults", "dying"]).await;
    // What only a gateway with TLS tells, a second one does.
    let edge = provisioned::root().join("tests/integration/edge");
    let certificate = edge.join("certificate.pem");
    let guarded = Gateway::serving(json!({ "s": servers::scripted(&[]) }))
        .flag("--api-key", KEY)
        .flag("--ssl-certfile", certificate.to_str().unwrap())
        .flag("--ssl-keyfile", edge.join("key.pem").to_str().unwrap())
        .start()
        .await;
    gateway.in_state("broken", "unavailable").await;
    std::fs::write(&broken, "").unwrap();
    gateway.post("/dying/complain", &json!({})).await;
    gateway.in_state("dying", "unavailable").await;
    // The driver makes these between its scrapes, so that there is something to see a rate of.
    let calls: Value = json!([
        ["/time/get_current_time", { "timezone": "UTC" }],
        ["/scripted/echo", { "value": 1 }],
        ["/faults/iserr_text", {}],
        ["/faults/e_internal", {}],
        ["/scripted/slow", { "seconds": "many" }],
        ["/scripted/missing", {}],
        ["/dying/echo", {}],
        ["/broken/echo", {}],
        ["/gateway/list_servers", {}],
    ]);
    let root = provisioned::root();
    let mut command = Command::new("python3");
    command.arg(root.join("tests/prometheus/check.py"));
    command.arg("--gateway").arg(gateway.address.to_string()).args(["--key", KEY]);
    command.arg("--with-tls").arg(guarded.address.to_string()).arg("--authority").arg(certificate);
    command.arg("--programs").arg(programs).arg("--calls").arg(calls.to_string());
    command.arg("--dashboard").arg(root.join("nix/grafana/mcpo.json"));
    command.arg("--rules").arg(root.join("nix/prometheus/mcpo.rules.yml"));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{wrong}");
}
