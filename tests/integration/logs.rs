//! The log tells who called what, for how long and how it ended, once for each call and each refusal.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Gateway, servers, until};

/// The fields of every line of a log in JSON.
fn lines(log: &str) -> Vec<Value> {
    let parsed = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed.filter_map(|line| line.get("fields").cloned()).collect()
}

/// Waits for the lines whose field is this value.
async fn lines_with(gateway: &Gateway, field: &str, value: &str) -> Vec<Value> {
    until(Duration::from_secs(20), &format!("a line with {field} {value}"), async || {
        let mut found = lines(&gateway.log());
        found.retain(|line| line[field] == value);
        (!found.is_empty()).then_some(found)
    })
    .await
}

/// The one line of the request that was answered with this id.
async fn line_of(gateway: &Gateway, id: &str) -> Value {
    let found = lines_with(gateway, "request_id", id).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

async fn keyed() -> Gateway {
    let config = json!({
        "mcpServers": {
            "s": servers::scripted(&[]),
            "q": servers::quirk(&["errors"]),
            "gone": { "command": "no-such-command-of-anybody" },
        },
        "apiKeys": { "chat": "sesame" },
        "limits": { "bodyBytes": 1000 },
    });
    let gateway = Gateway::with(config).flag("--log-format", "json").flag("--api-key", "other").start().await;
    gateway.ready(&["s", "q"]).await;
    gateway.in_state("gone", "unavailable").await;
    gateway
}

#[tokio::test]
async fn each_call_leaves_one_line_that_says_who_what_how_long_and_how_it_ended() {
    let gateway = keyed().await;
    for (path, status, outcome, reason) in [
        ("/s/echo", 200, "ok", ""),
        ("/q/iserr_text", 500, "tool_error", ""),
        ("/q/e_internal", 500, "rpc_error", ""),
        ("/s/slow", 422, "bad_arguments", "do not fit"),
        ("/s/missing", 404, "not_found", "no such tool"),
        ("/missing/echo", 404, "not_found", "no such server"),
        ("/gone/echo", 503, "unavailable", "no such program"),
    ] {
        let ask = gateway.ask("POST", path).header("Authorization", "Bearer sesame");
        let answer = ask.json(&json!({ "seconds": "many" })).send().await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let id = answer.header("x-request-id").unwrap().to_owned();
        let line = line_of(&gateway, &id).await;
        let (server, tool) = path[1..].split_once('/').unwrap();
        assert_eq!(
            (&line["mcp_server"], &line["mcp_tool"], &line["outcome"], &line["api_key_name"], &line["peer"]),
            (&json!(server), &json!(tool), &json!(outcome), &json!("chat"), &json!("127.0.0.1")),
        );
        assert!(line["duration_ms"].as_f64().is_some_and(|time| (0.0..60_000.0).contains(&time)), "{line}");
        assert!(line.get("trace_id").is_none(), "{line}");
        let message = line["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{server}/{tool} {outcome} ")), "{message}");
        for part in [" by chat from 127.0.0.1", &id, reason] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

#[tokio::test]
async fn each_refusal_leaves_one_line_with_its_id_and_the_key_where_it_is_known() {
    let gateway = keyed().await;
    let large = "x".repeat(2000);
    for (key, body, status, outcome, name) in [
        (None, "{}", 401, "unauthenticated", None),
        (Some("wrong"), "{}", 403, "wrong_key", None),
        (Some("sesame"), large.as_str(), 413, "body_too_large", Some("chat")),
    ] {
        let id = format!("mine/{outcome}");
        let mut ask = gateway.ask("POST", "/s/echo?secret=1").header("X-Request-Id", &id);
        if let Some(key) = key {
            ask = ask.header("Authorization", &format!("Bearer {key}"));
        }
        let answer = ask.body(body.to_owned()).send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
        let line = line_of(&gateway, &id).await;
        assert_eq!(
            (&line["outcome"], &line["status"], &line["path"], line.get("api_key_name")),
            (&json!(outcome), &json!(status), &json!("/s/echo"), name.map(Value::from).as_ref()),
        );
        assert!(!line.to_string().contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn an_id_that_could_not_stand_in_a_log_is_replaced() {
    let gateway = keyed().await;
    let too_long = "x".repeat(129);
    let mut seen = std::collections::HashSet::new();
    for given in [Some("a b"), Some("a\"b"), Some(""), Some(too_long.as_str()), None] {
        let ask = gateway.ask("GET", "/health");
        let ask = match given {
            Some(given) => ask.header("X-Request-Id", given),
            None => ask,
        };
        let answer = ask.header("Origin", "http://browser.test").send().await;
        let id = answer.header("x-request-id").unwrap();
        assert_ne!(Some(id), given);
        assert!(seen.insert(id.to_owned()), "{id} came twice");
        let exposed = answer.header("access-control-expose-headers").unwrap();
        assert!(exposed.contains("X-Request-Id"), "{exposed}");
    }
}

#[tokio::test]
async fn the_words_of_a_child_are_tagged_as_its_own_and_forge_no_line() {
    let shout =
        r#"import sys; sys.stderr.write("first\x1b[2J\n\nsecond\n"); sys.stderr.flush(); sys.stdin.read()"#;
    let config = json!({ "shouts": { "command": "python3", "args": ["-c", shout] } });
    let gateway = Gateway::serving(config.clone()).flag("--log-format", "json").start().await;
    let words = lines_with(&gateway, "mcp_stream", "stderr").await;
    assert_eq!(words[0]["message"], "shouts: first\\u{1b}[2J");
    gateway.logged("shouts: second").await;
    let words = lines_with(&gateway, "mcp_stream", "stderr").await;
    assert!(words.len() == 2 && words.iter().all(|line| line["mcp_server"] == "shouts"), "{words:?}");
    let gateway = Gateway::serving(config).start().await;
    gateway.logged("shouts: second").await;
    assert!(!gateway.log().contains('\u{1b}'), "{}", gateway.log());
}

#[tokio::test]
async fn no_word_of_a_stranger_is_obeyed_in_the_log_or_in_a_reason() {
    let odd = "t\r\n2026-11-29T00:00:00Z ERROR forged\u{1b}[2J\u{9b}31m\u{85}\u{2028}\u{202e}\u{2066}\u{200b}\u{feff}\u{7f}";
    let config = json!({
        "s": servers::scripted(&["--tools", odd]),
        "dead": { "command": "python3", "args": ["-c", python(odd)] },
        "gone": { "command": format!("no\nsuch{odd}") },
    });
    let is_obeyed = |character: char| mcpo::telemetry::text::is_unseen(character) && character != '\n';
    for form in ["text", "json"] {
        let gateway =
            Gateway::serving(config.clone()).flag("--log-format", form).flag("--log-level", "debug");
        let gateway = gateway.start().await;
        gateway.listed(&["s"]).await;
        for name in ["dead", "gone"] {
            let reason = gateway.in_state(name, "unavailable").await["reason"].as_str().unwrap().to_owned();
            assert!(
                reason.contains("forged") && !reason.contains(is_obeyed) && !reason.contains('\n'),
                "{reason}"
            );
        }
        let path: String = odd.bytes().map(|byte| format!("%{byte:02x}")).collect();
        gateway.post(&format!("/s/{path}"), &json!({})).await.ok();
        gateway.post(&format!("/{path}/{path}"), &json!({})).await;
        gateway.logged("not_found").await;
        let log = gateway.log();
        assert!(log.contains("forged") && !log.contains(is_obeyed), "{log}");
        for line in log.lines() {
            match form {
                "json" => drop(serde_json::from_str::<Value>(line).unwrap()),
                _ => assert!(line.starts_with("20") && !line.starts_with("2026-11-29T00:00:00Z"), "{line}"),
            }
        }
    }
}

/// A program that writes `text` on its stderr and fails.
fn python(text: &str) -> String {
    format!("import sys; sys.stderr.buffer.write(bytes({:?})); sys.exit(3)", text.as_bytes())
}

#[tokio::test]
async fn a_server_that_floods_its_stderr_has_its_share_of_the_log_and_the_rest_is_counted() {
    const WRITTEN: usize = 50_000;
    let config = json!({
        "mcpServers": { "flood": servers::entry("flood_server.py", &[]) },
        "limits": { "stderrLines": 10 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["flood"]).await;
    gateway.post("/flood/flood", &json!({ "lines": WRITTEN, "text": "y".repeat(50) })).await.ok();
    let (logged, told) = until(Duration::from_secs(30), "each line logged or counted", async || {
        let log = gateway.log();
        let logged = log.lines().filter(|line| line.contains(" flood: yyy")).count();
        let told: Vec<usize> = log
            .lines()
            .filter(|line| line.contains(" left out: its stderr is logged at 10 lines a second"))
            .map(|line| line.split("flood: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap())
            .collect();
        (logged + told.iter().sum::<usize>() == WRITTEN).then_some((logged, told.len()))
    })
    .await;
    assert!((100..400).contains(&logged) && told < 30, "{logged} lines, {told} counts");
}

#[tokio::test]
async fn without_a_key_the_line_names_none() {
    let gateway =
        Gateway::serving(json!({ "s": servers::scripted(&[]) })).flag("--log-format", "json").start().await;
    gateway.ready(&["s"]).await;
    let answer = gateway.post("/s/pid", &json!({})).await;
    let line = line_of(&gateway, answer.header("x-request-id").unwrap()).await;
    assert!(line.get("api_key_name").is_none(), "{line}");
    assert!(line["message"].as_str().unwrap().contains(" by - from "), "{line}");
}
