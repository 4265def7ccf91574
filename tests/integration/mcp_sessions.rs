//! The MCP endpoints in the era of sessions: what a session is, whose it is, and how it ends.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::mcp::{Direct, Session, introduction, names, request};
use crate::support::{Gateway, provisioned, servers, until};

#[tokio::test]
async fn each_revision_with_sessions_is_spoken_and_any_other_is_answered_with_the_latest() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    for (asked, spoken) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1900-01-01", "2025-11-25"),
    ] {
        let answer = gateway.post("/s/mcp", &request("initialize", &introduction(asked))).await;
        let result = &answer.ok()["result"];
        assert_eq!(result["protocolVersion"], spoken, "{asked}");
        assert_eq!(result["serverInfo"], json!({ "name": "scripted", "version": "1.2.3" }));
        assert_eq!(result["capabilities"], json!({ "tools": { "listChanged": true } }));
        assert!(answer.header("mcp-session-id").is_some_and(|id| id.len() < 100));
    }
}

#[tokio::test]
async fn a_session_is_needed_and_ends_when_it_is_deleted() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    let without = gateway.post("/s/mcp", &request("tools/list", &json!({}))).await;
    assert_eq!((without.status, without.json()["error"]["code"].clone()), (400, json!(-32600)));
    let session = Session::open(&gateway, "/s/mcp").await;
    assert!(session.tools().await.contains(&"echo".to_owned()));
    assert_eq!(session.result("ping", &json!({})).await, json!({}));
    assert_eq!(session.error("no/such", &json!({})).await["code"], -32601);

    let delete = || gateway.ask("DELETE", "/s/mcp").header("Mcp-Session-Id", &session.id);
    assert_eq!(delete().send().await.status, 204);
    let stale = session.answer("tools/list", &json!({})).await;
    assert_eq!((stale.status, stale.json()["error"]["message"].clone()), (404, json!("Session not found")));
    assert_eq!(delete().send().await.status, 404);
    // As a client does that was told so.
    let again = Session::open(&gateway, "/s/mcp").await;
    assert_ne!(again.id, session.id);
    assert!(again.tools().await.contains(&"echo".to_owned()));
}

#[tokio::test]
async fn a_session_belongs_to_the_key_that_opened_it_and_to_its_endpoint() {
    let config = json!({
        "mcpServers": { "a": servers::scripted(&[]), "b": servers::scripted(&[]) },
        "apiKeys": { "mine": "key-mine", "other": "key-other", "limited": { "key": "key-limited", "servers": ["b"] } },
    });
    let gateway = Gateway::with(config).start().await;
    let ask = |method: &str, path: &str, key: &str| {
        gateway.ask(method, path).header("Authorization", &format!("Bearer {key}"))
    };
    let mine = Session::open_with(ask("POST", "/a/mcp", "key-mine")).await;
    let list = request("tools/list", &json!({}));
    let with = |path: &str, key: &str| ask("POST", path, key).header("Mcp-Session-Id", &mine.id).json(&list);
    assert_eq!(with("/a/mcp", "key-mine").send().await.status, 200);
    for (path, key, status) in [
        ("/a/mcp", "key-other", 404),
        ("/b/mcp", "key-mine", 404),
        ("/mcp", "key-mine", 404),
        ("/a/mcp", "key-wrong", 403),
        ("/a/mcp", "key-limited", 404),
    ] {
        assert_eq!(with(path, key).send().await.status, status, "{path} {key}");
    }
    assert_eq!(gateway.ask("POST", "/a/mcp").json(&list).send().await.status, 401);
    assert_eq!(ask("POST", "/no/mcp", "key-mine").json(&list).send().await.status, 404);
    assert_eq!(mine.answer("ping", &json!({})).await.status, 200, "somebody else ended it");
}

#[tokio::test]
async fn all_servers_stand_at_one_endpoint_as_far_as_the_key_opens_them() {
    let config = json!({
        "mcpServers": {
            "time-zone": servers::scripted(&["--tools-read-only", "look"]),
            "b": servers::scripted(&[]),
        },
        "apiKeys": {
            "all": "key-all",
            "limited": { "key": "key-limited", "servers": ["b"] },
            "reader": { "key": "key-reader", "readOnly": true },
        },
    });
    let gateway = Gateway::with(config).start().await;
    let open = async |key: &str| {
        let ask = gateway.ask("POST", "/mcp").header("Authorization", &format!("Bearer {key}"));
        Session::open_with(ask).await
    };
    let (all, limited, reader) = (open("key-all").await, open("key-limited").await, open("key-reader").await);
    let tools = all.tools().await;
    assert!(
        tools.contains(&"time-zone_echo".to_owned()) && tools.contains(&"b_echo".to_owned()),
        "{tools:?}"
    );
    assert!(limited.tools().await.iter().all(|name| name.starts_with("b_")));
    assert_eq!(reader.tools().await, ["time-zone_look"]);

    let text = |value: &serde_json::Value| value["content"][0]["text"].as_str().unwrap().to_owned();
    assert!(text(&all.call("time-zone_echo", &json!({ "value": 7 })).await).contains("\"value\": 7"));
    assert_ne!(
        text(&all.call("b_pid", &json!({})).await),
        text(&all.call("time-zone_pid", &json!({})).await)
    );
    for (session, tool) in
        [(&limited, "time-zone_echo"), (&reader, "time-zone_echo"), (&all, "echo"), (&all, "b_no")]
    {
        let error = session.error("tools/call", &json!({ "name": tool, "arguments": {} })).await;
        assert_eq!(
            (error["code"].clone(), error["message"].clone()),
            (json!(-32602), json!(format!("Unknown tool: {tool}")))
        );
    }
    assert_eq!(all.introduction["capabilities"], json!({ "tools": { "listChanged": true } }));
    gateway.logged("time-zone/echo ok").await;
}

#[tokio::test]
async fn what_a_server_offers_reaches_the_client_unchanged() {
    let (Some(time), Some(everything), Some(memory)) = (
        provisioned::time(),
        provisioned::node_entry("mcp-server-everything"),
        provisioned::node_entry("mcp-server-memory"),
    ) else {
        return;
    };
    let entries = [("time", time), ("everything", everything), ("memory", memory)];
    let config: serde_json::Map<_, _> =
        entries.iter().map(|(name, entry)| ((*name).to_owned(), entry.clone())).collect();
    let gateway = Gateway::serving(config.into()).start().await;
    gateway.ready(&["time", "everything", "memory"]).await;
    for (name, entry) in entries {
        let mut direct = Direct::start(&entry).await;
        let session = Session::open(&gateway, &format!("/{name}/mcp")).await;
        for key in ["serverInfo", "instructions", "protocolVersion"] {
            assert_eq!(session.introduction[key], direct.introduction[key], "{name}: {key}");
        }
        let offered = direct.introduction["capabilities"].clone();
        let mut compared = 0;
        for (capability, method) in [
            ("tools", "tools/list"),
            ("resources", "resources/list"),
            ("resources", "resources/templates/list"),
            ("prompts", "prompts/list"),
        ] {
            let here = session.answer(method, &json!({})).await.ok();
            let there = direct.answer(method, &json!({})).await;
            assert_eq!(here.get("result"), there.get("result"), "{name}: {method}");
            assert_eq!(here.get("error"), there.get("error"), "{name}: {method}");
            assert_eq!(
                session.introduction["capabilities"].get(capability).is_some(),
                offered.get(capability).is_some()
            );
            for (list, key, read) in
                [("resources", "uri", "resources/read"), ("prompts", "name", "prompts/get")]
            {
                for entry in there["result"][list].as_array().into_iter().flatten() {
                    let mut params = json!({ key: entry[key] });
                    for argument in entry["arguments"].as_array().into_iter().flatten() {
                        params["arguments"][argument["name"].as_str().unwrap()] = json!("1");
                    }
                    let here = session.answer(read, &params).await.ok();
                    let there = direct.answer(read, &params).await;
                    assert_eq!(here.get("result"), there.get("result"), "{name}: {read} {params}");
                    assert_eq!(here["error"]["code"], there["error"]["code"], "{name}: {read} {params}");
                    compared += 1;
                }
            }
            compared += there["result"]["tools"].as_array().map_or(0, Vec::len);
        }
        assert!(compared >= 2, "{name}: {compared} things were compared");
    }
}

#[tokio::test]
async fn results_are_the_servers_own_and_failures_are_told_to_the_model() {
    let config = json!({ "s": servers::scripted(&["--tools", "mcp,docs"]), "gone": { "command": "/no/such/program" } });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["s"]).await;
    let session = Session::open(&gateway, "/s/mcp").await;
    let vendor = session.answer("tools/call", &json!({ "name": "vendor" })).await;
    // Not one digit of it is touched.
    assert!(
        vendor.text().contains(r#""big":123456789012345678901234567890,"float":1.0"#),
        "{}",
        vendor.text()
    );
    assert!(vendor.text().contains(r#"{"type":"hologram","depth":3}"#), "{}", vendor.text());
    // Names are the server's own here, also those that REST has to change.
    for tool in ["mcp", "docs"] {
        assert!(session.tools().await.contains(&tool.to_owned()));
        assert!(session.call(tool, &json!({ "value": 1 })).await.to_string().contains("value"));
    }
    let wrong = session.error("tools/call", &json!({ "name": "echo", "arguments": [1] })).await;
    assert_eq!(wrong["code"], -32602);

    let died = session.call("complain", &json!({})).await;
    let text = died["content"][0]["text"].as_str().unwrap();
    assert!(died["isError"] == true && text.starts_with("s: the connection to the server ended"), "{text}");
    assert!(!text.contains("disk"), "stderr is not for callers: {text}");
    // The session outlives its server's process.
    until(Duration::from_secs(30), "the next process", async || {
        let answer = session.call("echo", &json!({ "value": 2 })).await;
        (answer["isError"] != true).then_some(())
    })
    .await;

    let gone = Session::open(&gateway, "/gone/mcp").await;
    assert_eq!(gone.tools().await, Vec::<String>::new());
    let refused = gone.call("any", &json!({})).await;
    let text = refused["content"][0]["text"].as_str().unwrap();
    assert!(
        refused["isError"] == true
            && text == "gone: the server is unavailable: its command cannot be started",
        "{text}"
    );
}

#[tokio::test]
async fn a_message_that_is_none_is_refused_and_so_is_what_a_form_could_send() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    let ask = || gateway.ask("POST", "/s/mcp");
    let refused = async |body: &str| {
        let answer = ask().header("Content-Type", "application/json").body(body.to_owned()).send().await;
        (answer.status, answer.json()["error"]["code"].as_i64().unwrap())
    };
    assert_eq!(refused("{").await, (400, -32700));
    assert_eq!(refused("[]").await, (400, -32600));
    assert_eq!(refused(r#"{"jsonrpc":"2.0"}"#).await, (400, -32600));
    let initialize = request("initialize", &introduction("2025-11-25")).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let answer = ask().header("Content-Type", kind).body(initialize.clone()).send().await;
        assert_eq!(answer.status, 415, "{kind}");
    }
    let put = gateway.ask("PUT", "/s/mcp").send().await;
    assert_eq!((put.status, put.header("allow")), (405, Some("POST, GET, DELETE")));
    let origin =
        ask().header("Origin", "http://evil.example").json(&request("ping", &json!({}))).send().await;
    assert_eq!(origin.status, 403, "{}", origin.text());
}

#[tokio::test]
async fn sessions_are_bounded_and_the_one_that_rested_longest_ends() {
    let config = json!({
        "mcpServers": { "s": servers::scripted(&[]) },
        "limits": { "sessions": 2, "sessionIdle": 2 },
    });
    let gateway = Gateway::with(config).start().await;
    let first = Session::open(&gateway, "/s/mcp").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second = Session::open(&gateway, "/s/mcp").await;
    assert_eq!(first.answer("ping", &json!({})).await.status, 200);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(first.answer("ping", &json!({})).await.status, 200);
    let third = Session::open(&gateway, "/s/mcp").await;
    assert_eq!(second.answer("ping", &json!({})).await.status, 404);
    assert_eq!(first.answer("ping", &json!({})).await.status, 200);
    let rested = Instant::now();
    until(Duration::from_secs(20), "the end of a session at rest", async || {
        if rested.elapsed() < Duration::from_secs(2) {
            return None;
        }
        (third.answer("ping", &json!({})).await.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn fifty_clients_at_once_get_each_their_own_answers() {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    let clients = (0..50).map(|number| {
        let ask = gateway.ask("POST", if number % 2 == 0 { "/s/mcp" } else { "/mcp" });
        tokio::spawn(async move {
            let session = Session::open_with(ask).await;
            let tool = if number % 2 == 0 { "echo" } else { "s_echo" };
            for round in 0..20 {
                let value = format!("{number}/{round}");
                let answer = session.call(tool, &json!({ "value": value })).await;
                assert!(answer["content"][0]["text"].as_str().unwrap().contains(&value), "{answer}");
            }
            session.id
        })
    });
    let mut ids = std::collections::HashSet::new();
    for client in clients.collect::<Vec<_>>() {
        ids.insert(client.await.unwrap());
    }
    assert_eq!(ids.len(), 50);
}

#[tokio::test]
async fn the_gateways_own_tools_give_a_client_all_servers_through_four() {
    let config = json!({ "gateway": { "type": "gateway" }, "s": servers::scripted(&[]) });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["s"]).await;
    let session = Session::open(&gateway, "/gateway/mcp").await;
    let list = session.result("tools/list", &json!({})).await;
    assert_eq!(names(&list["tools"]), ["call_tool", "describe_tool", "list_servers", "search_tools"]);
    let arguments = json!({ "server": "s", "tool": "echo", "arguments": { "value": 5 } });
    let answer = session.call("call_tool", &arguments).await;
    assert!(answer.to_string().contains("value"), "{answer}");
    // What its schema refuses is told to the model.
    let refused = session.call("describe_tool", &json!({ "server": 1 })).await;
    assert_eq!(refused["isError"], true, "{refused}");
}
