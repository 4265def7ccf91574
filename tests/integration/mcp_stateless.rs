//! The MCP endpoints in the stateless era, revision 2026-07-28, over servers that speak the older one.

use serde_json::{Value, json};

use crate::support::mcp::{names, stateless};
use crate::support::{Answer, Ask, Gateway, provisioned, servers};

async fn gateway() -> Gateway {
    let gateway = Gateway::serving(json!({ "s": servers::scripted(&[]) })).start().await;
    gateway.ready(&["s"]).await;
    gateway
}

async fn ask(gateway: &Gateway, path: &str, method: &str, params: &Value) -> Answer {
    stateless(gateway.keyed(gateway.ask("POST", path)), method, params).send().await
}

#[tokio::test]
async fn a_server_is_discovered_and_called_without_a_session() {
    let gateway = gateway().await;
    let discovered = ask(&gateway, "/s/mcp", "server/discover", &json!({})).await;
    assert_eq!(discovered.header("mcp-session-id"), None);
    let result = discovered.ok()["result"].clone();
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["capabilities"], json!({ "tools": { "listChanged": true } }));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "scripted");
    for (path, prefix) in [("/s/mcp", ""), ("/mcp", "s_")] {
        let list = ask(&gateway, path, "tools/list", &json!({})).await.ok()["result"].clone();
        assert_eq!((list["resultType"].clone(), list["ttlMs"].clone()), (json!("complete"), json!(10_000)));
        // Nobody sees anything else here, since there are no keys.
        assert_eq!(list["cacheScope"], "public");
        let tool = format!("{prefix}echo");
        assert!(names(&list["tools"]).contains(&tool));
        let params = json!({ "name": tool, "arguments": { "value": 7 } });
        let result = ask(&gateway, path, "tools/call", &params).await.ok()["result"].clone();
        assert_eq!(result["resultType"], "complete");
        assert!(result["content"][0]["text"].as_str().unwrap().contains("\"value\": 7"), "{result}");
    }
}

#[tokio::test]
async fn what_a_client_adds_to_meta_reaches_the_server_and_what_the_hop_needs_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let server = servers::scripted(&["--log", log.to_str().unwrap()]);
    let gateway = Gateway::serving(json!({ "s": server })).start().await;
    let params = json!({ "name": "echo", "_meta": { "example.com/a": { "b": 1 }, "progressToken": 5 } });
    ask(&gateway, "/s/mcp", "tools/call", &params).await.ok();
    let text = std::fs::read_to_string(&log).unwrap();
    let call = text.lines().find(|line| line.contains("tools/call")).unwrap();
    let call: Value = serde_json::from_str(call).unwrap();
    let meta = &call["message"]["params"]["_meta"];
    assert_eq!(meta["example.com/a"], json!({ "b": 1 }));
    assert!(!meta.to_string().contains("io.modelcontextprotocol"), "{meta}");
    assert_ne!(meta["progressToken"], 5);
}

#[tokio::test]
async fn headers_must_agree_with_the_body() {
    let gateway = gateway().await;
    let refused = async |change: fn(Ask) -> Ask, method: &str| {
        let params = json!({ "name": "echo", "arguments": {} });
        let answer = change(stateless(gateway.ask("POST", "/s/mcp"), method, &params)).send().await;
        (answer.status, answer.json()["error"]["code"].as_i64())
    };
    // The header that comes last counts.
    assert_eq!(refused(|ask| ask, "tools/call").await, (200, None));
    assert_eq!(refused(|ask| ask.without("Mcp-Name"), "tools/call").await, (400, Some(-32020)));
    assert_eq!(refused(|ask| ask.without("Mcp-Method"), "tools/call").await, (400, Some(-32020)));
    assert_eq!(refused(|ask| ask.without("MCP-Protocol-Version"), "tools/call").await, (400, Some(-32020)));
    let other = |ask: Ask| ask.without("Mcp-Name").header("Mcp-Name", "pid");
    assert_eq!(refused(other, "tools/call").await, (400, Some(-32020)));
    assert_eq!(refused(|ask| ask, "no/such").await, (404, Some(-32601)));
    let params = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "1900-01-01",
        "io.modelcontextprotocol/clientCapabilities": {} } });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params });
    let answer =
        gateway.ask("POST", "/s/mcp").header("MCP-Protocol-Version", "1900-01-01").json(&body).send().await;
    assert_eq!(answer.status, 400);
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], -32022);
    assert_eq!(error["data"], json!({ "supported": ["2026-07-28"], "requested": "1900-01-01" }));
}

#[tokio::test]
async fn resources_and_prompts_of_a_real_server_are_read_without_a_session() {
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let gateway = Gateway::serving(json!({ "everything": everything })).start().await;
    gateway.ready(&["everything"]).await;
    let path = "/everything/mcp";
    let listed = ask(&gateway, path, "resources/list", &json!({})).await.ok()["result"].clone();
    assert_eq!((listed["resultType"].clone(), listed["ttlMs"].clone()), (json!("complete"), json!(10_000)));
    let uri = listed["resources"][0]["uri"].clone();
    let read = ask(&gateway, path, "resources/read", &json!({ "uri": uri })).await.ok()["result"].clone();
    assert_eq!((read["contents"][0]["uri"].clone(), read["ttlMs"].clone()), (uri, json!(0)));
    let missing = ask(&gateway, path, "resources/read", &json!({ "uri": "demo://no/such" })).await;
    assert_eq!(missing.json()["error"]["code"], -32602, "{}", missing.text());
    let prompt = ask(&gateway, path, "prompts/get", &json!({ "name": "simple-prompt" })).await.ok();
    assert!(prompt["result"]["messages"].as_array().is_some_and(|messages| !messages.is_empty()), "{prompt}");
}
