//! A client that bears few tools reaches all of them through the gateway's own.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::mcp::Session;
use crate::support::{Gateway, provisioned, servers};

/// More than an editor takes (128), beside a real server that is one among many.
async fn crowded() -> Option<Gateway> {
    let everything = provisioned::node_entry("mcp-server-everything")?;
    let many: Vec<String> = (0..150).rev().map(|number| format!("tool_{number}")).collect();
    let config = json!({
        "many": servers::scripted(&["--tools", &many.join(",")]),
        "everything": everything,
        "gateway": { "type": "gateway" },
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.listed(&["many", "everything"]).await;
    Some(gateway)
}

#[tokio::test]
async fn a_client_with_a_handful_of_tools_finds_and_calls_one_of_a_hundred_and_fifty() {
    let Some(gateway) = crowded().await else { return };
    assert!(Session::open(&gateway, "/mcp").await.tools().await.len() > 150);
    let session = Session::open(&gateway, "/gateway/mcp").await;
    let tools = session.tools().await;
    assert!(tools.len() <= 6 && tools.contains(&"search_tools".to_owned()), "{tools:?}");

    let search = json!({ "query": "sum numbers", "schemas": true });
    let found = session.call("search_tools", &search).await["structuredContent"].clone();
    let first = &found["tools"][0];
    assert_eq!((&first["server"], &first["tool"]), (&json!("everything"), &json!("get-sum")), "{found}");
    assert!(first["description"].as_str().is_some_and(|text| !text.is_empty()), "{found}");
    // As a client would: by nothing but what was found.
    let properties = first["inputSchema"]["properties"].as_object().unwrap();
    let arguments: serde_json::Map<String, Value> =
        properties.keys().zip([2, 40]).map(|(name, value)| (name.clone(), json!(value))).collect();
    let call = json!({ "server": first["server"], "tool": first["tool"], "arguments": arguments });
    let result = session.call("call_tool", &call).await;
    assert!(result["content"][0]["text"].as_str().unwrap().contains("42"), "{result}");
    // The same behind all tools, and by the server's own endpoint.
    let all = Session::open(&gateway, "/mcp").await;
    assert_eq!(all.call("gateway_call_tool", &call).await, result);
    let own = Session::open(&gateway, "/everything/mcp").await;
    assert_eq!(own.call("get-sum", &Value::Object(arguments)).await, result);

    let without =
        session.call("search_tools", &json!({ "query": "tool_7" })).await["structuredContent"].clone();
    assert_eq!(without["tools"][0]["tool"], "tool_7", "the whole name comes first: {without}");
    assert!(without["tools"][0].get("inputSchema").is_none());
    assert_eq!(without["matches"], 11);
    for (call, told) in [
        (json!({ "server": "many", "tool": "tool_150" }), "no tool `tool_150`"),
        (json!({ "server": "gateway", "tool": "search_tools" }), "cannot be called through call_tool"),
        (json!({ "server": "everything", "tool": "get-sum", "arguments": { "a": "many" } }), "b"),
    ] {
        let result = session.call("call_tool", &call).await;
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(result["isError"] == true && text.contains(told), "{result}");
    }
}

#[tokio::test]
async fn a_resource_that_an_inner_call_links_to_can_be_read_where_all_servers_stand() {
    let Some(gateway) = crowded().await else { return };
    let call = json!({ "server": "everything", "tool": "get-resource-links", "arguments": { "count": 1 } });
    let all = Session::open(&gateway, "/mcp").await;
    let result = all.call("gateway_call_tool", &call).await;
    let uri = &result["content"][1]["uri"];
    assert!(uri.as_str().unwrap().starts_with("mcpo://everything/demo://"), "{result}");
    assert_eq!(&all.result("resources/read", &json!({ "uri": uri })).await["contents"][0]["uri"], uri);
    let own = Session::open(&gateway, "/gateway/mcp").await.call("call_tool", &call).await;
    assert!(own["content"][1]["uri"].as_str().unwrap().starts_with("demo://"), "{own}");
}

#[tokio::test]
async fn the_official_python_sdk_finds_and_calls_a_tool_through_it() {
    let Some(python) = provisioned::python() else { return };
    let Some(gateway) = crowded().await else { return };
    let script = provisioned::root().join("tests/clients/mcp_sdk.py");
    let url = format!("http://{}/gateway/mcp", gateway.address);
    let run = async |mode: &str, tool: &str, arguments: Value| -> Value {
        let mut command = Command::new(&python);
        command.arg(&script).args([&url, mode, tool, &arguments.to_string()]).stderr(Stdio::piped());
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    for mode in ["legacy", "2026-07-28"] {
        let found = run(mode, "search_tools", json!({ "query": "echo", "server": "everything" })).await;
        assert!(found["tools"].as_array().unwrap().len() <= 6, "{found}");
        let found: Value = serde_json::from_str(found["text"][0].as_str().unwrap()).unwrap();
        let (server, tool) = (&found["tools"][0]["server"], &found["tools"][0]["tool"]);
        let call = json!({ "server": server, "tool": tool, "arguments": { "message": "hello" } });
        let called = run(mode, "call_tool", call).await;
        assert_eq!(
            (&called["is_error"], &called["text"]),
            (&json!(false), &json!(["Echo: hello"])),
            "{mode}"
        );
    }
}
