//! Sessions outlive the gateway: their clients go on after a restart, and those that have ended stay so.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::mcp::{Events, Session};
use crate::support::sdk_client::SdkClient;
use crate::support::{Ask, Gateway, free_port, provisioned, servers, until};

const KEY: &str = "key-mine";
const CALL: &str = r#"{"value":7}"#;

/// A gateway that starts again on its port with its state.
struct Restarted {
    gateway: Gateway,
    port: u16,
    state: tempfile::TempDir,
}

fn config(more: &Value) -> Value {
    let mut config = json!({
        "mcpServers": { "s": servers::scripted(&[]) },
        "profiles": { "small": { "tools": ["s_*"] } },
        "apiKeys": { "mine": { "key": KEY, "admin": true }, "other": "key-other" },
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

impl Restarted {
    async fn start(config: &Value) -> Self {
        let (port, state) = (free_port(), tempfile::tempdir().unwrap());
        let gateway = Self::gateway(config, port, state.path()).await;
        Self { gateway, port, state }
    }

    async fn gateway(config: &Value, port: u16, state: &Path) -> Gateway {
        let gateway = Gateway::with(config.clone()).port(port).state(state).start().await;
        until(Duration::from_secs(60), "the tools of s", async || {
            let answer = ask(&gateway, "GET", "/servers", KEY).send().await;
            (answer.status != 200 || answer.json()["servers"][0]["tools"] != json!([])).then_some(())
        })
        .await;
        gateway
    }

    /// Ends the process and starts another one.
    async fn restart(&mut self, config: &Value) {
        assert!(self.gateway.stop().await.success());
        self.gateway = Self::gateway(config, self.port, self.state.path()).await;
    }

    /// The same for a process that is killed.
    async fn kill(&mut self, config: &Value) {
        self.gateway.signal(Signal::SIGKILL);
        assert!(!self.gateway.stop().await.success());
        self.gateway = Self::gateway(config, self.port, self.state.path()).await;
    }

    async fn open(&self, path: &str) -> Session {
        Session::open_with(ask(&self.gateway, "POST", path, KEY)).await
    }

    async fn delete(&self, session: &Session) -> u16 {
        ask(&self.gateway, "DELETE", "/mcp", KEY).header("Mcp-Session-Id", &session.id).send().await.status
    }
}

fn ask(gateway: &Gateway, method: &str, path: &str, key: &str) -> Ask {
    gateway.ask(method, path).header("Authorization", &format!("Bearer {key}"))
}

async fn status(session: &Session) -> u16 {
    session.answer("ping", &json!({})).await.status
}

#[tokio::test]
async fn a_session_goes_on_after_a_restart_for_its_holder_alone() {
    let config = config(&json!({}));
    let mut restarted = Restarted::start(&config).await;
    let session = restarted.open("/mcp?profile=small").await;
    let before = session.tools().await;
    assert!(
        session.id.len() < 300 && session.id.bytes().all(|byte| byte.is_ascii_graphic()),
        "{}",
        session.id
    );
    restarted.restart(&config).await;

    let list = crate::support::mcp::request("tools/list", &json!({}));
    let mut changed = session.id.clone().into_bytes();
    changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    for (path, key, id) in [
        ("/mcp?profile=small", "key-other", &session.id),
        ("/mcp", KEY, &session.id),
        ("/s/mcp?profile=small", KEY, &session.id),
        ("/mcp?profile=small", KEY, &changed),
        ("/mcp?profile=small", KEY, &format!("{}x", session.id)),
    ] {
        let answer =
            ask(&restarted.gateway, "POST", path, key).header("Mcp-Session-Id", id).json(&list).send().await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["code"]),
            (404, &json!(-32001)),
            "{path} {key} {id}"
        );
    }
    assert_eq!(session.tools().await, before);
    assert!(session.call("s_echo", &json!({ "value": 7 })).await.to_string().contains("7"));
    // Again, and after a process that had no time for anything.
    restarted.kill(&config).await;
    assert_eq!(session.tools().await, before);
}

#[tokio::test]
async fn the_client_is_told_on_its_next_stream_that_it_may_have_missed_changes() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let offering = ["--tells", "--prompts", "one", "--log", log.path().to_str().unwrap()];
    let config = json!({ "mcpServers": { "s": servers::entry("offering_server.py", &offering) } });
    let mut restarted = Restarted::start(&config).await;
    let session = Session::open(&restarted.gateway, "/mcp").await;
    let follow = json!({ "uri": "mcpo://s/odd+x://1/?a=%20#é" });
    session.result("resources/subscribe", &follow).await;
    restarted.restart(&config).await;
    let mut stream = session.stream(&restarted.gateway, "/mcp").await;
    for list in ["tools", "prompts", "resources"] {
        stream.message(&format!("notifications/{list}/list_changed")).await;
    }
    // It follows a resource again when it says so, and then hears of it.
    session.result("resources/subscribe", &follow).await;
    session.call("s_touch", &json!({ "uri": "odd+x://1/?a=%20#é" })).await;
    stream.message("notifications/resources/updated").await;
    // Once is enough.
    drop(stream);
    let mut stream = session.stream(&restarted.gateway, "/mcp").await;
    session.call("s_touch", &json!({ "uri": "odd+x://1/?a=%20#é" })).await;
    stream.message("notifications/resources/updated").await;
    assert!(!stream.text.contains("list_changed"), "{}", stream.text);
}

#[tokio::test]
async fn the_last_use_of_a_session_is_known_after_a_kill_as_the_minute_before_left_it() {
    let idle = Duration::from_secs(30);
    let config = config(&json!({ "limits": { "sessionIdle": idle.as_secs() } }));
    let mut restarted = Restarted::start(&config).await;
    let (used, rests, opened) = (restarted.open("/mcp").await, restarted.open("/mcp").await, Instant::now());
    let file = restarted.state.path().join("sessions");
    until(Duration::from_secs(120), "the last uses of a minute in the file", async || {
        assert_eq!(status(&used).await, 200);
        // The last byte of a record says what it is.
        std::fs::read(&file).ok()?.chunks_exact(24).any(|record| record[23] == 1).then_some(())
    })
    .await;
    assert!(opened.elapsed() > idle, "without a last use it has rested for too long");
    restarted.kill(&config).await;
    assert_eq!([status(&used).await, status(&rests).await], [200, 404]);
}

#[tokio::test]
async fn a_session_that_was_deleted_stays_unknown_after_a_restart_and_a_kill() {
    let config = config(&json!({}));
    let mut restarted = Restarted::start(&config).await;
    let (stays, first, second) =
        (restarted.open("/mcp").await, restarted.open("/mcp").await, restarted.open("/mcp").await);
    assert_eq!(restarted.delete(&first).await, 204);
    restarted.kill(&config).await;
    assert_eq!((status(&first).await, status(&stays).await), (404, 200));
    // This process did not open it.
    assert_eq!((restarted.delete(&second).await, status(&second).await), (204, 404));
    restarted.kill(&config).await;
    assert_eq!([status(&first).await, status(&second).await, status(&stays).await], [404, 404, 200]);
    restarted.restart(&config).await;
    assert_eq!([status(&first).await, status(&second).await, status(&stays).await], [404, 404, 200]);
}

#[tokio::test]
async fn the_sessions_of_a_key_that_was_gone_or_had_another_value_stay_unknown() {
    let with = config(&json!({}));
    let without = config(&json!({ "apiKeys": { "other": { "key": "key-other", "admin": true } } }));
    let mut restarted = Restarted::start(&with).await;
    let open = restarted.open("/mcp").await;
    // One that the running process never saw.
    let unseen = restarted.open("/mcp").await;
    restarted.restart(&with).await;
    assert_eq!(status(&open).await, 200);
    let reload = async |config: &Value| {
        restarted.gateway.rewrite(&config.to_string());
        restarted.gateway.hang_up();
    };
    reload(&without).await;
    restarted.gateway.logged("the key mine has another value or is gone").await;
    assert_eq!(status(&open).await, 403);
    reload(&with).await;
    until(Duration::from_secs(20), "the key is back", async || (status(&open).await != 403).then_some(()))
        .await;
    assert_eq!([status(&open).await, status(&unseen).await], [404, 404]);
    let fresh = restarted.open("/mcp").await;
    restarted.restart(&with).await;
    assert_eq!([status(&open).await, status(&unseen).await, status(&fresh).await], [404, 404, 200]);
    // Gone while the gateway was not there.
    restarted.restart(&without).await;
    restarted.restart(&with).await;
    assert_eq!(status(&fresh).await, 404);
    // Another value is another key.
    let fresh = restarted.open("/mcp").await;
    let renewed = config(&json!({ "apiKeys": { "mine": { "key": "key-new", "admin": true } } }));
    restarted.restart(&renewed).await;
    let new = ask(&restarted.gateway, "GET", "/mcp", "key-new").header("Mcp-Session-Id", &fresh.id);
    assert_eq!(new.send().await.status, 404);
}

#[tokio::test]
async fn gateways_with_one_session_key_open_each_others_sessions_and_the_key_can_be_changed() {
    let (first, second) = ("the first secret of all the sessions", "the second secret of all the sessions");
    let start = async |keys: Value| {
        let setup =
            Gateway::with(config(&json!({ "sessionKey": keys, "stateDir": "" }))).state(Path::new(""));
        let gateway = setup.start().await;
        until(Duration::from_secs(60), "the tools of s", async || {
            let answer = ask(&gateway, "GET", "/servers", KEY).send().await;
            (answer.json()["servers"][0]["tools"] != json!([])).then_some(())
        })
        .await;
        gateway
    };
    let one = start(json!(first)).await;
    let two = start(json!([second, first])).await;
    let three = start(json!(second)).await;
    let known = async |gateway: &Gateway, session: &Session| {
        let stream = ask(gateway, "POST", "/mcp", KEY).header("Mcp-Session-Id", &session.id);
        let ping = crate::support::mcp::request("ping", &json!({}));
        stream.json(&ping).send().await.status == 200
    };
    let of_one = Session::open_with(ask(&one, "POST", "/mcp", KEY)).await;
    assert!(known(&one, &of_one).await && known(&two, &of_one).await && !known(&three, &of_one).await);
    let of_two = Session::open_with(ask(&two, "POST", "/mcp", KEY)).await;
    assert!(known(&three, &of_two).await && !known(&one, &of_two).await);
}

#[tokio::test]
async fn without_a_state_directory_and_a_session_key_sessions_end_with_the_process_and_the_log_says_so() {
    let config = config(&json!({ "stateDir": "" }));
    let port = free_port();
    let mut gateway = Gateway::with(config.clone()).port(port).state(Path::new("")).start().await;
    gateway.logged("sessions of MCP clients end with this process").await;
    let session = Session::open_with(ask(&gateway, "POST", "/mcp", KEY)).await;
    assert!(gateway.stop().await.success());
    let _gateway = Gateway::with(config).port(port).state(Path::new("")).start().await;
    assert_eq!(status(&session).await, 404);
}

#[tokio::test]
async fn a_short_session_key_is_refused() {
    let (code, told) = Gateway::with(config(&json!({ "sessionKey": "short" }))).fail(free_port()).await;
    assert!(
        code == Some(64) && told.contains("`sessionKey` is shorter than 32 characters"),
        "{code:?} {told}"
    );
}

#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_end_and_a_stream_of_before_is_refused_after_it() {
    let config = json!({ "mcpServers": { "s": servers::scripted(&[]) } });
    let mut restarted = Restarted::start(&config).await;
    let session = Session::open(&restarted.gateway, "/mcp").await;
    let slow = json!({ "name": "s_slow", "arguments": { "seconds": 2 }, "_meta": { "progressToken": 1 } });
    let mut events = session.streamed(&restarted.gateway, "/mcp", "tools/call", &slow).await;
    let id = events.until("data:").await.split_once("id: ").unwrap().1.lines().next().unwrap().to_owned();
    restarted.gateway.signal(Signal::SIGTERM);
    assert!(events.message("").await["result"].is_object());
    restarted.restart(&config).await;
    let head =
        format!("Mcp-Session-Id: {}\r\nAccept: text/event-stream\r\nLast-Event-ID: {id}\r\n", session.id);
    let mut resumed = Events::open(&restarted.gateway, "GET", "/mcp", &head, "").await;
    let told = resumed.until("send the request again").await;
    assert!(told.starts_with("HTTP/1.1 400"), "{told}");
    assert_eq!(status(&session).await, 200);
}

/// Has the client list and call before and after restarts, which it does not notice.
async fn outlives(program: &Path, words: &[&str]) {
    let config = config(&json!({}));
    let mut restarted = Restarted::start(&config).await;
    let url = format!("http://127.0.0.1:{}/mcp", restarted.port);
    let mut client =
        SdkClient::start(program, words[0], &[&words[1..], &[&url, "s_echo", CALL, KEY]].concat());
    let before = client.told().await;
    assert!(before["text"].as_str().is_some_and(|text| text.contains('7')), "{before}");
    assert!(before["session"].as_str().is_some_and(|session| session.len() > 80), "{before}");
    restarted.restart(&config).await;
    assert_eq!(client.call().await, before);
    restarted.kill(&config).await;
    assert_eq!(client.call().await, before);
    // The check sees what it is there for: a gateway with another secret does not know the session.
    std::fs::remove_file(restarted.state.path().join("seal.key")).unwrap();
    restarted.restart(&config).await;
    let lost = client.call().await;
    assert!(lost["error"].is_string(), "{lost}");
}

#[tokio::test]
async fn the_python_sdk_1_goes_on_after_a_restart_without_a_new_session() {
    let Some(python) = provisioned::python_with_first_sdk() else { return };
    outlives(&python, &["outlives.py", "sdk"]).await;
}

#[tokio::test]
async fn fastmcp_goes_on_after_a_restart_without_a_new_session() {
    let Some(python) = provisioned::python_with_fastmcp() else { return };
    outlives(&python, &["outlives.py", "fastmcp"]).await;
}

#[tokio::test]
async fn the_typescript_sdk_1_goes_on_after_a_restart_without_a_new_session() {
    let Some(node) = provisioned::newer_node() else { return };
    outlives(&node, &["outlives.mjs"]).await;
}
