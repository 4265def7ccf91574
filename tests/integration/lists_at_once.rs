//! A list waits for no server and starts none: it shows what is known, also to a client that can be asked something, and a client
//! is told when its own list has become another one.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::mcp::Session;
use crate::support::{Gateway, servers, until};

const CHANGED: &str = "notifications/tools/list_changed";

fn able() -> Value {
    json!({ "elicitation": { "form": {} }, "sampling": {} })
}

fn scripted(log: &Path, options: &[&str]) -> Value {
    servers::scripted(&[&["--log", log.to_str().unwrap()], options].concat())
}

/// How often the log has this.
fn count(log: &Path, what: &str) -> usize {
    std::fs::read_to_string(log).unwrap().matches(what).count()
}

fn starts(log: &Path) -> usize {
    count(log, r#""event": "start""#)
}

/// A session of a client that can be asked, and how long it and its list took to come.
async fn listed(gateway: &Gateway, path: &str) -> (Session, Vec<String>, Duration) {
    let began = Instant::now();
    let session = Session::able(gateway.ask("POST", path), &able()).await;
    let tools = session.tools().await;
    (session, tools, began.elapsed())
}

#[tokio::test]
async fn four_chats_of_one_user_list_at_once_and_share_the_one_process_until_they_call() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    // A process of its own would take three seconds.
    let gateway = Gateway::serving(json!({ "s": scripted(&log, &["--delay", "3"]) })).start().await;
    gateway.listed(&["s"]).await;
    for path in ["/mcp", "/s/mcp"] {
        let expected = Session::open(&gateway, path).await.tools().await;
        let chats = futures_util::future::join_all((0..4).map(|_| listed(&gateway, path))).await;
        for (_, tools, took) in &chats {
            assert_eq!(*tools, expected);
            assert!(*took < Duration::from_secs(2), "{took:?}");
        }
        assert_eq!(starts(&log), 1, "{path}");
    }
    let (session, _, _) = listed(&gateway, "/s/mcp").await;
    session.heard(&gateway, "/s/mcp", "pid", &json!({})).await;
    assert_eq!(starts(&log), 2, "a call has a process that may ask its client");
}

#[tokio::test]
async fn a_list_that_was_kept_is_shown_while_its_server_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (state, log, hangs) =
        (folder.path().join("state"), folder.path().join("log"), folder.path().join("hangs"));
    let options = [
        "--log",
        log.to_str().unwrap(),
        "--tells",
        "--hang",
        "initialize",
        "--while",
        hangs.to_str().unwrap(),
    ];
    let config = json!({ "s": servers::entry("offering_server.py", &options) });
    let mut first = Gateway::serving(config.clone()).state(&state).start().await;
    first.listed(&["s"]).await;
    let (_, known, _) = listed(&first, "/mcp").await;
    first.stop().await;
    std::fs::write(&hangs, "").unwrap();
    let second = Gateway::serving(config).state(&state).start().await;
    until(Duration::from_secs(20), "the kept list", async || {
        (second.server("s").await["tools"] != json!([])).then_some(())
    })
    .await;
    let (_, tools, took) = listed(&second, "/mcp").await;
    assert_eq!((tools, second.server("s").await["state"].as_str().unwrap()), (known, "starting"));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn a_client_is_told_of_a_change_when_its_own_list_differs_and_not_when_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let tools = folder.path().join("tools");
    let options = ["--restless", "0.05", "--tools-file", tools.to_str().unwrap()];
    let marker = servers::entry("offering_server.py", &["--tells"]);
    let gateway = Gateway::serving(json!({ "s": scripted(&log, &options), "m": marker })).start().await;
    gateway.listed(&["s", "m"]).await;
    let plain = Session::open(&gateway, "/mcp").await;
    let able = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let mut streams = [plain.stream(&gateway, "/mcp").await, able.stream(&gateway, "/mcp").await];
    able.heard(&gateway, "/mcp", "s_pid", &json!({})).await;
    // Both connections have said many times by now that their lists have changed, and both lists were read again.
    until(Duration::from_secs(30), "lists over both connections", async || {
        (count(&log, "tools/list") >= 8).then_some(())
    })
    .await;
    plain.call("m_change", &json!({ "kind": "resources" })).await;
    for stream in &mut streams {
        stream.message("notifications/resources/list_changed").await;
        assert!(!stream.text.contains(CHANGED), "{}", stream.text);
    }
    std::fs::write(&tools, "late\n").unwrap();
    for (stream, session) in streams.iter_mut().zip([&plain, &able]) {
        stream.message(CHANGED).await;
        let late = "s_late".to_owned();
        until(Duration::from_secs(20), "the late tool", async || {
            session.tools().await.contains(&late).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_that_says_without_end_that_it_has_changed_is_asked_ever_more_seldom() {
    let folder = tempfile::tempdir().unwrap();
    let (echoes, burst) = (folder.path().join("echoes"), folder.path().join("burst"));
    let entry = |log: &Path, options: &[&str]| {
        let options = [&["--log", log.to_str().unwrap(), "--tells"], options].concat();
        servers::entry("offering_server.py", &options)
    };
    let config = json!({
        "echoes": entry(&echoes, &["--echoes-changes"]),
        "burst": entry(&burst, &["--prompts", "p", "--enables", "late"]),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.listed(&["echoes", "burst"]).await;
    let began = Instant::now();
    until(Duration::from_secs(60), "twelve lists", async || {
        (count(&echoes, "tools/list") >= 12).then_some(())
    })
    .await;
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());

    // Of two hundred changes in one call the last is seen, for few lists and few words to clients.
    let session = Session::open(&gateway, "/mcp").await;
    let mut stream = session.stream(&gateway, "/mcp").await;
    let before = count(&burst, "tools/list");
    session.call("burst_change", &json!({ "kind": "tools", "times": 200 })).await;
    session.call("burst_change", &json!({ "kind": "prompts", "times": 200 })).await;
    session.call("burst_enable", &json!({})).await;
    stream.until("notifications/prompts/list_changed").await;
    until(Duration::from_secs(20), "the late tool", async || {
        session.tools().await.contains(&"burst_late".to_owned()).then_some(())
    })
    .await;
    stream.until(CHANGED).await;
    assert!(count(&burst, "tools/list") - before <= 10);
    let told = stream.text.matches("prompts/list_changed").count();
    assert!((1..=5).contains(&told), "{told}");
}
