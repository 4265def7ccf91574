//! Swagger UI in headless Chromium, up to a call that is executed from the page.

use std::process::Command;

use serde_json::json;

use crate::support::{Gateway, provisioned, servers};

#[tokio::test]
async fn a_call_is_executed_from_the_page_of_a_server_and_from_that_of_all() {
    if !provisioned::browser() {
        eprintln!("SKIP browser: named in MCPO_TESTS_SKIP");
        return;
    }
    let Some(python) = provisioned::python() else { return };
    let config = json!({ "one": servers::scripted(&[]), "two": servers::quirk(&["behave"]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["one", "two"]).await;
    let base = format!("http://{}", gateway.address);
    for (page, operation) in [("/one/docs", "tool_pid_post"), ("/docs", "one_pid")] {
        let script = provisioned::root().join("tests/browser/swagger.py");
        let mut command = Command::new(&python);
        command.arg(script).args([base.as_str(), page, operation]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let (told, wrong) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{page}: {told}\n{wrong}");
    }
}
