//! Client profiles: a key or `?profile=` chooses which servers and tools a client is shown, never more than the key
//! opens.

use serde_json::{Value, json};

use crate::support::mcp::{Events, Session, names, request, stateless};
use crate::support::{Ask, Gateway, servers};

const CHANGED: &str = r#""method":"notifications/tools/list_changed""#;

fn configuration(small: Value) -> Value {
    json!({
        "mcpServers": {
            "a": servers::scripted(&["--tools-read-only", "look"]),
            "b": servers::entry("offering_server.py", &["--prompts", "p"]),
            "c": servers::scripted(&[]),
            "gateway": { "type": "gateway" },
        },
        "profiles": {
            "small": small,
            "a-alone": { "servers": ["a"], "description": "for tests" },
            "b-alone": { "servers": ["b"] },
            "searching": { "servers": ["gateway"] },
        },
        "apiKeys": {
            "all": "key-all",
            "limited": { "key": "key-limited", "servers": ["a", "gateway"] },
            "reader": { "key": "key-reader", "readOnly": true },
            "small": { "key": "key-small", "profile": "small" },
            "searching": { "key": "key-searching", "profile": "searching", "servers": ["a", "gateway"] },
        },
    })
}

fn small() -> Value {
    json!({ "servers": ["a", "b"], "tools": ["a_echo", "a_l*", "c_*"] })
}

async fn started() -> Gateway {
    let gateway = Gateway::with(configuration(small())).flag("--api-key", "key-admin").start().await;
    gateway.ready(&["a", "b", "c"]).await;
    gateway
}

fn ask(gateway: &Gateway, path: &str, key: &str) -> Ask {
    gateway.ask("POST", path).header("Authorization", &format!("Bearer {key}"))
}

async fn open(gateway: &Gateway, path: &str, key: &str) -> Session {
    Session::open_with(ask(gateway, path, key)).await
}

#[tokio::test]
async fn a_profile_chooses_servers_and_tools_at_both_endpoints() {
    let gateway = started().await;
    let session = open(&gateway, "/mcp?profile=small", "key-all").await;
    assert_eq!(session.tools().await, ["a_echo", "a_look"]);
    assert!(session.call("a_echo", &json!({ "value": 7 })).await.to_string().contains('7'));
    for hidden in ["a_pid", "c_echo", "gateway_list_servers"] {
        let error = session.error("tools/call", &json!({ "name": hidden })).await;
        assert_eq!(error["message"], format!("Unknown tool: {hidden}"));
    }
    // Prompts and resources are those of its servers.
    assert_eq!(names(&session.result("prompts/list", &json!({})).await["prompts"]), ["b_p"]);
    let at_one = open(&gateway, "/a/mcp?profile=small", "key-all").await;
    assert_eq!(at_one.tools().await, ["echo", "look"]);
    at_one.call("look", &json!({})).await;
    assert_eq!(at_one.error("tools/call", &json!({ "name": "pid" })).await["message"], "Unknown tool: pid");
    // Without it the same key sees everything.
    let whole = open(&gateway, "/mcp", "key-all").await.tools().await;
    assert!(whole.contains(&"c_echo".to_owned()) && whole.contains(&"a_pid".to_owned()), "{whole:?}");
    let alone = open(&gateway, "/mcp?x=1&profile=a-alone", "key-all").await;
    assert!(alone.tools().await.iter().all(|tool| tool.starts_with("a_")));
    assert!(alone.introduction["capabilities"].get("prompts").is_none());
    assert_eq!(alone.error("prompts/get", &json!({ "name": "b_p" })).await["code"], -32602);
    assert_eq!(
        alone.error("resources/read", &json!({ "uri": "mcpo://b/odd+x://1/?a=%20#é" })).await["code"],
        -32002
    );
    // A server that is not in the profile is not there.
    let list = request("tools/list", &json!({}));
    for (path, status) in [("/c/mcp?profile=small", 404), ("/b/mcp?profile=a-alone", 404)] {
        assert_eq!(ask(&gateway, path, "key-all").json(&list).send().await.status, status, "{path}");
    }
    // And so without a session.
    let answer =
        stateless(ask(&gateway, "/mcp?profile=small", "key-all"), "tools/list", &json!({})).send().await;
    assert_eq!(names(&answer.ok()["result"]["tools"]), ["a_echo", "a_look"]);
}

#[tokio::test]
async fn a_profile_that_there_is_not_is_told_and_nothing_is_shown() {
    let gateway = started().await;
    for path in ["/mcp?profile=no%20such", "/a/mcp?profile=no+such"] {
        for method in ["POST", "GET", "DELETE"] {
            let ask = gateway.ask(method, path).header("Authorization", "Bearer key-all");
            let answer = ask.json(&request("tools/list", &json!({}))).send().await;
            assert_eq!(
                (answer.status, answer.header("x-mcpo-error")),
                (404, Some("no_such_profile")),
                "{method}"
            );
            assert!(answer.text().contains("there is no profile `no such`"), "{}", answer.text());
        }
    }
    let wrong = ask(&gateway, "/mcp?profile=no", "key-wrong").json(&json!({})).send().await;
    assert_eq!(wrong.status, 403, "a profile is nobody's business without a key");
}

#[tokio::test]
async fn a_key_with_a_profile_cannot_widen_it_and_both_hold_together() {
    let gateway = started().await;
    for (key, path, tools) in [
        ("key-small", "/mcp", &["a_echo", "a_look"][..]),
        ("key-small", "/mcp?profile=small", &["a_echo", "a_look"]),
        ("key-small", "/mcp?profile=a-alone", &["a_echo", "a_look"]),
        ("key-small", "/mcp?profile=b-alone", &[]),
        ("key-small", "/mcp?profile=searching", &[]),
        ("key-reader", "/mcp?profile=small", &["a_look"]),
        ("key-limited", "/mcp?profile=b-alone", &[]),
    ] {
        assert_eq!(open(&gateway, path, key).await.tools().await, tools, "{key} {path}");
    }
    // The key's profile holds on every face.
    let ask =
        |method: &str, path: &str| gateway.ask(method, path).header("Authorization", "Bearer key-small");
    let document = ask("GET", "/a/openapi.json").send().await.ok();
    assert_eq!(document["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/echo", "/look"]);
    let combined = ask("GET", "/openapi.json").send().await.ok();
    assert_eq!(combined["paths"].as_object().unwrap().keys().collect::<Vec<_>>(), ["/a/echo", "/a/look"]);
    assert_eq!(ask("POST", "/a/echo").json(&json!({})).send().await.status, 200);
    for path in ["/a/pid", "/c/echo"] {
        assert_eq!(ask("POST", path).json(&json!({})).send().await.status, 404, "{path}");
    }
    let shown = ask("GET", "/servers").send().await.ok();
    assert_eq!(shown["servers"][0]["tools"], json!(["echo", "look"]));
}

#[tokio::test]
async fn a_session_belongs_to_its_profile() {
    let gateway = started().await;
    let session = open(&gateway, "/a/mcp?profile=small", "key-all").await;
    let list = request("tools/list", &json!({}));
    for (path, status) in [
        ("/a/mcp?profile=small", 200),
        ("/a/mcp", 404),
        ("/a/mcp?profile=a-alone", 404),
        ("/mcp?profile=small", 404),
    ] {
        let ask = ask(&gateway, path, "key-all").header("Mcp-Session-Id", &session.id);
        assert_eq!(ask.json(&list).send().await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_stream_hears_of_its_profiles_tools_alone_and_ends_with_the_profile() {
    let gateway = started().await;
    let path = "/mcp?profile=small";
    let session = open(&gateway, path, "key-all").await;
    let head = format!("Authorization: Bearer key-all\r\nMcp-Session-Id: {}\r\n", session.id);
    let mut stream = Events::open(&gateway, "GET", path, &head, "").await;
    stream.until("\r\n\r\n").await;
    // Another server's new tool is none of this profile's.
    let mut config = configuration(small());
    config["mcpServers"]["c"] = servers::scripted(&["--tools", "new"]);
    gateway.reload(&config).await;
    let whole = open(&gateway, "/mcp", "key-all").await;
    assert!(whole.tools().await.contains(&"c_new".to_owned()));
    assert!(!stream.text.contains(CHANGED), "{}", stream.text);
    config["profiles"]["small"]["servers"] = json!(["a", "b", "c"]);
    gateway.reload(&config).await;
    assert_eq!(stream.until(CHANGED).await.matches(CHANGED).count(), 1);
    let tools = session.tools().await;
    assert!(tools.contains(&"c_new".to_owned()) && tools.contains(&"a_echo".to_owned()), "{tools:?}");
    config["profiles"].as_object_mut().unwrap().remove("small");
    config["apiKeys"].as_object_mut().unwrap().remove("small");
    gateway.reload(&config).await;
    stream.end().await;
    assert_eq!(session.answer("tools/list", &json!({})).await.status, 404);
}

#[tokio::test]
async fn a_profile_that_shows_the_gateways_tools_alone_reaches_all_that_the_key_opens_and_no_more() {
    let gateway = started().await;
    let found = async |session: &Session, query: &str| {
        let result = session.call("gateway_search_tools", &json!({ "query": query, "limit": 200 })).await;
        let tools = result["structuredContent"]["tools"].as_array().unwrap().clone();
        let names = tools.iter().map(|tool| format!("{}/{}", tool["server"], tool["tool"]).replace('"', ""));
        names.collect::<Vec<_>>()
    };
    let call = async |session: &Session, server: &str| {
        let arguments = json!({ "server": server, "tool": "echo", "arguments": { "value": 7 } });
        session.call("gateway_call_tool", &arguments).await
    };
    let all = open(&gateway, "/mcp?profile=searching", "key-all").await;
    let own = ["call_tool", "describe_tool", "list_servers", "search_tools"];
    assert_eq!(all.tools().await, own.map(|name| format!("gateway_{name}")));
    assert_eq!(found(&all, "echo").await, ["a/echo", "c/echo"]);
    assert!(call(&all, "c").await.to_string().contains('7'));
    assert_eq!(
        all.error("tools/call", &json!({ "name": "c_echo" })).await["message"],
        "Unknown tool: c_echo"
    );
    // What the key does not open is not found by any profile.
    for path in ["/mcp", "/mcp?profile=searching"] {
        let limited = open(&gateway, path, "key-searching").await;
        assert_eq!(limited.tools().await, own.map(|name| format!("gateway_{name}")));
        assert_eq!(found(&limited, "echo").await, ["a/echo"]);
        assert!(call(&limited, "a").await.to_string().contains('7'));
        assert_eq!(call(&limited, "c").await["isError"], true);
    }
    let reader = open(&gateway, "/mcp?profile=searching", "key-reader").await;
    assert_eq!(reader.tools().await.len(), 3, "call_tool may change things");
    assert_eq!(found(&reader, "").await, ["a/look"]);
}

#[tokio::test]
async fn without_keys_a_profile_still_chooses() {
    let mut config = configuration(small());
    config.as_object_mut().unwrap().remove("apiKeys");
    let gateway = Gateway::with(config).start().await;
    gateway.ready(&["a", "b", "c"]).await;
    assert_eq!(Session::open(&gateway, "/mcp?profile=small").await.tools().await, ["a_echo", "a_look"]);
    assert!(Session::open(&gateway, "/mcp").await.tools().await.contains(&"c_echo".to_owned()));
    let unknown = gateway.post("/mcp?profile=large", &request("tools/list", &json!({}))).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
}
