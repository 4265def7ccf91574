//! Tools that a server has for a client alone that it can ask something: they stand among those of all servers, too, and no
//! server is started for a list that has nothing of the kind.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::identity::Server;
use crate::support::mcp::{Events, Session, names, stateless, stateless_able};
use crate::support::{Gateway, provisioned, servers, until};

const CHANGED: &str = "notifications/tools/list_changed";
const OTHERS_CHANGED: &str = "notifications/resources/list_changed";

fn able() -> Value {
    json!({ "elicitation": { "form": {} } })
}

fn offering(more: &str, log: &Path) -> Value {
    offering_with(&["--more", more], log)
}

fn offering_with(options: &[&str], log: &Path) -> Value {
    let always = ["--tells", "--log", log.to_str().unwrap()];
    servers::entry("offering_server.py", &[&always, options].concat())
}

/// How often the server was asked this.
fn asked(method: &str, log: &Path) -> usize {
    std::fs::read_to_string(log).unwrap().matches(&format!("\"{method}\"")).count()
}

/// How often the server was started.
fn starts(log: &Path) -> usize {
    asked("initialize", log)
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
    let client = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
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
    // No process is started for a list, with a session or without; the next client finds more once it has called, too.
    assert_eq!(Session::able(gateway.ask("POST", "/mcp"), &able()).await.tools().await, everybodys);
    let ask =
        |method: &str, params: &Value| stateless_able(gateway.ask("POST", "/mcp"), &able(), method, params);
    let listed = async || ask("tools/list", &json!({})).send().await.ok()["result"].clone();
    assert_eq!(names(&listed().await["tools"]), everybodys);
    assert_eq!((starts(&log), starts(&other)), (2, 1));
    let wanted = json!({ "toolsListChanged": true });
    let (mut listener, _) = Events::listen_able(&gateway, "/mcp", &able(), &wanted).await;
    let called = ask("tools/call", &json!({ "name": "s_more", "arguments": {} })).send().await.ok();
    assert_eq!(text(&called["result"]), r#"{"tool": "more", "arguments": {}}"#);
    listener.message(CHANGED).await;
    let listed = listed().await;
    assert_eq!((names(&listed["tools"]), &listed["cacheScope"]), (more, &json!("private")));
    // It is nobody's else, and a profile chooses from it as from all.
    assert_eq!(plain.tools().await, everybodys);
    let listed = stateless(gateway.ask("POST", "/mcp"), "tools/list", &json!({})).send().await.ok();
    assert_eq!(names(&listed["result"]["tools"]), everybodys);
    assert_eq!(
        plain.error("tools/call", &json!({ "name": "s_extra" })).await["message"],
        "Unknown tool: s_extra"
    );
    let some = Session::able(gateway.ask("POST", "/mcp?profile=some"), &able()).await;
    assert_eq!(some.tools().await, ["s_pid"]);
    let path = "/mcp?profile=some";
    let hidden =
        some.streamed(&gateway, path, "tools/call", &json!({ "name": "s_more" })).await.answer().await;
    assert_eq!(hidden["error"]["message"], "Unknown tool: s_more");
    some.heard(&gateway, path, "s_extra", &json!({})).await;
    assert_eq!(some.tools().await, ["s_extra", "s_pid"]);
    assert_eq!(starts(&other), 1);
}

#[tokio::test]
async fn such_a_tool_is_called_without_a_list_and_two_that_join_alike_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (a, a_b) = (folder.path().join("a"), folder.path().join("a_b"));
    let gateway =
        Gateway::serving(json!({ "a": offering("b_c,b_pid", &a), "a_b": offering("c", &a_b) })).start().await;
    gateway.listed(&["a", "a_b"]).await;
    let client = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    // Of the server with the longer name, which alone is started for it.
    assert_eq!(
        text(&client.heard(&gateway, "/mcp", "a_b_c", &json!({})).await),
        r#"{"tool": "c", "arguments": {}}"#
    );
    assert_eq!((starts(&a), starts(&a_b)), (1, 2));
    for name in ["b_no", "ab_c", "a-b_c", "a_b_no"] {
        let unknown =
            client.streamed(&gateway, "/mcp", "tools/call", &json!({ "name": name })).await.answer().await;
        assert_eq!(unknown["error"]["message"], format!("Unknown tool: {name}"));
        assert_eq!((starts(&a), starts(&a_b)), (1, 2), "{name} is no tool of `a`");
    }
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
    let client = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let name = "everything_trigger-elicitation-request";
    let mut answer =
        client.streamed(&gateway, "/mcp", "tools/call", &json!({ "name": name, "arguments": {} })).await;
    let question = answer.message("elicitation/create").await;
    client.reply(&question, &json!({ "action": "accept", "content": { "name": "Ada" } })).await;
    assert!(answer.message("").await.to_string().contains("Ada"), "{}", answer.text);
    let listed = client.tools().await;
    let one = Session::able(gateway.ask("POST", "/everything/mcp"), &able()).await;
    let mut stream = one.stream(&gateway, "/everything/mcp").await;
    one.heard(&gateway, "/everything/mcp", "echo", &json!({ "message": "x" })).await;
    stream.message(CHANGED).await;
    let expected: Vec<String> = one.tools().await.iter().map(|name| format!("everything_{name}")).collect();
    assert_eq!(listed, expected);
    assert!(listed.contains(&name.to_owned()), "{listed:?}");
}

#[tokio::test]
async fn a_server_that_is_down_hides_no_tool_of_another_and_no_list_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (log, other, down) =
        (folder.path().join("log"), folder.path().join("other"), folder.path().join("down"));
    let trouble = ["--more", "extra", "--hang", "initialize", "--while", down.to_str().unwrap()];
    let config = json!({
        "a_b": offering_with(&trouble, &log),
        "a": offering("c_x", &other),
        "a_c": servers::scripted(&["--start", "exit"]),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.listed(&["a", "a_b"]).await;
    let everybodys = Session::open(&gateway, "/mcp").await.tools().await;
    let client = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let mut stream = client.stream(&gateway, "/mcp").await;
    for name in ["a_b_pid", "a_pid"] {
        client.heard(&gateway, "/mcp", name, &json!({})).await;
        stream.message(CHANGED).await;
    }
    let all = client.tools().await;
    assert_eq!(all.len(), everybodys.len() + 2);

    std::fs::write(&down, "").unwrap();
    let first = std::fs::read_to_string(&log).unwrap();
    let first: Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    let pid = i32::try_from(first["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    until(Duration::from_secs(30), "the next start", async || (starts(&log) == 3).then_some(())).await;
    let began = Instant::now();
    let without: Vec<String> = all.iter().filter(|name| *name != "a_b_extra").cloned().collect();
    assert_eq!(client.tools().await, without);
    assert!(began.elapsed() < Duration::from_secs(5), "the list waited: {:?}", began.elapsed());

    // The server with the longer name cannot be asked, and need not be: the hash tells whose tool it is.
    let hashed = all.iter().find(|name| name.starts_with("a_c_x_")).unwrap();
    let called = client.heard(&gateway, "/mcp", hashed, &json!({})).await;
    assert_eq!(text(&called), r#"{"tool": "c_x", "arguments": {}}"#);
    let unknown = client.heard(&gateway, "/mcp", "a_c_x_01234567", &json!({})).await;
    assert!(text(&unknown).contains("unavailable"), "{unknown}");
}

#[tokio::test]
async fn what_one_session_alone_has_is_told_once_and_to_that_session_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let gateway =
        Gateway::serving(json!({ "s": offering_with(&["--enables", "extra"], &log) })).start().await;
    gateway.listed(&["s"]).await;
    let has = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let lacks = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let mut streams = [has.stream(&gateway, "/mcp").await, lacks.stream(&gateway, "/mcp").await];
    for session in [&has, &lacks] {
        session.heard(&gateway, "/mcp", "s_pid", &json!({})).await;
    }
    has.heard(&gateway, "/mcp", "s_enable", &json!({})).await;
    streams[0].message(CHANGED).await;
    let extra = "s_extra".to_owned();
    for _ in 0..3 {
        assert!(has.tools().await.contains(&extra));
        assert!(!lacks.tools().await.contains(&extra));
    }
    let everybodys = Session::open(&gateway, "/mcp").await;
    everybodys.call("s_change", &json!({ "kind": "resources" })).await;
    for (stream, count) in streams.iter_mut().zip([1, 0]) {
        stream.message(OTHERS_CHANGED).await;
        assert_eq!(stream.text.matches(CHANGED).count(), count, "{}", stream.text);
    }
}

#[tokio::test]
async fn a_list_that_fails_says_nothing_of_what_such_clients_get_and_the_next_connection_asks_again() {
    let folder = tempfile::tempdir().unwrap();
    let (log, failing) = (folder.path().join("log"), folder.path().join("failing"));
    let trouble = ["--more", "extra", "--fail", "tools/list", "--while", failing.to_str().unwrap()];
    let gateway = Gateway::serving(json!({ "s": offering_with(&trouble, &log) })).start().await;
    gateway.listed(&["s"]).await;
    std::fs::write(&failing, "").unwrap();
    let first = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    first.heard(&gateway, "/mcp", "s_pid", &json!({})).await;
    until(Duration::from_secs(30), "the list over the client's own connection", async || {
        (asked("tools/list", &log) == 2).then_some(())
    })
    .await;
    // The answer has come when that to a later call over the same connection has.
    first.heard(&gateway, "/mcp", "s_pid", &json!({})).await;
    std::fs::remove_file(&failing).unwrap();
    let next = Session::able(gateway.ask("POST", "/mcp"), &able()).await;
    let mut stream = next.stream(&gateway, "/mcp").await;
    next.heard(&gateway, "/mcp", "s_pid", &json!({})).await;
    stream.message(CHANGED).await;
    assert_eq!(asked("tools/list", &log), 3);
    assert!(next.tools().await.contains(&"s_extra".to_owned()));
}

#[tokio::test]
async fn lists_and_lookups_go_with_the_callers_headers_like_the_calls_after_them() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let gateway = Gateway::serving(json!({ "s": server.entry(&["X-User"]) })).start().await;
    gateway.listed(&["s"]).await;
    let one = Session::able(gateway.ask("POST", "/s/mcp").header("X-User", "ada"), &able()).await;
    assert_eq!(one.tools().await, ["wait", "whoami"]);
    one.call("whoami", &json!({})).await;
    let call = async |user: &str, name: &str| {
        let ask = gateway.ask("POST", "/mcp").header("X-User", user);
        let params = json!({ "name": name, "arguments": {} });
        stateless_able(ask, &able(), "tools/call", &params).send().await.json()
    };
    assert_eq!(call("ada", "s_nothing").await["error"]["message"], "Unknown tool: s_nothing");
    let seen = call("ada", "s_whoami").await["result"].clone();
    assert_eq!(serde_json::from_str::<Value>(text(&seen)).unwrap()["headers"]["x-user"], "ada");
    let users = server.users_by_session("x-user").await;
    let users: Vec<Vec<&str>> =
        users.values().map(|users| users.iter().map(String::as_str).collect()).collect();
    let count = |user: &str| users.iter().filter(|users| **users == [user]).count();
    // That which all share, that of calls which can be asked nothing, and that of those which can.
    assert_eq!((users.len(), count("-"), count("ada")), (3, 1, 2), "{users:?}");
    // Who is refused is told so.
    let refused = call("refused", "s_nothing").await["result"].clone();
    assert!(text(&refused).contains("401"), "{refused}");
}
