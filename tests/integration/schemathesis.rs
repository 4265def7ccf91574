//! schemathesis against every document of a gateway with real servers: requests that fit and requests that do not.
//!
//! All its checks hold but two. `not_a_server_error` gives way to `tests/openapi/only_tools_fail.py`, since a tool that
//! fails answers 500 with its own words. `negative_data_rejection` would have the gateway refuse what it repairs
//! without loss: an empty body for no arguments, `null` for an argument that is left out. Tools that take as long as
//! they are told to are left out.

use std::time::Duration;

use serde_json::json;
use tokio::process::Command;

use crate::support::{Gateway, provisioned};

const SLOW: &str = "trigger-long-running-operation|simulate-research-query";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_what_the_documents_say_and_only_tools_fail() {
    let Some(schemathesis) = provisioned::schemathesis() else { return };
    let (Some(time), Some(everything), Some(mut memory)) = (
        provisioned::time(),
        provisioned::node_entry("mcp-server-everything"),
        provisioned::node_entry("mcp-server-memory"),
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    memory["env"] = json!({ "MEMORY_FILE_PATH": folder.path().join("memory.jsonl") });
    let servers = json!({ "time": time, "everything": everything, "memory": memory });
    let gateway = Gateway::serving(servers).flag("--api-key", "k3y").start().await;
    gateway.listed(&["time", "everything", "memory"]).await;
    for document in ["time/openapi.json", "everything/openapi.json", "memory/openapi.json", "openapi.json"] {
        let mut command = Command::new(&schemathesis);
        command
            .args(["run", &format!("http://{}/{document}", gateway.address)])
            .args(["--header", "Authorization: Bearer k3y"])
            .args(["--checks", "all", "--exclude-checks", "not_a_server_error,negative_data_rejection"])
            .args(["--exclude-path-regex", SLOW, "--phases", "examples,coverage,fuzzing"])
            .args(["--max-examples", "10", "--seed", "1", "--warnings", "off", "--continue-on-failure"])
            .args(["--request-timeout", "20", "--no-color"])
            .env("SCHEMATHESIS_HOOKS", "only_tools_fail")
            .env("PYTHONPATH", provisioned::root().join("tests/openapi"))
            .current_dir(folder.path())
            .kill_on_drop(true);
        let run = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
        let output = run.unwrap_or_else(|_| panic!("{document}: not done within two minutes")).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{document}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains("No issues found"), "{document}: {said}");
    }
    gateway.ready(&["time", "everything", "memory"]).await;
}

/// The endpoints of the gateway's own authorization server, which no document of the gateway describes.
#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_of_sign_in_answer_as_they_say_whatever_comes() {
    let Some(schemathesis) = provisioned::schemathesis() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = json!({ "mcpServers": {}, "signIn": { "apiKeys": true } });
    let gateway = Gateway::with(config).flag("--api-key", "k3y").start().await;
    let mut command = Command::new(&schemathesis);
    command
        .arg("run")
        .arg(provisioned::root().join("tests/openapi/sign_in.json"))
        .args(["--url", &format!("http://{}", gateway.address)])
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance,negative_data_rejection"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "1"])
        .args(["--warnings", "off", "--continue-on-failure", "--request-timeout", "20", "--no-color"])
        .current_dir(folder.path())
        .kill_on_drop(true);
    let run = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
    let output = run.expect("it is done within two minutes").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("No issues found"), "{said}");
}
