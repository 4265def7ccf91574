//! Refusals that clients can show: a JSON-RPC error at MCP endpoints, and words where clients look for a sign-in.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::mcp::{Session, introduction, request};
use crate::support::{Answer, Ask, Gateway, provisioned, servers};

const KEY: &str = "key-of-refusals";

fn opening() -> Value {
    request("initialize", &introduction("2025-11-25"))
}

/// The sentence of a refusal, which stands in both shapes.
fn sentence(answer: &Answer, asked: &str) -> String {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{asked}");
    let body = answer.json();
    assert_eq!(body["jsonrpc"], "2.0", "{asked}: {body}");
    assert!(body["error"]["code"].is_i64(), "{asked}: {body}");
    assert_eq!(body["error"]["message"], body["detail"], "{asked}");
    body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_refusal_at_an_mcp_endpoint_is_a_json_rpc_error_beside_its_detail() {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]), "t": servers::scripted(&[]) },
        "apiKeys": {
            "all": KEY,
            "s": { "key": "key-of-s", "servers": ["s"] },
            "slow": { "key": "key-slow", "rate": { "calls": 1, "per": 3600 } },
        },
    });
    let gateway = Gateway::with(config).start().await;
    let keyed = |ask: Ask, key: &str| ask.header("Authorization", &format!("Bearer {key}"));
    let ask = |method: &str, path: &str| gateway.ask(method, path).json(&opening());
    for (asked, status, words) in [
        (ask("POST", "/mcp"), 401, "Missing or invalid Authorization header"),
        (ask("GET", "/s/mcp"), 401, "Missing or invalid Authorization header"),
        (ask("DELETE", "/s/mcp"), 401, "Missing or invalid Authorization header"),
        (keyed(ask("POST", "/s/mcp"), "wrong"), 403, "Invalid API key"),
        (keyed(ask("POST", "/no/mcp"), KEY), 404, "there is no server `no` here"),
        (keyed(ask("POST", "/t/mcp"), "key-of-s"), 404, "there is no server `t` here"),
        (keyed(ask("POST", "/mcp?profile=no"), KEY), 404, "there is no profile `no`"),
        (
            keyed(ask("POST", "/mcp").without("content-type").header("Content-Type", "text/plain"), KEY),
            415,
            "application/json",
        ),
        (keyed(ask("PUT", "/mcp"), KEY), 405, "POST, GET or DELETE"),
    ] {
        let answer = asked.send().await;
        assert_eq!(answer.status, status, "{words}");
        let said = sentence(&answer, words);
        assert!(said.contains(words), "{said}");
        assert_eq!(answer.json()["id"], Value::Null, "{said}");
        assert!(answer.header("x-mcpo-error").is_some(), "{said}");
    }
    let refused = ask("POST", "/mcp").send().await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));

    let stale = keyed(gateway.ask("POST", "/s/mcp"), KEY).header("Mcp-Session-Id", "gone");
    let stale = stale.json(&request("tools/list", &json!({}))).send().await;
    assert_eq!((stale.status, sentence(&stale, "session").as_str()), (404, "Session not found"));

    Session::open_with(keyed(gateway.ask("POST", "/s/mcp"), "key-slow")).await;
    let limited = keyed(ask("POST", "/s/mcp"), "key-slow").send().await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").is_some());
    assert!(sentence(&limited, "rate").contains("slow"), "{}", limited.text());
    assert_eq!(limited.json()["id"], opening()["id"], "a message that was read is answered");
}

#[tokio::test]
async fn what_the_edge_refuses_before_any_face_has_that_shape_at_mcp_endpoints_alone() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    let from = |path: &str| gateway.ask("POST", path).header("Origin", "https://evil.test");
    let refused = from("/s/mcp").json(&opening()).send().await;
    assert_eq!(refused.status, 403);
    assert!(sentence(&refused, "origin").contains("corsAllowOrigins"));
    let refused = from("/s/echo").json(&json!({})).send().await;
    assert_eq!((refused.status, refused.json().get("error")), (403, None));
    let preflight = gateway.ask("OPTIONS", "/s/echo").header("Origin", "https://evil.test");
    let preflight = preflight.header("Access-Control-Request-Method", "POST").send().await;
    assert_eq!((preflight.status, preflight.text().as_str()), (400, "Disallowed CORS origin"));
    gateway.logged("the page at https://evil.test is not listed in `corsAllowOrigins`").await;
    let foreign = gateway.ask("POST", "/mcp").without("Host").header("Host", "evil.test");
    let refused = foreign.json(&opening()).send().await;
    assert_eq!(refused.status, 421);
    assert!(sentence(&refused, "host").contains("allowedHosts"));
}

#[tokio::test]
async fn the_python_sdk_shows_the_sentence() {
    let Some(python) = provisioned::python() else { return };
    let config = json!({ "mcpServers": { "s": servers::scripted(&[]) }, "apiKeys": { "all": KEY } });
    let gateway = Gateway::with(config).start().await;
    let script = provisioned::root().join("tests/clients/mcp_sdk_refused.py");
    for (path, key, words) in [
        ("/s/mcp", "wrong", "Invalid API key"),
        ("/s/mcp", "", "Missing or invalid Authorization header"),
        ("/no/mcp", KEY, "there is no server `no` here"),
    ] {
        let url = format!("http://{}{path}", gateway.address);
        let mut command = Command::new(&python);
        command.arg(&script).args([&url, key]).stdin(Stdio::null()).kill_on_drop(true);
        let done = command.output().await.unwrap();
        let (said, trouble) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(said.contains(words), "{path} {key}: {}: {said}{trouble}", done.status);
    }
}

const METADATA: [&str; 6] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/s/mcp",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
    "/.well-known/openid-configuration/mcp",
    "/s/mcp/.well-known/openid-configuration",
];

/// Holds `answer` to the shape that OAuth clients read, and gives its sentence.
fn no_oauth(answer: &Answer, asked: &str) -> String {
    assert_eq!(answer.status, 404, "{asked}: {}", answer.text());
    let body = answer.json();
    assert_eq!(answer.header("x-mcpo-error"), Some("no_oauth"), "{asked}");
    assert_eq!((&body["error"], &body["error_description"]), (&json!("invalid_request"), &body["detail"]));
    body["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn clients_that_look_for_a_sign_in_are_told_that_there_is_none() {
    for strict in [false, true] {
        let config = json!({
            "mcpServers": { "s": servers::scripted(&[]) }, "apiKeys": { "all": KEY },
            "strictAuth": strict, "pathPrefix": "/pre",
        });
        let gateway = Gateway::with(config).start().await;
        for path in METADATA {
            let said = no_oauth(&gateway.get(path).await, path);
            assert!(said.contains("no OAuth") && said.contains("`Authorization: Bearer KEY`"), "{said}");
        }
        for path in ["/register", "/authorize", "/token", "/pre/register"] {
            no_oauth(&gateway.post(path, &json!({ "redirect_uris": [] })).await, path);
            no_oauth(&gateway.get(path).await, path);
        }
    }
    let open = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    assert!(no_oauth(&open.get(METADATA[0]).await, "open").contains("no API key"));
}

#[tokio::test]
async fn strict_mode_hides_from_a_caller_without_a_key_whether_a_path_exists() {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]) }, "apiKeys": { "all": KEY }, "strictAuth": true,
    });
    let gateway = Gateway::with(config).start().await;
    for path in
        ["/servers", "/docs", "/openapi.json", "/s/docs", "/s/openapi.json", "/s/pid", "/nothing/at/all"]
    {
        for method in ["GET", "DELETE"] {
            let refused = gateway.ask(method, path).send().await;
            let says = (refused.status, refused.header("allow"), refused.text());
            let same = gateway.ask(method, "/no/such/path").send().await;
            assert_eq!(says, (401, None, same.text()), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_server_or_tool_of_an_endpoints_name_keeps_its_path() {
    let entry = servers::scripted(&["--tools", "register"]);
    let config = json!({ "mcpServers": { "register": entry, "s": servers::scripted(&[]) }, "apiKeys": { "all": KEY } });
    let gateway = Gateway::with(config).start().await;
    let moved = gateway.ask("GET", "/register").send().await;
    assert_eq!((moved.status, moved.header("location")), (307, Some("/register/")));
    no_oauth(&gateway.ask("POST", "/token").json(&json!({})).send().await, "token");

    let words = entry_command(&entry);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let single = Gateway::bare().flag("--api-key", KEY).command(&words).start().await;
    let called = single.post("/register", &json!({})).await;
    assert_eq!(called.status, 200, "{}", called.text());
    assert_eq!(single.ask("POST", "/register").json(&json!({})).send().await.status, 401);
    no_oauth(&single.ask("POST", "/token").json(&json!({})).send().await, "token");
}

fn entry_command(entry: &Value) -> Vec<String> {
    let words = [&entry["command"]].into_iter().chain(entry["args"].as_array().unwrap());
    words.map(|word| word.as_str().unwrap().to_owned()).collect()
}
