//! No key uses up what callers share: sessions, streams, followed resources, connections of their own, and turns.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::identity::Server;
use crate::support::mcp::{Events, Session, introduction, request, stateless, stateless_able};
use crate::support::{Answer, Ask, Gateway, provisioned, servers, until};

/// These servers and limits, and the keys `greedy` (with `rights`), `other` and `watch`.
fn config(servers: &Value, limits: &Value, rights: &Value) -> Value {
    let mut greedy = json!({ "key": "key-greedy" });
    for (name, value) in rights.as_object().unwrap() {
        greedy[name] = value.clone();
    }
    json!({
        "mcpServers": servers,
        "limits": limits,
        "profiles": { "small": { "servers": ["*"] } },
        "apiKeys": { "greedy": greedy, "other": "key-other", "watch": { "key": "key-watch", "admin": true } },
    })
}

async fn started(config: Value) -> Gateway {
    let gateway = Gateway::with(config).start().await;
    until(Duration::from_secs(60), "all servers are ready", async || {
        let answer = under("watch", gateway.ask("GET", "/servers")).send().await.json();
        let servers = answer["servers"].as_array().unwrap();
        let is_there = |server: &Value| server["state"] == "ready" && server["tools"] != json!([]);
        servers.iter().all(is_there).then_some(())
    })
    .await;
    gateway
}

fn under(key: &str, ask: Ask) -> Ask {
    ask.header("Authorization", &format!("Bearer key-{key}"))
}

async fn open(gateway: &Gateway, key: &str, path: &str) -> Session {
    Session::open_with(under(key, gateway.ask("POST", path))).await
}

fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

/// The gateway's child processes that live.
fn children(gateway: &Gateway) -> Vec<i32> {
    let own = gateway.pid();
    let tasks = std::fs::read_dir(format!("/proc/{own}/task")).unwrap();
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("children")).ok()
    };
    let lists: Vec<String> = tasks.filter_map(of_task).collect();
    let all = lists.iter().flat_map(|list| list.split_whitespace()).map(|pid| pid.parse().unwrap());
    let lives = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    };
    all.filter(lives).collect()
}

/// A session of a client that can be asked, which has called once and so has a connection of its own.
async fn calling(gateway: &Gateway, key: &str, path: &str) -> Session {
    let ask = under(key, gateway.ask("POST", path)).header("Accept", "application/json, text/event-stream");
    let session = Session::able(ask, &able()).await;
    let answer = session.answer("tools/call", &json!({ "name": "pid" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    session
}

/// A refusal with 429 that names the setting, as callers of each face get it.
fn assert_refused(answer: &Answer, setting: &str) {
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert!(answer.header("x-mcpo-error").is_some());
    let told = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(told.contains(&format!("`{setting}`")), "{told}");
}

/// Opens the stream of a session, and gives the answer's head.
async fn stream(gateway: &Gateway, key: &str, session: &Session) -> Events {
    let head = format!(
        "Authorization: Bearer key-{key}\r\nMcp-Session-Id: {}\r\nAccept: text/event-stream\r\n",
        session.id
    );
    let mut events = Events::open(gateway, "GET", "/mcp", &head, "").await;
    events.until("\r\n\r\n").await;
    events
}

#[tokio::test]
async fn a_key_that_opens_many_sessions_ends_its_own_and_none_of_another_key() {
    let servers = json!({ "s": servers::scripted(&[]) });
    let gateway = started(config(&servers, &json!({ "sessions": 20 }), &json!({}))).await;
    let other = open(&gateway, "other", "/mcp").await;
    let first = open(&gateway, "greedy", "/mcp").await;
    // Ten of twenty are its share, in whatever profile it opens them.
    for number in 0..30 {
        open(&gateway, "greedy", if number % 2 == 0 { "/mcp" } else { "/mcp?profile=small" }).await;
    }
    assert_eq!(other.answer("ping", &json!({})).await.status, 200);
    assert_eq!(first.answer("ping", &json!({})).await.status, 404);
    gateway.logged("a session of the API key `greedy` has ended to make room").await;
    gateway.logged("`limits.sessionsPerKey`: 10").await;
}

#[tokio::test]
async fn an_evicted_session_ends_with_its_stream_and_what_it_followed() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let told = ["--tells", "--log", log.to_str().unwrap()];
    let servers = json!({ "s": servers::entry("offering_server.py", &told) });
    let gateway = started(config(&servers, &json!({ "sessionsPerKey": 1 }), &json!({}))).await;
    let first = open(&gateway, "greedy", "/mcp").await;
    let uri = json!({ "uri": "mcpo://s/odd+x://1/?a=%20#é" });
    first.result("resources/subscribe", &uri).await;
    let mut events = stream(&gateway, "greedy", &first).await;
    let second = open(&gateway, "greedy", "/mcp").await;
    events.end().await;
    assert_eq!(first.answer("ping", &json!({})).await.status, 404);
    assert_eq!(second.answer("ping", &json!({})).await.status, 200);
    until(Duration::from_secs(20), "the end of the subscription at the server", async || {
        std::fs::read_to_string(&log).unwrap().contains("\"resources/unsubscribe\"").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_whose_rate_is_spent_opens_no_session_and_no_connection_by_listing() {
    let servers = json!({ "s": servers::scripted(&[]) });
    let gateway = started(config(&servers, &json!({}), &json!({ "rate": "4/day" }))).await;
    let greedy = || under("greedy", gateway.ask("POST", "/s/mcp"));
    let before = Session::able(greedy(), &able()).await;
    // A list opens nothing, and is not counted.
    before.result("tools/list", &json!({})).await;
    for _ in 0..3 {
        Session::able(greedy(), &able()).await;
    }
    let opening = greedy().json(&request("initialize", &introduction("2025-11-25"))).send().await;
    assert_refused(&opening, "apiKeys.greedy.rate");
    assert_eq!(opening.header("x-mcpo-error"), Some("rate_limited"));
    for capabilities in [able(), json!({})] {
        stateless_able(greedy(), &capabilities, "tools/list", &json!({})).send().await.ok();
    }
    before.result("tools/list", &json!({})).await;
    // A tool that not everybody has is looked for over a connection of its own.
    let looking = stateless_able(greedy(), &able(), "tools/call", &json!({ "name": "not_everybodys" }));
    let looked = looking.send().await.text();
    assert!(looked.contains("`apiKeys.greedy.rate`"), "{looked}");
    assert!(children(&gateway).len() == 1, "the server's alone");
    Session::able(under("other", gateway.ask("POST", "/s/mcp")), &able()).await.tools().await;
}

#[tokio::test]
async fn streams_that_wait_for_changes_are_shared_between_keys() {
    let servers = json!({ "s": servers::scripted(&[]) });
    let gateway = started(config(&servers, &json!({ "listenersPerKey": 2 }), &json!({}))).await;
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(open(&gateway, "greedy", "/mcp").await);
    }
    let first = stream(&gateway, "greedy", &sessions[0]).await;
    let second = stream(&gateway, "greedy", &sessions[1]).await;
    assert!(first.text.contains(" 200 ") && second.text.contains(" 200 "));
    let refused = stream(&gateway, "greedy", &sessions[2]).await.text.to_lowercase();
    assert!(refused.contains(" 429 ") && refused.contains("retry-after: "), "{refused}");
    // The key in a profile, and without a session, is the same caller.
    let ask = under("greedy", gateway.ask("POST", "/mcp?profile=small"));
    let listen = stateless(ask, "subscriptions/listen", &json!({ "notifications": {} }));
    assert_refused(&listen.send().await, "limits.listenersPerKey");
    let other = open(&gateway, "other", "/mcp").await;
    assert!(stream(&gateway, "other", &other).await.text.contains(" 200 "));
    drop(second);
    until(Duration::from_secs(20), "the share of a stream that ended", async || {
        stream(&gateway, "greedy", &sessions[2]).await.text.contains(" 200 ").then_some(())
    })
    .await;
}

#[tokio::test]
async fn followed_resources_are_shared_between_keys() {
    let servers = json!({ "s": servers::entry("offering_server.py", &["--tells"]) });
    let gateway = started(config(&servers, &json!({ "followedPerKey": 3 }), &json!({}))).await;
    let sessions = [open(&gateway, "greedy", "/mcp").await, open(&gateway, "greedy", "/mcp").await];
    let follow = async |session: &Session, number: usize| {
        let uri = format!("mcpo://s/odd+x://1/?a=%20#é{}", "/".repeat(number));
        session.answer("resources/subscribe", &json!({ "uri": uri })).await
    };
    for number in 0..3 {
        follow(&sessions[number % 2], number).await.ok();
    }
    assert_refused(&follow(&sessions[1], 4).await, "limits.followedPerKey");
    let other = open(&gateway, "other", "/mcp").await;
    follow(&other, 5).await.ok();
    // What one session gives up, another of the key may follow.
    let uri = json!({ "uri": "mcpo://s/odd+x://1/?a=%20#é" });
    sessions[0].result("resources/unsubscribe", &uri).await;
    follow(&sessions[1], 4).await.ok();
    let long = json!({ "uri": format!("mcpo://s/{}", "x".repeat(5000)) });
    assert_eq!(other.error("resources/subscribe", &long).await["code"], -32602);
}

#[tokio::test]
async fn calls_of_one_key_leave_a_turn_of_the_server_to_another() {
    let mut entry = servers::scripted(&[]);
    entry["concurrency"] = json!(4);
    let gateway = started(config(&json!({ "s": entry }), &json!({}), &json!({}))).await;
    let wait = |key| under(key, gateway.ask("POST", "/s/wait")).json(&json!({})).send();
    let greedy: Vec<_> = (0..8).map(|_| tokio::spawn(wait("greedy"))).collect();
    until(Duration::from_secs(20), "all calls of the key are under way or wait", async || {
        let metrics = under("watch", gateway.ask("GET", "/metrics")).send().await.text();
        metrics.contains("mcpo_calls_in_flight{mcp_server=\"s\"} 8").then_some(())
    })
    .await;
    let call = under("other", gateway.ask("POST", "/s/pid")).json(&json!({})).send();
    let answer = tokio::time::timeout(Duration::from_secs(20), call).await.expect("the call has its turn");
    answer.ok();
    greedy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn processes_that_serve_one_client_each_are_shared_between_keys_over_all_servers() {
    let servers = json!({ "a": servers::scripted(&[]), "b": servers::scripted(&[]) });
    let gateway = started(config(&servers, &json!({ "processesPerKey": 3 }), &json!({}))).await;
    let shared = children(&gateway).len();
    let mut sessions = Vec::new();
    for number in 0..8 {
        let path = ["/a/mcp", "/b/mcp"][number % 2];
        let session = calling(&gateway, "greedy", path).await;
        let now = children(&gateway).len();
        assert!(now <= shared + 3 && now > shared + number.min(2), "{now} after {number}");
        sessions.push(session);
    }
    gateway
        .logged("a process of the API key `greedy` ends to make room for one of the API key `greedy`")
        .await;
    gateway.logged("`limits.processesPerKey`: 3").await;
    // A client without a session has processes, too, and those that are in use do not make room.
    let params = json!({ "name": "a_wait", "arguments": {} });
    let busy = (0..3).map(|_| {
        let ask = under("greedy", gateway.ask("POST", "/mcp?profile=small"));
        let call = stateless_able(ask, &able(), "tools/call", &params);
        // A call that comes while the one below is under way may find no process either.
        tokio::spawn(async move { while call.clone().send().await.text().contains("processesPerKey") {} })
    });
    let busy: Vec<_> = busy.collect();
    let pid = json!({ "name": "a_pid", "arguments": {} });
    let refused = until(Duration::from_secs(20), "all processes of the key are in use", async || {
        let ask = under("greedy", gateway.ask("POST", "/mcp"));
        let answer = stateless_able(ask, &able(), "tools/call", &pid).send().await.text();
        answer.contains("`limits.processesPerKey`").then_some(answer)
    })
    .await;
    assert!(refused.contains("may have 3"), "{refused}");
    let ask = under("other", gateway.ask("POST", "/mcp"));
    let answer = stateless_able(ask, &able(), "tools/call", &pid).send().await.text();
    assert!(answer.contains("\"content\"") && !answer.contains("unavailable"), "{answer}");
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn the_processes_of_a_session_end_with_it() {
    let servers = json!({ "s": servers::scripted(&[]) });
    let gateway = started(config(&servers, &json!({ "sessionsPerKey": 1 }), &json!({}))).await;
    let shared = children(&gateway);
    for how in ["eviction", "DELETE"] {
        let session = calling(&gateway, "greedy", "/s/mcp").await;
        assert_eq!(children(&gateway).len(), shared.len() + 1);
        if how == "DELETE" {
            let delete = under("greedy", gateway.ask("DELETE", "/s/mcp"));
            assert_eq!(delete.header("Mcp-Session-Id", &session.id).send().await.status, 204);
        } else {
            open(&gateway, "greedy", "/mcp").await;
        }
        until(Duration::from_secs(20), &format!("the end of the process by {how}"), async || {
            (children(&gateway) == shared).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn connections_for_forwarded_headers_are_shared_between_keys() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let servers = json!({ "s": server.entry(&["X-User"]) });
    let gateway = started(config(&servers, &json!({ "identities": 4 }), &json!({}))).await;
    let call = |key: &str, tool: &str, user: &str, arguments: Value| {
        let ask = under(key, gateway.ask("POST", &format!("/s/{tool}"))).header("X-User", user);
        ask.json(&arguments).send()
    };
    let wait = json!({ "seconds": 5 });
    let busy = ["ada", "bob"].map(|user| tokio::spawn(call("greedy", "wait", user, wait.clone())));
    until(Duration::from_secs(20), "two calls are under way", async || {
        let calls = server.users_by_session("x-user").await;
        (calls.values().flatten().filter(|user| *user == "ada" || *user == "bob").count() == 2).then_some(())
    })
    .await;
    let refused = call("greedy", "whoami", "eve", json!({})).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("`limits.identitiesPerKey`"), "{}", refused.text());
    assert_eq!(call("other", "whoami", "eve", json!({})).await.ok()["headers"]["x-user"], "eve");
    for call in busy {
        assert_eq!(call.await.unwrap().status, 200);
    }
}
