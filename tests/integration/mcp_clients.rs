//! Real clients at `/mcp` and `/{server}/mcp`, in each era that they know: they list and call, and are asked.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::mcp::Session;
use crate::support::{Gateway, provisioned};

const KEY: &str = "key-of-the-clients";
/// Each endpoint with the tool that is called there.
const ENDPOINTS: [(&str, &str); 2] = [("/everything/mcp", "echo"), ("/mcp", "everything_echo")];
const SESSIONS: &str = "2025-11-25";
const STATELESS: &str = "2026-07-28";

#[tokio::test]
async fn the_python_sdk_lists_and_calls_in_both_eras() {
    let Some(python) = provisioned::python() else { return };
    // Of its own choice it probes first and finds the newer era.
    let modes = [("auto", STATELESS), ("legacy", SESSIONS)];
    list_and_call(&python, "mcp_sdk.py", &modes).await;
}

#[tokio::test]
async fn the_first_python_sdk_lists_and_calls() {
    let Some(python) = provisioned::python_with_first_sdk() else { return };
    list_and_call(&python, "mcp_sdk_1.py", &[("legacy", SESSIONS)]).await;
}

#[tokio::test]
async fn the_client_of_fastmcp_lists_and_calls_in_both_eras() {
    let Some(python) = provisioned::python_with_fastmcp() else { return };
    // Of its own choice it probes first and finds the newer era.
    let modes = [("auto", STATELESS), ("legacy", SESSIONS)];
    list_and_call(&python, "fastmcp_client.py", &modes).await;
}

#[tokio::test]
async fn the_typescript_sdk_lists_and_calls_in_both_eras_and_so_does_its_first_form() {
    let Some(node) = provisioned::newer_node() else { return };
    let modes = [("auto", STATELESS), ("legacy", SESSIONS), (STATELESS, STATELESS), ("first", SESSIONS)];
    list_and_call(&node, "mcp_sdk.mjs", &modes).await;
}

#[tokio::test]
async fn the_command_line_of_the_inspector_lists_and_calls_in_both_eras() {
    let (Some(node), Some(modules)) = (provisioned::newer_node(), provisioned::conformance()) else {
        return;
    };
    let Some(gateway) = gateway_of_everything().await else { return };
    let home = tempfile::tempdir().unwrap();
    for (path, tool) in ENDPOINTS {
        let expected = Session::open(&gateway, path).await.tools().await;
        for era in ["legacy", "modern"] {
            let url = format!("http://{}{path}", gateway.address);
            let authorization = format!("Authorization: Bearer {KEY}");
            let inspector = async |words: &[&str]| -> Value {
                let mut command = Command::new(&node);
                command.arg(modules.join(".bin/mcp-inspector")).args(["--cli", &url, "--transport", "http"]);
                command.args(["--header", &authorization, "--protocol-era", era, "--format", "json"]);
                // It keeps a catalogue in the home folder.
                command.args(words).env("HOME", home.path());
                answer_of(command).await["result"].clone()
            };
            let listed = inspector(&["--method", "tools/list"]).await;
            // It can be asked for roots, so the server may have more for it.
            let names = crate::support::mcp::names(&listed["tools"]);
            assert!(expected.iter().all(|name| names.contains(name)), "{path} {era}: {names:?}");
            let words = ["--method", "tools/call", "--tool-name", tool, "--tool-arg", "message=hello"];
            let called = inspector(&words).await;
            assert_eq!(called["content"], json!([{ "type": "text", "text": "Echo: hello" }]), "{path} {era}");
        }
    }
}

#[tokio::test]
async fn what_a_server_with_sessions_asks_is_answered_by_the_client_that_called_in_either_era() {
    let Some(python) = provisioned::python() else { return };
    let Some(gateway) = gateway_of_everything().await else { return };
    let url = format!("http://{}/everything/mcp", gateway.address);
    let asked = async |mode: &str, name: &str| {
        let mut command = Command::new(&python);
        command.arg(script("mcp_sdk_asked.py")).args([&url, mode, name, KEY]);
        answer_of(command).await
    };
    let (stateless, session) = tokio::join!(asked(STATELESS, "Ada"), asked("legacy", "Grace"));
    for (found, name, protocol) in [(stateless, "Ada", STATELESS), (session, "Grace", SESSIONS)] {
        assert_eq!(found["protocol"], protocol);
        let text = |tool: &str| found[tool].as_str().unwrap().to_owned();
        assert!(text("trigger-elicitation-request").contains(&format!("Name: {name}")), "{found}");
        assert!(text("trigger-sampling-request").contains(&format!("{name} thinks")), "{found}");
        assert!(text("get-roots-list").contains(&format!("file:///home/{name}")), "{found}");
        // The server offers these tools to such clients only, which are told so after their first call.
        let tools: Vec<_> =
            found["tools"].as_array().unwrap().iter().map(|tool| tool.as_str().unwrap()).collect();
        assert!(tools.contains(&"trigger-elicitation-request"), "{tools:?}");
        let questions = found["questions"].as_array().unwrap();
        assert_eq!(questions.len(), 2, "{found}");
        assert!(questions[1].as_str().unwrap().contains(&format!("a question of {name}")), "{found}");
    }
}

/// Calls one tool at each endpoint in each mode, with the protocol revision that the client must speak then.
async fn list_and_call(interpreter: &Path, name: &str, modes: &[(&str, &str)]) {
    let Some(gateway) = gateway_of_everything().await else { return };
    for (path, tool) in ENDPOINTS {
        let expected = Session::open(&gateway, path).await.tools().await;
        assert!(expected.len() > 10, "{path}: {expected:?}");
        for (mode, protocol) in modes {
            let mut command = Command::new(interpreter);
            let url = format!("http://{}{path}", gateway.address);
            command.arg(script(name)).args([&url, *mode, tool, r#"{"message":"hello"}"#, KEY]);
            let mut found = answer_of(command).await;
            let tools = found["tools"].as_array_mut().unwrap();
            tools.sort_by_key(|name| name.as_str().unwrap().to_owned());
            let wanted = json!({ "protocol": protocol, "tools": expected, "is_error": false, "text": ["Echo: hello"] });
            assert_eq!(found, wanted, "{name} {path} {mode}");
        }
    }
}

async fn gateway_of_everything() -> Option<Gateway> {
    let everything = provisioned::node_entry("mcp-server-everything")?;
    let gateway = Gateway::serving(json!({ "everything": everything })).flag("--api-key", KEY).start().await;
    gateway.ready(&["everything"]).await;
    Some(gateway)
}

fn script(name: &str) -> PathBuf {
    provisioned::root().join("tests/clients").join(name)
}

/// What a client printed as JSON.
async fn answer_of(mut command: Command) -> Value {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?} ended with {}:\n{told}", command.as_std(), output.status);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&output.stdout)))
}
