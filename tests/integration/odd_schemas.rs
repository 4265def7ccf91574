//! Schemas of arguments that are wrong somewhere deep inside: clients that make models of them lose no list.

use serde_json::{Map, Value, json};

use crate::odd_definitions::{listing, lists};
use crate::support::Gateway;
use crate::support::mcp::{Session, stateless};

/// Schemas of one argument, each by the name of its tool.
fn odd() -> Value {
    json!({
        "tuple": { "type": "array", "items": [{ "type": "string" }], "additionalItems": false },
        "bound": { "type": "integer", "minimum": 0, "exclusiveMinimum": true },
        "any": { "type": "any", "title": "X" },
        "null": { "type": "object", "properties": { "y": { "type": "string", "description": null } } },
        "text": { "type": "array", "items": "string" },
        "both": { "type": "array", "items": true, "minItems": "1" },
        "ghost": { "$ref": "#/$defs/Ghost" },
        "remote": { "$ref": "https://example.com/s.json" },
    })
}

/// The schemas of the arguments of `tools`, by the names of the tools without `prefix`.
fn schemas(tools: &Value, prefix: &str) -> Map<String, Value> {
    let one = |tool: &Value| {
        let name = tool["name"].as_str().unwrap().strip_prefix(prefix).unwrap().to_owned();
        (name, tool["inputSchema"].clone())
    };
    tools.as_array().unwrap().iter().filter(|tool| tool["name"] != "good_hello").map(one).collect()
}

#[tokio::test]
async fn what_is_wrong_deep_inside_a_schema_reaches_no_client_and_its_tool_is_called_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let tool = |(name, schema): (&String, &Value)| json!({ "name": name, "inputSchema": { "type": "object", "properties": { "x": schema } } });
    let mut tools: Vec<Value> = odd().as_object().unwrap().iter().map(tool).collect();
    let named = json!({ "type": "object", "properties": { "constructor": { "type": "string" } }, "required": ["constructor"] });
    tools.push(json!({ "name": "named", "inputSchema": named }));
    let (none, good) = (json!([]), json!([{ "name": "hello", "inputSchema": { "type": "object" } }]));
    let config = json!({
        "odd": listing(&folder, &lists(&json!(tools), &none, &none, &none)),
        "good": listing(&folder, &lists(&good, &none, &none, &none)),
    });
    let gateway = Gateway::serving(config).start().await;
    gateway.ready(&["odd", "good"]).await;
    for (path, prefix) in [("/mcp", "odd_"), ("/odd/mcp", "")] {
        let session = Session::open(&gateway, path).await.result("tools/list", &json!({})).await;
        let answer = stateless(gateway.ask("POST", path), "tools/list", &json!({})).send().await.ok();
        for listed in [&session["tools"], &answer["result"]["tools"]] {
            let got = schemas(listed, prefix);
            assert_eq!(got.len(), tools.len(), "{got:?}");
            for (name, schema) in &got {
                let valid =
                    jsonschema::draft202012::meta::validate(schema).map_err(|error| error.to_string());
                assert_eq!(valid, Ok(()), "{name}: {schema}");
                assert!(!schema.to_string().contains("$ref"), "{name}: {schema}");
            }
            let argument = |name: &str| got[name]["properties"]["x"].clone();
            assert_eq!(
                argument("tuple"),
                json!({ "type": "array", "prefixItems": [{ "type": "string" }], "items": { "not": {} } })
            );
            assert_eq!(argument("bound"), json!({ "type": "integer", "exclusiveMinimum": 0 }));
            assert_eq!(argument("any"), json!({ "title": "X" }));
            assert_eq!(argument("both"), json!({ "type": "array", "items": {} }));
            assert_eq!(got["named"]["properties"], json!({}));
            assert_eq!(got["named"]["patternProperties"], json!({ "^constructor$": { "type": "string" } }));
        }
    }
    for line in [
        "odd: tool `any`: `inputSchema.properties.x.type` is no type of JSON Schema; clients get it without what is wrong",
        "odd: tool `null`: `inputSchema.properties.x.properties.y.description` is null",
        "odd: tool `text`: `inputSchema.properties.x.items` is no schema",
        "odd: tool `ghost`, `remote`: `inputSchema.properties.x.$ref` is no reference to a schema within",
    ] {
        gateway.logged(line).await;
        assert_eq!(gateway.log().matches(line).count(), 1, "{line}");
    }
    for function in gateway.get("/v1/tools").await.ok().as_array().unwrap() {
        let parameters = &function["function"]["parameters"];
        assert!(jsonschema::draft202012::meta::is_valid(parameters), "{function}");
    }
    for (name, arguments) in [("any", json!({ "x": [1] })), ("named", json!({ "constructor": "a" }))] {
        assert_eq!(gateway.post(&format!("/odd/{name}"), &arguments).await.ok(), arguments);
    }
    assert_eq!(gateway.post("/odd/named", &json!({})).await.status, 422);
    let sent = gateway.get("/servers/odd/tools").await.ok();
    assert_eq!(sent["tools"][0]["definition"]["inputSchema"]["properties"]["x"], odd()["tuple"]);
}
