//! Tools that a server has for a client alone that it can ask something: they stand among those of all servers, too, and no
//! server is started for a list that has nothing of the kind.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::mcp::{Session, introduction, names, stateless, stateless_able};
use crate::support::{Ask, Gateway, provisioned, servers};

const CHANGED: &str = "notifications/tools/list_changed";

fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

async fn able_session(ask: Ask) -> Session {
    let mut introduction = introduction("2025-11-25");
    introduction["capabilities"] = able();
    Session::introduced(ask, &introduction).await
}

fn offering(more: &str, log: &Path) -> Value {
    servers::entry("offering_server.py", &["--tells", "--more", more, "--log", log.to_str().unwrap()])
}

/// How often the server was started.
fn starts(log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap().matches("\"initialize\"").count()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"))
}

#[tokio::test]
async fn what_a_server_has_for_one_client_alone_stands_among_the_tools_of_all_once_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (log, other) = (folder.path().join("log"), folder.path().join("other"));
    let config = json!({
        "mcpServers": { "s": offering("extra,more", &log), "other": offering("", &other) },
        "profiles": { "some": { "tools": ["s_extra", "s_pid"] } },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s", "other"]).await;
    let plain = Session::open(&gateway, "/mcp").await;
    let everybodys = plain.tools().await;
    let client = able_session(gateway.ask("POST", "/mcp")).await;
    let mut stream = client.stream(&gateway, "/mcp").await;
    // Nobody knows yet, and no server is asked.
    assert_eq!(client.tools().await, everybodys);
    assert_eq!((starts(&log), starts(&other)), (1, 1));
    client.heard(&gateway, "/mcp", "s_pid", &json!({})).await;
    stream.message(CHANGED).await;
    let more = client.tools().await;
    assert!(more.contains(&"s_extra".to_owned()) && more.contains(&"s_more".to_owned()), "{more:?}");
    assert_eq!(more.len(), everybodys.len() + 2);
    assert_eq!(
        text(&client.heard(&gateway, "/mcp", "s_extra", &json!({ "a": 1 })).await),
        r#"{"tool": "extra", "arguments": {"a": 1}}"#
    );
    assert_eq!(
        (starts(&log), starts(&other)),
        (2, 1),
        "the list was read over the connection that was there"
    );
    // The next client of the kind is told at once, with a session or without.
    assert_eq!(able_session(gateway.ask("POST", "/mcp")).await.tools().await, more);
    let ask =
        |method: &str, params: &Value| stateless_able(gateway.ask("POST", "/mcp"), &able(), method, params);
    let listed = ask("tools/list", &json!({})).send().await.ok()["result"].clone();
    assert_eq!((names(&listed["tools"]), &listed["cacheScope"]), (more, &json!("private")));
    let called = ask("tools/call", &json!({ "name": "s_more", "arguments": {} })).send().await.ok();
    assert_eq!(text(&called["result"]), r#"{"tool": "more", "arguments": {}}"#);
    // It is nobody's else, and a profile chooses from it as from all.
    assert_eq!(plain.tools().await, everybodys);
    let listed = stateless(gateway.ask("POST", "/mcp"), "tools/list", &json!({})).send().await.ok();
    assert_eq!(names(&listed["result"]["tools"]), everybodys);
    assert_eq!(
        plain.error("tools/call", &json!({ "name": "s_extra" })).await["message"],
        "Unknown tool: s_extra"
    );
    let some = able_session(gateway.ask("POST", "/mcp?profile=some")).await;
    assert_eq!(some.tools().await, ["s_extra", "s_pid"]);
    let path = "/mcp?profile=some";
    let hidden =
        some.streamed(&gateway, path, "tools/call", &json!({ "name": "s_more" })).await.answer().await;
    assert_eq!(hidden["error"]["message"], "Unknown tool: s_more");
    some.heard(&gateway, path, "s_extra", &json!({})).await;
    assert_eq!(starts(&other), 1);
}

#[tokio::test]
async fn such_a_tool_is_called_without_a_list_and_two_that_join_alike_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (a, a_b) = (folder.path().join("a"), folder.path().join("a_b"));
    let gateway =
        Gateway::serving(json!({ "a": offering("b_c,b_pid", &a), "a_b": offering("c", &a_b) })).start().await;
    gateway.listed(&["a", "a_b"]).await;
    let client = able_session(gateway.ask("POST", "/mcp")).await;
    // Of the server with the longer name, which alone is started for it.
    assert_eq!(
        text(&client.heard(&gateway, "/mcp", "a_b_c", &json!({})).await),
        r#"{"tool": "c", "arguments": {}}"#
    );
    assert_eq!((starts(&a), starts(&a_b)), (1, 2));
    let unknown =
        client.streamed(&gateway, "/mcp", "tools/call", &json!({ "name": "b_no" })).await.answer().await;
    assert_eq!(unknown["error"]["message"], "Unknown tool: b_no");
    assert_eq!((starts(&a), starts(&a_b)), (1, 2));
    let mut stream = client.stream(&gateway, "/mcp").await;
    client.heard(&gateway, "/mcp", "a_pid", &json!({})).await;
    stream.message(CHANGED).await;
    let listed = client.tools().await;
    let mut called: Vec<String> = Vec::new();
    for name in listed
        .iter()
        .filter(|name| name.starts_with("a_b_c") && *name != "a_b_change" || name.starts_with("a_b_pid"))
    {
        called.push(text(&client.heard(&gateway, "/mcp", name, &json!({})).await).to_owned());
    }
    called.sort();
    let echoed = |tool: &str| format!(r#"{{"tool": "{tool}", "arguments": {{}}}}"#);
    assert_eq!(called.len(), 4, "{listed:?}");
    // The tool that everybody has kept its name.
    assert!(called[0].parse::<u32>().is_ok() && listed.contains(&"a_b_pid".to_owned()), "{called:?}");
    assert_eq!(called[1..], [echoed("b_c"), echoed("b_pid"), echoed("c")]);
}

#[tokio::test]
async fn a_real_server_offers_its_questions_where_all_servers_stand_and_asks_them() {
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let gateway = Gateway::serving(json!({ "everything": everything })).start().await;
    gateway.listed(&["everything"]).await;
    let client = able_session(gateway.ask("POST", "/mcp")).await;
    let name = "everything_trigger-elicitation-request";
    let mut answer =
        client.streamed(&gateway, "/mcp", "tools/call", &json!({ "name": name, "arguments": {} })).await;
    let question = answer.message("elicitation/create").await;
    client.reply(&question, &json!({ "action": "accept", "content": { "name": "Ada" } })).await;
    assert!(answer.message("").await.to_string().contains("Ada"), "{}", answer.text);
    let listed = client.tools().await;
    let one = able_session(gateway.ask("POST", "/everything/mcp")).await;
    let expected: Vec<String> = one.tools().await.iter().map(|name| format!("everything_{name}")).collect();
    assert_eq!(listed, expected);
    assert!(listed.contains(&name.to_owned()), "{listed:?}");
}
