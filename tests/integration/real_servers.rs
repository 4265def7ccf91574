//! Calls to published servers: time (Python), everything, memory and context7 (Node), all behind one gateway.

use serde_json::json;

use crate::support::{Gateway, provisioned};

#[tokio::test]
async fn four_published_servers_answer_behind_one_port() {
    let Some(time) = provisioned::time() else { return };
    let Some(everything) = provisioned::node_entry("mcp-server-everything") else { return };
    let Some(memory) = provisioned::node("mcp-server-memory") else { return };
    let Some(context7) = provisioned::node_entry("context7-mcp") else { return };
    let folder = tempfile::tempdir().unwrap();
    let memory =
        json!({ "command": memory, "env": { "MEMORY_FILE_PATH": folder.path().join("memory.jsonl") } });
    let config = json!({ "time": time, "everything": everything, "memory": memory, "context7": context7 });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["time", "everything", "memory", "context7"]).await;

    let now = gateway.post("/time/get_current_time", &json!({ "timezone": "Europe/Berlin" })).await.ok();
    assert_eq!(now["timezone"], "Europe/Berlin");
    let converted = json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
    let converted = gateway.post("/time/convert_time", &converted).await.ok();
    assert_eq!(converted["time_difference"], "+9.0h");

    let echo = gateway.post("/everything/echo", &json!({ "message": "a\nb ☃" })).await.ok();
    assert_eq!(echo, "Echo: a\nb ☃");
    let sum = gateway.post("/everything/get-sum", &json!({ "a": "2", "b": 3 })).await.ok();
    assert_eq!(sum, "The sum of 2 and 3 is 5.");

    let entities =
        json!({ "entities": [{ "name": "mcpo", "entityType": "gateway", "observations": ["one port"] }] });
    gateway.post("/memory/create_entities", &entities).await.ok();
    let graph = gateway.post("/memory/read_graph", &json!({})).await.ok();
    assert_eq!(graph["entities"][0]["name"], "mcpo");
    let bad = gateway.post("/memory/create_entities", &json!({ "entities": [{ "name": 5 }] })).await;
    assert_eq!(bad.status, 422, "{}", bad.text());

    // Its tools look things up on the internet; that they are offered is what can be seen here.
    let document = gateway.get("/context7/openapi.json").await.ok();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/resolve-library-id"), "{:?}", paths.keys());
}

#[tokio::test]
async fn a_single_server_has_its_tools_at_the_root() {
    let Some(time) = provisioned::time() else { return };
    let command = time["command"].as_str().unwrap().to_owned();
    let gateway = Gateway::bare().command(&[&command, "--local-timezone=UTC"]).start().await;
    let now = gateway.post("/get_current_time", &json!({ "timezone": "UTC" })).await.ok();
    assert_eq!(now["timezone"], "UTC");
    let document = gateway.get("/openapi.json").await.ok();
    assert_eq!(document["info"]["title"], "mcp-time");
    assert!(document["paths"].get("/get_current_time").is_some(), "{}", document["paths"]);
    assert_eq!(gateway.get("/docs").await.status, 200);
    assert_eq!(gateway.post("/nope", &json!({})).await.status, 404);
}
