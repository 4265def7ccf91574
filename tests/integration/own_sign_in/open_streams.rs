//! What a client has open ends at once with its sign-in: sessions, streams, calls, and requests that wait for its input.

use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::person::{Person, Tokens};
use crate::support::mcp::{Events, Session, request, stateless_able, with_meta};
use crate::support::{Ask, Gateway, servers, until};

const LIMIT: Duration = Duration::from_secs(20);
const CHANGED: &str = "notifications/tools/list_changed";

/// A client's session with its stream, and a listener of the stateless era.
pub struct Opened {
    pub session: Session,
    stream: Events,
    listener: Events,
}

fn ask(gateway: &Gateway, bearer: &str) -> Ask {
    gateway.ask("POST", "/mcp").header("Authorization", &format!("Bearer {bearer}"))
}

impl Opened {
    pub async fn with(gateway: &Gateway, bearer: &str) -> Self {
        let session = Session::open_with(ask(gateway, bearer)).await;
        let bearer = format!("Authorization: Bearer {bearer}\r\n");
        let head = format!("{bearer}Mcp-Session-Id: {}\r\nAccept: text/event-stream\r\n", session.id);
        let mut stream = Events::open(gateway, "GET", "/mcp", &head, "").await;
        stream.until("\r\n\r\n").await;
        let head =
            format!("{bearer}MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n");
        let wanted = with_meta(&json!({ "notifications": { "toolsListChanged": true } }), &json!({}));
        let body = request("subscriptions/listen", &wanted).to_string();
        let mut listener = Events::open(gateway, "POST", "/mcp", &head, &body).await;
        listener.message("notifications/subscriptions/acknowledged").await;
        Self { session, stream, listener }
    }

    /// Waits until both streams have ended.
    pub async fn streams_end(&mut self) {
        for stream in [&mut self.stream, &mut self.listener] {
            timeout(LIMIT, stream.end()).await.expect("the stream ends at once");
        }
        let result = r#""result":{"resultType":"complete""#;
        assert!(self.listener.text.contains(result), "in good order: {}", self.listener.text);
    }

    /// Waits until all has ended; `other` is a good bearer of the same key.
    pub async fn has_ended(mut self, gateway: &Gateway, other: &str) {
        self.streams_end().await;
        until(LIMIT, "the session is unknown", async || {
            (self.status(gateway, other).await == 404).then_some(())
        })
        .await;
    }

    /// The answer to a `ping` in the session.
    pub async fn status(&self, gateway: &Gateway, bearer: &str) -> u16 {
        let ping = ask(gateway, bearer).header("Mcp-Session-Id", &self.session.id);
        ping.json(&request("ping", &json!({}))).send().await.status
    }

    /// Waits for the news of changed tools on both streams.
    async fn hears(mut self) {
        assert_eq!(self.session.result("ping", &json!({})).await, json!({}));
        for stream in [&mut self.stream, &mut self.listener] {
            timeout(LIMIT, stream.message(CHANGED)).await.expect("the stream goes on");
        }
    }
}

fn config(tools: &str) -> Value {
    json!({
        "mcpServers": { "s": servers::scripted(&["--tools", tools]) },
        "apiKeys": { "ann": "key-of-ann", "bob": "key-of-bob" },
        "signIn": { "apiKeys": true },
    })
}

async fn started(config: &Value) -> Gateway {
    let gateway = Gateway::with(config.clone()).flag("--api-key", "key-of-ops").start().await;
    gateway.listed(&["s"]).await;
    gateway
}

async fn revoke(gateway: &Gateway, token: &str) {
    assert_eq!(gateway.ask("POST", "/oauth/revoke").form(&[("token", token)]).send().await.status, 200);
}

#[tokio::test]
async fn a_sign_in_that_ends_takes_its_sessions_and_streams_along_and_no_others() {
    let gateway = started(&config("one")).await;
    let person = Person::at(&gateway, "client").await;
    let stays = person.signs_in("key-of-ann").await.access;
    let others = [Opened::with(&gateway, &stays).await, Opened::with(&gateway, "key-of-ann").await];

    // The client signs out.
    let tokens = person.signs_in("key-of-ann").await;
    let opened = Opened::with(&gateway, &tokens.access).await;
    revoke(&gateway, &tokens.refresh).await;
    opened.has_ended(&gateway, &stays).await;

    // A refresh token comes again; what was opened with any token of the sign-in ends.
    let first = person.signs_in("key-of-ann").await;
    let second = person.renews(&first).await.unwrap();
    let third = person.renews(&second).await.unwrap();
    let all = [&first, &second, &third].map(|tokens: &Tokens| Opened::with(&gateway, &tokens.access));
    let all = join_all(all).await;
    assert_eq!(person.renews(&first).await.unwrap_err(), "invalid_grant");
    for opened in all {
        opened.has_ended(&gateway, &stays).await;
    }

    // A code comes twice.
    let code = person.code("key-of-ann").await;
    let tokens = person.redeems(&person.redemption(&code)).await.unwrap();
    let opened = Opened::with(&gateway, &tokens.access).await;
    assert_eq!(person.redeems(&person.redemption(&code)).await.unwrap_err(), "invalid_grant");
    opened.has_ended(&gateway, &stays).await;

    gateway.reload(&config("two")).await;
    for opened in others {
        opened.hears().await;
    }
}

#[tokio::test]
async fn a_sign_in_that_makes_room_for_newer_ones_takes_what_it_opened_along() {
    let gateway = started(&config("one")).await;
    let person = Person::at(&gateway, "client").await;
    let oldest = person.signs_in("key-of-ann").await;
    let opened = Opened::with(&gateway, &oldest.access).await;
    // One key may have 200, and the second of the last renewal counts.
    let newer = async {
        loop {
            join_all((0..20).map(|_| person.signs_in("key-of-ann"))).await;
        }
    };
    tokio::select! {
        () = opened.has_ended(&gateway, "key-of-ann") => {}
        never = newer => never,
    }
}

#[tokio::test]
async fn a_reload_that_ends_a_sign_in_ends_its_streams() {
    let mut config = config("one");
    let gateway = started(&config).await;
    let person = Person::at(&gateway, "client").await;
    let (ann, bob) = (person.signs_in("key-of-ann").await, person.signs_in("key-of-bob").await);
    let opened = Opened::with(&gateway, &ann.access).await;
    let mut of_bob = Opened::with(&gateway, &bob.access).await;
    config["apiKeys"]["ann"] = json!("another-key-of-ann");
    gateway.reload(&config).await;
    opened.has_ended(&gateway, "another-key-of-ann").await;
    assert_eq!(of_bob.status(&gateway, &bob.access).await, 200);
    config.as_object_mut().unwrap().remove("signIn");
    gateway.reload(&config).await;
    of_bob.streams_end().await;
}

#[tokio::test]
async fn a_call_in_a_session_and_a_request_that_waits_for_input_are_cancelled_with_the_sign_in() {
    let folder = tempfile::tempdir().unwrap();
    let logs = ["s", "asks"].map(|name| folder.path().join(name));
    let [s, asks] = logs.each_ref().map(|log| log.to_str().unwrap());
    let mut config = config("one");
    config["mcpServers"]["s"] = servers::scripted(&["--log", s]);
    config["mcpServers"]["asks"] = servers::entry("offering_server.py", &["--tells", "--log", asks]);
    let gateway = started(&config).await;
    gateway.listed(&["asks"]).await;
    let person = Person::at(&gateway, "client").await;
    let tokens = person.signs_in("key-of-ann").await;
    let session = Session::open_with(ask(&gateway, &tokens.access)).await;
    let call = session.asks("tools/call", &json!({ "name": "s_wait" }));
    let call = tokio::spawn(async move { call.send().await.status });
    came(&logs[0], "tools/call").await;

    let able = json!({ "elicitation": { "form": {} } });
    let mut params = json!({ "name": "asks_ask", "arguments": { "message": "name?" } });
    let asked = async |bearer: &str, params: &Value| {
        let ask = stateless_able(ask(&gateway, bearer), &able, "tools/call", params);
        ask.header("Mcp-Param-Message", "name?").send().await
    };
    let result = asked(&tokens.access, &params).await.ok()["result"].clone();
    assert_eq!(result["resultType"], "input_required", "{result}");

    revoke(&gateway, &tokens.access).await;
    for log in &logs {
        came(log, "notifications/cancelled").await;
    }
    assert_eq!(call.await.unwrap(), 202, "as a call that its client has cancelled");
    params["requestState"] = result["requestState"].clone();
    let gone = asked("key-of-ann", &params).await;
    assert_eq!(gone.status, 400, "it waits no longer: {}", gone.text());
}

/// Waits until a message with this method has come to the server with this log.
async fn came(log: &Path, method: &str) {
    until(LIMIT, &format!("{method} at the server"), async || {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.contains(&format!("\"{method}\"")).then_some(())
    })
    .await;
}
