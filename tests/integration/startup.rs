//! Starting: the port comes first, mistakes end the process with their own exit code, nothing configured still works.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::operator::mcpo;
use crate::support::{Gateway, servers, until};

#[tokio::test]
async fn the_port_answers_before_slow_servers_are_ready() {
    let config = json!({ "slow": servers::scripted(&["--delay", "4"]), "quick": servers::scripted(&[]) });
    let gateway = Gateway::serving(config).start().await;
    assert_eq!(gateway.get("/health").await.status, 200);
    assert!(gateway.started.elapsed() < Duration::from_secs(3), "{:?}", gateway.started.elapsed());
    gateway.ready(&["quick"]).await;
    assert_eq!(gateway.server("slow").await["state"], "starting");
    // A call to a starting server waits for it.
    gateway.post("/quick/pid", &json!({})).await.ok();
    gateway.post("/slow/pid", &json!({})).await.ok();
    assert_eq!(gateway.server("slow").await["state"], "ready");
}

#[tokio::test]
async fn required_servers_decide_whether_the_gateway_is_ready() {
    let mut required = servers::scripted(&["--start", "exit"]);
    required["required"] = json!(true);
    let config = json!({ "good": servers::scripted(&[]), "bad": servers::scripted(&["--start", "exit"]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["good"]).await;
    gateway.in_state("bad", "unavailable").await;
    assert_eq!(gateway.get("/ready").await.status, 200);
    let config = json!({ "good": servers::scripted(&[]), "bad": required });
    let gateway = Gateway::serving(config).start().await;
    gateway.in_state("bad", "unavailable").await;
    assert_eq!(gateway.get("/ready").await.status, 503);
    assert_eq!(gateway.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_leaves_is_not_ready_and_serves_on_until_its_time_is_over() {
    let config = json!({ "mcpServers": { "s": servers::scripted(&[]) }, "limits": { "leave": 600 } });
    let mut gateway = Gateway::with(config).start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.get("/ready").await.status, 200);
    gateway.signal(Signal::SIGTERM);
    until(Duration::from_secs(10), "it is not ready", async || {
        (gateway.get("/ready").await.status == 503).then_some(())
    })
    .await;
    // Each on a connection of its own.
    gateway.post("/s/pid", &json!({})).await.ok();
    assert_eq!(gateway.get("/health").await.status, 200);
    // Another signal ends the wait.
    assert!(gateway.stop().await.success());
}

#[tokio::test]
async fn a_disabled_server_is_listed_and_not_started() {
    let mut server = servers::scripted(&[]);
    server["disabled"] = json!(true);
    let gateway = Gateway::serving(json!({ "off": server, "on": servers::scripted(&[]) })).start().await;
    gateway.ready(&["on"]).await;
    assert_eq!(gateway.server("off").await["state"], "disabled");
    let answer = gateway.post("/off/pid", &json!({})).await;
    assert!([404, 503].contains(&answer.status), "{}", answer.status);
}

#[tokio::test]
async fn without_any_configuration_the_built_in_server_answers() {
    let gateway = Gateway::bare().start().await;
    gateway.ready(&["gateway"]).await;
    let document = gateway.get("/gateway/openapi.json").await.ok();
    let paths = document["paths"].as_object().unwrap();
    assert!(!paths.is_empty());
    let docs = gateway.get("/docs").await;
    assert_eq!(docs.status, 200);
    assert!(docs.header("content-type").unwrap().starts_with("text/html"));
    let page = gateway.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
}

#[tokio::test]
async fn a_taken_port_ends_the_process_with_69_and_says_so() {
    let first = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    let (code, told) =
        Gateway::serving(json!({ "s": servers::scripted(&[]) })).fail(first.address.port()).await;
    assert_eq!(code, Some(69), "{told}");
    assert!(told.contains(&first.address.port().to_string()), "{told}");
    assert_eq!(first.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_wrong_configuration_ends_the_process_with_64_and_every_problem() {
    let config = json!({ "mcpServers": { "docs": { "command": "x" }, "a": {}, "b": { "command": 5 } } });
    let (code, told) = Gateway::with(config).fail(crate::support::free_port()).await;
    assert_eq!(code, Some(64), "{told}");
    for name in ["docs", "a", "b"] {
        assert!(told.contains(&format!("mcpServers.{name}")), "no word of {name}: {told}");
    }
}

#[tokio::test]
async fn the_gateway_ends_with_zero_when_it_is_told_to() {
    let mut gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    assert_eq!(gateway.stop().await.code(), Some(0));
}

#[tokio::test]
async fn without_a_configuration_the_log_and_the_page_give_a_first_one_that_is_right() {
    let gateway = Gateway::bare().start().await;
    gateway.logged("mcpo --config config.json").await;
    let log = gateway.log();
    let (_, rest) = log.split_once("write ").unwrap();
    let logged = rest.split_once(" into config.json").unwrap().0;
    let page = gateway.get("/assets/page/overview.js").await.text();
    let shown = page.split_once("const FIRST = `").unwrap().1.split_once('`').unwrap().0;
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(value(logged), value(shown));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    std::fs::write(&file, shown).unwrap();
    let checked = mcpo(&["check", "--config", file.to_str().unwrap()]).await;
    assert_eq!(checked.ok(), "ok: 1 server: time (stdio)\n");
    // With servers there is nothing to be told.
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    assert!(!gateway.log().contains("no server of your own"));
}
