//! Clients where all servers stand, when servers restart, sessions are forgotten, clients vanish, and many come at once.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::mcp::{Session, introduction, request, stateless, stateless_able};
use crate::support::servers::{Running, script};
use crate::support::{Gateway, free_port, provisioned, servers, until};

fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

/// The text of a result that is no error.
fn text(result: &Value) -> Option<&str> {
    result["content"][0]["text"].as_str().filter(|_| result["isError"] != true)
}

/// The server of the official SDK over HTTP, with its configuration entry.
async fn sdk(port: u16) -> Option<(Running, Value)> {
    let (python, program) = (provisioned::python()?, script("sdk_server.py"));
    let command = [python.to_str().unwrap(), program.to_str().unwrap(), &port.to_string()].map(str::to_owned);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let entry = json!({ "type": "streamable-http", "url": format!("http://127.0.0.1:{port}/mcp") });
    Some((Running::on_port(&command, &[], port).await, entry))
}

#[tokio::test]
async fn a_session_goes_on_while_servers_behind_it_end_and_come_back() {
    let port = free_port();
    let Some((mut server, entry)) = sdk(port).await else { return };
    let offering = servers::entry("offering_server.py", &["--tells", "--prompts", "one"]);
    let gateway = Gateway::serving(json!({ "sdk": entry, "child": offering })).start().await;
    gateway.listed(&["sdk", "child"]).await;
    let session = Session::open(&gateway, "/mcp").await;
    let mut stream = session.stream(&gateway, "/mcp").await;
    let tools = session.tools().await;
    let pid = async |server: &str| -> Option<String> {
        text(&session.call(&format!("{server}_pid"), &json!({})).await).map(str::to_owned)
    };
    let before = (pid("sdk").await.unwrap(), pid("child").await.unwrap());
    server.kill();
    kill(Pid::from_raw(before.1.parse().unwrap()), Signal::SIGKILL).unwrap();
    // While one is gone, what it has is listed all the same, and a call of it is told to the model.
    let gone = session.call("sdk_pid", &json!({})).await;
    let told = gone["content"][0]["text"].as_str().unwrap();
    assert!(gone["isError"] == true && told.starts_with("sdk: "), "{gone}");
    assert_eq!(session.tools().await, tools);
    server.restart(port).await;
    for (server, before) in [("sdk", before.0), ("child", before.1)] {
        until(Duration::from_secs(60), &format!("the next process of {server}"), async || {
            pid(server).await.filter(|now| *now != before)
        })
        .await;
    }
    let sum = session.call("sdk_add", &json!({ "a": 2, "b": 40 })).await;
    assert_eq!(text(&sum), Some("42"), "{sum}");
    assert_eq!(session.tools().await, tools);
    // Its stream is the one from before.
    session.call("child_change", &json!({ "kind": "prompts" })).await;
    stream.message("notifications/prompts/list_changed").await;
}

#[tokio::test]
async fn a_session_that_is_not_known_is_told_by_404_and_its_client_begins_anew() {
    let port = free_port();
    let config = json!({ "mcpServers": { "s": servers::scripted(&[]) } });
    let mut gateway = Gateway::with(config.clone()).port(port).start().await;
    gateway.listed(&["s"]).await;
    let session = Session::open(&gateway, "/mcp").await;
    let never = "0123456789abcdef0123456789abcdef";
    for id in [never, "", "\u{e9}", &session.id[..31]] {
        for method in ["POST", "GET", "DELETE"] {
            let ask = gateway.ask(method, "/mcp").header("Mcp-Session-Id", id);
            let answer = ask.json(&request("tools/list", &json!({}))).send().await;
            let told = answer.json()["error"].clone();
            assert_eq!(
                (answer.status, &told["message"]),
                (404, &json!("Session not found")),
                "{method} {id:?}"
            );
        }
    }
    session.tools().await;
    // After a restart none is known; the client opens another one under the same address, and finds its tools.
    assert!(gateway.stop().await.success());
    let gateway = Gateway::with(config).port(port).start().await;
    gateway.listed(&["s"]).await;
    let stale = session.answer("tools/call", &json!({ "name": "s_echo", "arguments": {} })).await;
    assert_eq!((stale.status, &stale.json()["error"]["code"]), (404, &json!(-32001)));
    let again = Session::open(&gateway, "/mcp").await;
    assert!(text(&again.call("s_echo", &json!({ "value": 7 })).await).unwrap().contains('7'));
}

/// The ids in the messages of one method that came to the server, with its process.
fn ids(log: &Path, method: &str, of: fn(&Value) -> &Value) -> HashSet<String> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let entries = entries.filter(|entry| entry["message"]["method"] == method);
    entries.map(|entry| format!("{} {}", entry["pid"], of(&entry["message"]))).collect()
}

#[tokio::test]
async fn clients_that_vanish_leave_no_request_no_turn_and_no_connection_behind() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut entry = servers::scripted(&["--log", log.to_str().unwrap()]);
    entry["concurrency"] = 6.into();
    let config = json!({ "mcpServers": { "s": entry }, "limits": { "identities": 2 } });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s"]).await;
    let wait = json!({ "name": "s_wait", "arguments": {} });
    for _ in 0..2 {
        let mut calls = Vec::new();
        for number in 0..6 {
            let ask = gateway.ask("POST", "/mcp");
            let ask = match number {
                // Two have a connection of their own, which is as many as there may be.
                0 => stateless_able(ask, &able(), "tools/call", &wait),
                1 => {
                    let session = Session::able(ask.clone(), &able()).await;
                    let ask = ask.header("Mcp-Session-Id", &session.id);
                    ask.header("Accept", "application/json, text/event-stream")
                        .json(&request("tools/call", &wait))
                }
                2 | 3 => stateless(ask, "tools/call", &wait),
                _ => {
                    let session = Session::open(&gateway, "/mcp").await;
                    ask.header("Mcp-Session-Id", &session.id).json(&request("tools/call", &wait))
                }
            };
            calls.push(tokio::spawn(ask.send()));
        }
        let called = || ids(&log, "tools/call", |message| &message["id"]);
        let cancelled = || ids(&log, "notifications/cancelled", |message| &message["params"]["requestId"]);
        let open = || called().difference(&cancelled()).count();
        until(Duration::from_secs(40), "all calls at the server", async || (open() == 6).then_some(())).await;
        for call in calls {
            call.abort();
        }
        // A session's stream waits for its client to come back, for ten seconds.
        until(Duration::from_secs(40), "the end of all calls at the server", async || {
            (open() == 0).then_some(())
        })
        .await;
    }
    gateway.logged("s/wait cancelled").await;
}

#[tokio::test]
async fn fifty_clients_at_once_get_each_their_own_answers_and_are_asked_their_own_questions() {
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let Some((_server, entry)) = sdk(free_port()).await else { return };
    let telling = servers::entry("offering_server.py", &["--tells"]);
    let gateway = Gateway::serving(json!({ "everything": everything, "sdk": entry, "asking": telling }));
    let gateway = std::sync::Arc::new(gateway.start().await);
    gateway.listed(&["everything", "sdk", "asking"]).await;
    let clients = (0..50).map(|number| {
        let gateway = gateway.clone();
        tokio::spawn(async move {
            let ask = gateway.ask("POST", "/mcp");
            let mine = format!("client {number}");
            match number % 5 {
                0 => {
                    let session = Session::able(ask, &able()).await;
                    let params = json!({ "name": "asking_ask", "arguments": { "message": mine } });
                    let mut answer = session.streamed(&gateway, "/mcp", "tools/call", &params).await;
                    let question = answer.message("elicitation/create").await;
                    assert_eq!(question["params"]["message"], mine);
                    let content = json!({ "name": format!("answer {number}.") });
                    session.reply(&question, &json!({ "action": "accept", "content": content })).await;
                    let answer = answer.message("").await.to_string();
                    assert!(answer.contains(&format!("answer {number}.")), "{answer}");
                }
                1 | 2 => {
                    let session = Session::open_with(ask).await;
                    for round in 0..10 {
                        let message = format!("{mine}/{round}");
                        let echo = session.call("everything_echo", &json!({ "message": message })).await;
                        assert_eq!(text(&echo), Some(&*format!("Echo: {message}")));
                        let sum = session.call("sdk_add", &json!({ "a": number, "b": 100 * round })).await;
                        assert_eq!(text(&sum), Some(&*(number + 100 * round).to_string()));
                    }
                }
                _ => {
                    for round in 0..10 {
                        let message = format!("{mine}/{round}");
                        let params =
                            json!({ "name": "everything_echo", "arguments": { "message": message } });
                        let echo = stateless(ask.clone(), "tools/call", &params).send().await.ok();
                        assert_eq!(text(&echo["result"]), Some(&*format!("Echo: {message}")));
                    }
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

#[tokio::test]
async fn of_fifty_clients_at_once_as_many_keep_their_sessions_as_there_may_be() {
    let config = json!({ "mcpServers": { "s": servers::scripted(&[]) }, "limits": { "sessions": 20 } });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s"]).await;
    let opening = (0..50).map(|_| {
        let ask = gateway.ask("POST", "/mcp").json(&request("initialize", &introduction("2025-11-25")));
        tokio::spawn(ask.send())
    });
    let mut ids = HashSet::new();
    for answer in opening.collect::<Vec<_>>() {
        ids.insert(answer.await.unwrap().header("mcp-session-id").unwrap().to_owned());
    }
    assert_eq!(ids.len(), 50);
    let mut kept = 0;
    for id in &ids {
        let ask = gateway.ask("POST", "/mcp").header("Mcp-Session-Id", id);
        match ask.json(&request("ping", &json!({}))).send().await.status {
            200 => kept += 1,
            status => assert_eq!(status, 404),
        }
    }
    assert_eq!(kept, 20);
}
