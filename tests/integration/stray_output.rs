//! What a server writes among its messages that is none: logs and banners cost nothing, an answer that is garbled fails its own
//! call at once, and the reason shows what was written.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mcp::Session;
use crate::support::{Gateway, servers};

/// Forms of an answer, with what is said of each and what is shown.
const FORMS: [(&str, &str, &str); 11] = [
    ("nan", "no JSON", "NaN"),
    ("infinity-last", "no JSON", "-Infinity"),
    ("ansi", "no JSON", "{\"jsonrpc\""),
    ("colours", "no JSON", "{\"jsonrpc\""),
    ("prompt", "no JSON", "> {\"jsonrpc\""),
    ("repr", "no JSON", "{'jsonrpc'"),
    ("latin-1", "no JSON", "gr\u{fffd}n"),
    ("utf-16", "no JSON", "{\"jsonrpc\""),
    ("framed", "framed by `Content-Length`", "Content-Length: "),
    ("pretty", "several lines", "`{`"),
    ("pretty-last", "several lines", "`{`"),
];

fn uneven(options: &[&str]) -> Value {
    servers::entry("uneven_server.py", options)
}

#[tokio::test]
async fn a_call_whose_answer_is_garbled_fails_at_once_and_alone() {
    let entries: serde_json::Map<String, Value> =
        FORMS.iter().map(|(form, ..)| ((*form).to_owned(), uneven(&["--writes", form]))).collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    for (form, fault, shown) in FORMS {
        gateway.ready(&[form]).await;
        let began = Instant::now();
        let answer = gateway.post(&format!("/{form}/odd"), &json!({})).await;
        assert_eq!(answer.status, 502, "{form}: {}", answer.text());
        assert!(began.elapsed() < Duration::from_secs(10), "{form}: {:?}", began.elapsed());
        let message = answer.json()["detail"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(fault) && message.contains(shown), "{form}: {message}");
        let result = Session::open(&gateway, &format!("/{form}/mcp")).await.call("odd", &json!({})).await;
        assert_eq!(result["isError"], true, "{form}: {result}");
        assert!(result["content"][0]["text"].as_str().unwrap().contains(fault), "{form}: {result}");
        // The connection goes on, and so does every other call over it.
        if form != "framed" && form != "utf-16" {
            assert_eq!(
                gateway.post(&format!("/{form}/plain"), &json!({})).await.text(),
                "\"plain\"",
                "{form}"
            );
        }
        assert_eq!(gateway.server(form).await["state"], "ready", "{form}");
    }
    // What a server wrote is for its caller, and not for the log.
    gateway.logged("protocol_fault").await;
    assert!(!gateway.log().contains("NaN"), "{}", gateway.log());
}

#[tokio::test]
async fn a_server_that_garbles_its_greeting_is_unavailable_at_once_and_the_reason_shows_it() {
    let name = |form: &str| format!("{form}-always");
    let entries: serde_json::Map<String, Value> =
        FORMS.iter().map(|(form, ..)| (name(form), uneven(&["--writes", &name(form)]))).collect();
    let config = json!({ "limits": { "startTimeout": 60 }, "mcpServers": entries });
    let gateway = Gateway::with(config).start().await;
    for (form, fault, shown) in FORMS {
        let state = gateway.in_state(&name(form), "unavailable").await;
        let reason = state["reason"].as_str().unwrap();
        let told =
            ["nan", "infinity-last", "latin-1", "pretty-last"].contains(&form) || reason.contains(shown);
        assert!(told && reason.contains(fault) && reason.contains("initialize"), "{form}: {reason}");
    }
    assert!(gateway.started.elapsed() < Duration::from_secs(50), "{:?}", gateway.started.elapsed());
}

#[tokio::test]
async fn what_a_server_logs_of_its_messages_fails_no_call() {
    let config = json!({ "logged": uneven(&["--writes", "logged-always"]), "slow": uneven(&[]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["logged", "slow"]).await;
    assert_eq!(gateway.post("/logged/plain", &json!({})).await.text(), "\"plain\"");
    assert_eq!(gateway.post("/slow/slow", &json!({})).await.text(), "\"slow\"");
}

#[tokio::test]
async fn a_server_that_writes_something_else_is_named_by_what_it_wrote() {
    let config = json!({
        "limits": { "startTimeout": 6 },
        "mcpServers": {
            "yaml": uneven(&["--writes", "yaml-always"]),
            "prose": { "command": "sh", "args": ["-c", "echo; echo Welcome.; cat > /dev/null"] },
            "ends": { "command": "sh", "args": ["-c", "echo no licence; exit 3"] },
            "echo": { "command": "cat", "args": [] },
        },
    });
    let gateway = Gateway::with(config).start().await;
    for (server, words) in [
        ("yaml", "jsonrpc: '2.0'"),
        ("prose", "`Welcome.` on its output, which is no JSON"),
        ("ends", "`no licence` on its output"),
        ("echo", "it writes back what it reads"),
    ] {
        let state = gateway.in_state(server, "unavailable").await;
        assert!(state["reason"].as_str().unwrap().contains(words), "{server}: {state}");
    }
}
