//! A server's schema that would take for ever to check costs its own calls their local validation, and others nothing.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Gateway, servers};

/// Longer than any answer that nothing holds up, on a machine that does other things besides.
const SOON: Duration = Duration::from_secs(5);

/// Each level of a value is checked by both alternatives, and so twice as often as the one above.
fn bomb() -> Value {
    let again = json!({ "$ref": "#/$defs/n" });
    let node = json!({ "anyOf": [
        { "properties": { "a": again }, "minProperties": 5 },
        { "properties": { "a": again }, "minProperties": 6 },
    ] });
    let deep = (0..60).fold(json!({}), |inner, _| json!({ "a": inner }));
    let property = json!({ "$ref": "#/$defs/n", "default": deep });
    json!({ "type": "object", "properties": { "x": property }, "$defs": { "n": node } })
}

/// A gateway before a server with these tools, beside that of the gateway itself.
async fn gateway(tools: &[(&str, Value)]) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tools.json");
    let definition =
        |(name, schema): &(&str, Value)| json!({ "name": name, "inputSchema": schema }).to_string();
    let definitions: Vec<String> = tools.iter().map(definition).collect();
    std::fs::write(&file, definitions.join(",")).unwrap();
    let server = servers::scripted(&["--entries", file.to_str().unwrap()]);
    let config = json!({ "mcpServers": { "s": server, "gateway": { "builtin": "gateway" } } });
    let gateway = Gateway::with(config).start().await;
    gateway.ready(&["s"]).await;
    (gateway, folder)
}

/// Asks for the gateway's health until the call has its answer; no answer to that may be late.
async fn others_are_served_during<T>(gateway: &Gateway, call: impl Future<Output = T>) -> T {
    let probe = async {
        loop {
            let began = Instant::now();
            assert_eq!(gateway.get("/health").await.status, 200);
            assert!(began.elapsed() < SOON, "others waited for {:?}", began.elapsed());
        }
    };
    tokio::select! {
        biased;
        answer = call => answer,
        never = probe => never,
    }
}

#[tokio::test]
async fn a_schema_made_to_hang_the_gateway_is_passed_on_whatever_face_its_call_comes_to() {
    let (gateway, _folder) = gateway(&[("bomb", bomb()), ("plain", json!({ "required": ["a"] }))]).await;
    let nothing = json!({});
    let direct = others_are_served_during(&gateway, gateway.post("/s/bomb", &nothing)).await;
    assert_eq!(direct.status, 200, "{}", direct.text());
    let arguments = json!({ "server": "s", "tool": "bomb", "arguments": { "x": 1 } });
    let relayed = others_are_served_during(&gateway, gateway.post("/gateway/call_tool", &arguments)).await;
    assert_eq!(relayed.status, 200, "{}", relayed.text());
    let call = json!({ "id": "1", "type": "function", "function": { "name": "s_bomb", "arguments": "{}" } });
    let calls = json!({ "tool_calls": [&call, &call, &call] });
    let by_model = others_are_served_during(&gateway, gateway.post("/v1/tools/call", &calls)).await;
    assert!(by_model.text().contains("bomb"), "{}", by_model.text());

    // Others of the same server are held to theirs.
    assert_eq!(gateway.post("/s/plain", &json!({})).await.status, 422);
    let told = "s/bomb is called without local validation, and its server alone judges the arguments: checking the \
                defaults";
    gateway.logged(told).await;
    assert_eq!(gateway.log().matches(told).count(), 1, "{}", gateway.log());
    let metrics = gateway.get("/metrics").await.text();
    let counted = r#"mcpo_tools_unvalidated_total{limit="schema_defaults",mcp_server="s"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn arguments_that_take_too_many_steps_are_the_servers_to_judge() {
    let options: Vec<Value> = (0..5000).map(|number| json!({ "k": number })).collect();
    let schema = json!({ "properties": { "x": { "items": { "enum": options } } } });
    let (gateway, _folder) = gateway(&[("choose", schema)]).await;
    assert_eq!(gateway.post("/s/choose", &json!({ "x": [{ "k": -1 }] })).await.status, 422);
    let many = json!({ "x": vec![json!({ "k": 4999 }); 6000] });
    let passed = others_are_served_during(&gateway, gateway.post("/s/choose", &many)).await;
    assert_eq!(passed.status, 200, "{}", passed.text());
    gateway.logged("s/choose is called without local validation").await;
    assert_eq!(gateway.post("/s/choose", &json!({ "x": [{ "k": -1 }] })).await.status, 422);
}

#[tokio::test]
async fn a_gateway_that_computes_ends_when_it_is_told_to() {
    let patterns: serde_json::Map<String, Value> = (0..900)
        .map(|number| (format!("p{number}"), json!({ "pattern": format!("^x{number}[a-z]{{40}}$") })))
        .collect();
    let (mut gateway, _folder) =
        gateway(&[("bomb", bomb()), ("slow", json!({ "properties": patterns }))]).await;
    let nothing = json!({});
    let calls = async { tokio::join!(gateway.post("/s/bomb", &nothing), gateway.post("/s/slow", &nothing)) };
    // Both have been begun by then; what becomes of them is no concern of this test.
    let _begun = tokio::time::timeout(Duration::from_millis(50), calls).await;
    let began = Instant::now();
    gateway.stop().await;
    assert!(began.elapsed() < 4 * SOON, "it ended after {:?}", began.elapsed());
}
