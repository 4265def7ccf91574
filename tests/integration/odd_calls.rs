//! Calls whose arguments or results are not as the protocol has them, over MCP.

use serde_json::{Value, json};

use crate::odd_definitions::{listing, lists};
use crate::support::mcp::{Session, stateless};
use crate::support::{Gateway, servers};

#[tokio::test]
async fn arguments_that_come_as_text_reach_the_server_as_what_they_are_and_others_as_they_were_sent() {
    let gateway = Gateway::serving(json!({ "q": servers::quirk(&["s_array"]) })).start().await;
    let session = Session::open(&gateway, "/q/mcp").await;
    let all = Session::open(&gateway, "/mcp").await;
    let echoed =
        |result: Value| serde_json::from_str::<Value>(result["content"][0]["text"].as_str().unwrap());
    for (arguments, expected) in [
        (json!({ "strs": "[\"a\"]", "tuple": "[\"x\", 5]" }), json!({ "strs": ["a"], "tuple": ["x", 5] })),
        (json!("{\"strs\": [\"a\"]}"), json!({ "strs": ["a"] })),
        // Only the server knows what it makes of these.
        (json!({ "strs": "a, b" }), json!({ "strs": "a, b" })),
        (json!({ "strs": [5], "more": "[1]" }), json!({ "strs": [5], "more": "[1]" })),
    ] {
        for (session, tool) in [(&session, "arr"), (&all, "q_arr")] {
            let found = echoed(session.call(tool, &arguments).await).unwrap();
            assert_eq!(found["args"], expected, "{tool} {arguments}");
        }
    }
    let refused = session.error("tools/call", &json!({ "name": "arr", "arguments": "a, b" })).await;
    assert_eq!(refused["message"], "`arguments` must be an object");
}

#[tokio::test]
async fn results_reach_clients_with_sessions_without_nulls_and_structured_content_that_is_no_object() {
    let folder = tempfile::tempdir().unwrap();
    let odd_block = json!({ "type": "text", "text": "a", "annotations": null, "_meta": null });
    let block = json!({ "type": "text", "text": "a" });
    let mut said = lists(
        &json!([{ "name": "list", "inputSchema": {} }, { "name": "nulls", "inputSchema": {} }, { "name": "cut", "inputSchema": {} }]),
        &json!([{ "name": "p" }]),
        &json!([{ "uri": "a://1" }]),
        &json!([]),
    );
    said["tools/call"] = json!({
        "list": { "content": [], "structuredContent": [{ "id": "n1" }] },
        "nulls": { "content": [odd_block], "isError": null, "_meta": null, "structuredContent": null },
    });
    said["prompts/get"] =
        json!({ "p": { "description": null, "messages": [{ "role": "user", "content": odd_block }] } });
    said["resources/read"] =
        json!({ "a://1": { "contents": [{ "uri": "a://1", "mimeType": null, "text": "x" }] } });
    let gateway = Gateway::serving(json!({ "odd": listing(&folder, &said) })).start().await;
    gateway.ready(&["odd"]).await;
    for (path, prefix, uri) in [("/mcp", "odd_", "mcpo://odd/a://1"), ("/odd/mcp", "", "a://1")] {
        let session = Session::open(&gateway, path).await;
        let text = json!({ "type": "text", "text": r#"[{"id": "n1"}]"# });
        assert_eq!(session.call(&format!("{prefix}list"), &json!({})).await, json!({ "content": [text] }));
        assert_eq!(session.call(&format!("{prefix}nulls"), &json!({})).await, json!({ "content": [block] }));
        let prompt = session.result("prompts/get", &json!({ "name": format!("{prefix}p") })).await;
        assert_eq!(prompt, json!({ "messages": [{ "role": "user", "content": block }] }));
        let read = session.result("resources/read", &json!({ "uri": uri })).await;
        assert_eq!(read, json!({ "contents": [{ "uri": uri, "text": "x" }] }));
        let name = format!("{prefix}list");
        let call = json!({ "name": name, "arguments": {} });
        let answer = stateless(gateway.ask("POST", path), "tools/call", &call)
            .header("Mcp-Name", &name)
            .send()
            .await
            .ok();
        assert_eq!(answer["result"]["structuredContent"], json!([{ "id": "n1" }]), "{answer}");
    }
}
