//! Swagger UI in headless Chromium, up to a call that is executed from the page.

use std::process::Command;

use serde_json::json;

use crate::support::{Gateway, provisioned, servers};

/// Presses Execute at `operation` of `page`.
async fn executed(base: &str, page: &str, operation: &str, more: &[&str]) {
    let script = provisioned::root().join("tests/browser/swagger.py");
    let mut command = Command::new("python3");
    command.arg(script).args([base, page, operation]).args(more);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{page}: {told}\n{wrong}");
}

#[tokio::test]
async fn a_call_is_executed_from_the_page_of_a_server_and_from_that_of_all() {
    if !provisioned::browser() {
        eprintln!("SKIP browser: named in MCPO_TESTS_SKIP");
        return;
    }
    let config = json!({ "one": servers::scripted(&[]), "two": servers::quirk(&["behave"]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["one", "two"]).await;
    let base = format!("http://{}", gateway.address);
    for (page, operation) in [("/one/docs", "tool_pid_post"), ("/docs", "one_pid")] {
        executed(&base, page, operation, &[]).await;
    }
}

#[tokio::test]
async fn a_browser_asks_for_a_password_where_everything_is_locked_and_the_key_opens_it() {
    if !provisioned::browser() {
        eprintln!("SKIP browser: named in MCPO_TESTS_SKIP");
        return;
    }
    let setup = Gateway::serving(json!({ "one": servers::scripted(&[]) }));
    let gateway = setup.flag("--api-key", "k3y/ü").switch("--strict-auth").start().await;
    gateway.listed(&["one"]).await;
    let base = format!("http://{}", gateway.address);
    executed(&base, "/one/docs", "tool_pid_post", &["--password", "k3y/ü"]).await;
}
