//! Documents of tools and servers, case by case.

mod lossless;

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::section::SelectedTexts;
use super::*;
use crate::catalog::{CatalogTool, Namespace};
use crate::config::{DocumentConfig, ServerName};
use crate::upstream::ServerInfo;

static SETTINGS: LazyLock<DocumentConfig> = LazyLock::new(|| DocumentConfig {
    name: "MCP OpenAPI Proxy".to_owned(),
    description: "Automatically generated API from MCP Tool Schemas".to_owned(),
    version: "1.0".to_owned(),
});

static INFO: LazyLock<ServerInfo> = LazyLock::new(|| ServerInfo {
    name: "quirk".to_owned(),
    version: "9.9.9".to_owned(),
    ..ServerInfo::default()
});

fn tool(definition: Value) -> Arc<CatalogTool> {
    let name: Arc<str> = definition["name"].as_str().unwrap().into();
    let definition = Arc::new(definition.as_object().unwrap().clone());
    Arc::new(CatalogTool {
        mended: None,
        exposed_name: name.clone(),
        listed_name: name.clone(),
        name,
        own: definition.clone(),
        definition,
        read_only: false,
        checker: Default::default(),
        header_params: Default::default(),
        progress: Default::default(),
        meter: Default::default(),
    })
}

fn tool_with(name: &str, schema: Value) -> Arc<CatalogTool> {
    tool(json!({"name": name, "inputSchema": schema}))
}

fn sections_of(name: &ServerName, tools: &[Arc<CatalogTool>], wording: &Arc<Wording>) -> Sections {
    let mut writing = Writing::new(name.clone(), tools.to_vec(), wording.clone(), None);
    while !writing.write_until(Instant::now()) {}
    writing.finish()
}

fn document_of(server: &ServerDocument<'_>, tools: &[Arc<CatalogTool>]) -> Value {
    let wording = Wording { secured: server.secured, ..Wording::default() };
    let sections = sections_of(server.name, tools, &Arc::new(wording));
    serde_json::from_slice(&server_document(server, &sections.own(|_| true))).unwrap()
}

fn server_of(tools: &[Arc<CatalogTool>]) -> Value {
    let name = ServerName::new("q").unwrap();
    let server = ServerDocument {
        name: &name,
        info: Some(&INFO),
        mount: Some("/q"),
        secured: false,
        document: &SETTINGS,
    };
    document_of(&server, tools)
}

fn combined_text(servers: &[(&str, &[Arc<CatalogTool>])], prefix: &str) -> Vec<u8> {
    let names: Vec<_> = servers.iter().map(|(name, _)| ServerName::new(name).unwrap()).collect();
    let namespace = Arc::new(Namespace::new(names.iter().cloned(), 50));
    let wording = Arc::new(Wording { secured: false, namespace });
    let sections: Vec<_> =
        names.iter().zip(servers).map(|(name, (_, tools))| sections_of(name, tools, &wording)).collect();
    let mut tools = SelectedTexts::default();
    sections.iter().for_each(|sections| sections.add_to(&mut tools, |_| true));
    let servers: Vec<_> = names.iter().map(|name| (name, Some(&*INFO))).collect();
    let combined = CombinedDocument { servers: &servers, prefix, secured: false, document: &SETTINGS };
    combined_document(&combined, &tools)
}

fn combined_of(servers: &[(&str, &[Arc<CatalogTool>])], prefix: &str) -> Value {
    serde_json::from_slice(&combined_text(servers, prefix)).unwrap()
}

/// The tools of each group of the synthetic server; its table ends where it reads its arguments.
fn quirks() -> Vec<(String, Vec<Arc<CatalogTool>>)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/quirk_server.py");
    let table = "import sys, json; table = {}; \
        exec(open(sys.argv[1]).read().split('\\ngroups = ')[0], table); print(json.dumps(table['G']))";
    let output = Command::new("python3").args(["-c", table]).arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let groups: Map<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    let tools = |list: &Value| list.as_array().unwrap().iter().cloned().map(tool).collect();
    groups.iter().map(|(group, list)| (group.clone(), tools(list))).collect()
}

/// The operation of a tool in the document of its server.
fn operation<'a>(document: &'a Value, tool: &CatalogTool) -> &'a Value {
    &document["paths"][format!("/{}", path_segment(&tool.exposed_name))]["post"]
}

fn form_key(operation: &Value) -> Option<&str> {
    let reference = operation.pointer("/requestBody/content/application~1json/schema/$ref")?;
    reference.as_str()?.strip_prefix("#/components/schemas/")
}

#[test]
fn an_operation_reads_as_the_contract_has_it() {
    let schema =
        json!({"type": "object", "properties": {"timezone": {"type": "string"}}, "required": ["timezone"]});
    let output = json!({"type": "object", "properties": {"now": {"type": "string"}}});
    let definition = json!({
        "name": "get_current_time", "title": "Now", "description": "Get current time",
        "inputSchema": schema, "outputSchema": output,
        "annotations": {"readOnlyHint": true}, "_meta": {"k": 1}, "execution": {"taskSupport": "optional"},
    });
    let document = server_of(&[tool(definition)]);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["info"],
        json!({"title": "quirk", "description": "quirk MCP Server", "version": "9.9.9"})
    );
    assert_eq!(document["servers"], json!([{"url": "/q"}]));
    assert_eq!(
        document["paths"],
        json!({"/get_current_time": {"post": {
            "summary": "Get Current Time",
            "description": "Get current time",
            "operationId": "tool_get_current_time_post",
            "requestBody": {
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/get_current_time_form_model"}}},
                "required": true,
            },
            "responses": {
                "200": {"description": "Successful Response", "content": {"application/json": {"schema": {
                    "anyOf": [{"$ref": "#/components/schemas/get_current_time_response_model"}, {}],
                    "title": "Response Tool Get Current Time Post",
                }}}},
                "422": {"description": "Validation Error", "content": {"application/json": {"schema": {
                    "$ref": "#/components/schemas/HTTPValidationError"
                }}}},
                "default": {"$ref": "#/components/responses/Fault"},
            },
            "x-mcp": {
                "name": "get_current_time", "title": "Now",
                "annotations": {"readOnlyHint": true}, "_meta": {"k": 1}, "execution": {"taskSupport": "optional"},
            },
        }}})
    );
    assert_eq!(document["components"]["schemas"]["get_current_time_form_model"], schema);
    assert_eq!(document["components"]["schemas"]["get_current_time_response_model"], output);
    assert!(document["components"].get("securitySchemes").is_none());
}

#[test]
fn a_tool_has_a_body_when_its_schema_says_anything_about_arguments() {
    for (schema, required) in [
        (json!({}), None),
        (json!({"type": "object"}), None),
        (json!({"type": "object", "properties": {}, "required": [], "title": "T", "$schema": "x"}), None),
        (json!({"type": "object", "additionalProperties": false}), None),
        (json!({"type": "object", "additionalProperties": true}), Some(false)),
        (json!({"additionalProperties": {"type": "integer"}}), Some(false)),
        (json!({"patternProperties": {"^x": {}}}), Some(false)),
        (json!({"anyOf": [{"properties": {"a": {}}}]}), Some(false)),
        (json!({"properties": null}), Some(false)),
        (json!({"required": ["a"]}), Some(true)),
        (json!({"properties": {"a": {}}}), Some(true)),
        (json!([]), Some(false)),
    ] {
        let document = server_of(&[tool_with("t", schema.clone())]);
        let operation = &document["paths"]["/t"]["post"];
        assert_eq!(operation["requestBody"].get("required").map(|r| r == true), required, "{schema}");
        assert_eq!(operation["responses"].get("422").is_some(), required.is_some(), "{schema}");
        let form = document["components"]["schemas"].get("t_form_model");
        assert_eq!(form.map(|form| form["type"] == "object"), required.map(|_| true), "{schema}");
    }
}

#[test]
fn an_unfit_schema_becomes_a_permissive_object_and_harms_no_other_tool() {
    let bad = json!({"type": "object", "properties": {"v": {"$ref": "https://example.com/s.json"}}});
    let good = json!({"type": "object", "properties": {"v": {"type": "string"}}});
    let unfit_output = json!({"name": "out", "inputSchema": good, "outputSchema": {"type": "str"}});
    let document =
        server_of(&[tool_with("bad", bad.clone()), tool_with("good", good.clone()), tool(unfit_output)]);
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["bad_form_model"],
        json!({
            "type": "object",
            "additionalProperties": true,
            "description": "Any object: the server's schema cannot stand here, since it refers to \
                `https://example.com/s.json`, outside of itself. See `x-mcp-input-schema`.",
            "x-mcp-input-schema": bad,
        })
    );
    assert_eq!(schemas["good_form_model"], good);
    assert_eq!(schemas["out_response_model"]["x-mcp-output-schema"], json!({"type": "str"}));
}

#[test]
fn components_of_tools_whose_names_look_alike_stay_apart() {
    let with_definition = |name: &str, definition: &str| {
        let reference = format!("#/$defs/{definition}");
        tool_with(
            name,
            json!({"properties": {"p": {"$ref": reference}}, "$defs": {definition: {"const": name}}}),
        )
    };
    let tools = [
        with_definition("a", "b_form_model_c"),
        with_definition("a_form_model_b", "c"),
        with_definition("a b", "c"),
        with_definition("a/b", "c"),
        with_definition("a_b", "c"),
    ];
    let document = server_of(&tools);
    for tool in &tools {
        let key = form_key(operation(&document, tool)).unwrap();
        assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{key}");
        let form = &document["components"]["schemas"][key];
        let target = form["properties"]["p"]["$ref"].as_str().unwrap();
        assert_eq!(document.pointer(&target[1..]).unwrap()["const"], *tool.name);
    }
}

#[test]
fn odd_characters_in_paths_are_encoded_and_never_a_template() {
    let tools = [tool_with("{x}", json!({})), tool_with("with/slash", json!({}))];
    let document = combined_of(&[("a b", &tools)], "/pre/");
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths, ["/a%20b/%7Bx%7D", "/a%20b/with%2Fslash"]);
    assert_eq!(document["servers"], json!([{"url": "/pre"}]));
    assert_eq!(
        document["info"]["description"],
        "Automatically generated API from MCP Tool Schemas\n\n- **available tools**：\n    - [a b](/pre/a%20b/docs)"
    );
}

#[test]
fn a_document_of_a_gateway_with_keys_names_the_scheme_on_each_operation() {
    let name = ServerName::new("q").unwrap();
    let tools = [tool_with("t", json!({}))];
    let open =
        ServerDocument { name: &name, info: Some(&INFO), mount: None, secured: false, document: &SETTINGS };
    let document = document_of(&ServerDocument { secured: true, ..open }, &tools);
    assert_eq!(
        document["components"]["securitySchemes"],
        json!({"HTTPBearer": {"type": "http", "scheme": "bearer"}})
    );
    assert_eq!(document["paths"]["/t"]["post"]["security"], json!([{"HTTPBearer": []}]));
    assert!(document_of(&open, &tools)["paths"]["/t"]["post"].get("security").is_none());
}

#[test]
fn a_server_that_never_connected_is_described_by_what_is_configured() {
    let name = ServerName::new("q").unwrap();
    let server =
        ServerDocument { name: &name, info: None, mount: Some("/q"), secured: false, document: &SETTINGS };
    let document = document_of(&server, &[]);
    assert_eq!(document["info"], json!({"title": "q", "description": "q MCP Server", "version": "1.0"}));
    assert_eq!(document["paths"], json!({}));
    let single = document_of(&ServerDocument { mount: None, ..server }, &[]);
    assert_eq!(single["info"]["title"], "MCP OpenAPI Proxy");
    assert!(single.get("servers").is_none());
}

#[test]
fn instructions_are_the_description() {
    let name = ServerName::new("q").unwrap();
    let info = ServerInfo { instructions: Some("Use me.\n\nWisely.".to_owned()), ..INFO.clone() };
    let server = ServerDocument {
        name: &name,
        info: Some(&info),
        mount: Some("/q"),
        secured: false,
        document: &SETTINGS,
    };
    assert_eq!(document_of(&server, &[])["info"]["description"], "Use me.\n\nWisely.");
}

#[test]
fn a_schema_of_an_earlier_draft_is_respelled_with_the_original_beside_it() {
    let old = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"pair": {"type": "array", "items": [{"$ref": "#/definitions/N"}, {"type": "string"}]}},
        "definitions": {"N": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}},
    });
    let document = server_of(&[tool_with("t", old.clone())]);
    let form = &document["components"]["schemas"]["t_form_model"];
    assert_eq!(
        form["properties"]["pair"]["prefixItems"],
        json!([{"$ref": "#/components/schemas/t_form_model_N"}, {"type": "string"}])
    );
    assert_eq!(
        document["components"]["schemas"]["t_form_model_N"],
        json!({"type": "integer", "exclusiveMinimum": 0})
    );
    assert_eq!(form["x-mcp-input-schema"], old);
}

#[test]
fn the_same_tools_give_the_same_bytes() {
    for (group, tools) in quirks().iter().filter(|(group, _)| matches!(group.as_str(), "s_defs" | "dup_us")) {
        let servers = [("one", tools.as_slice()), ("two", tools.as_slice())];
        assert_eq!(combined_text(&servers, "/"), combined_text(&servers, "/"), "{group}");
    }
}

#[test]
fn a_schema_that_costs_too_much_is_permissive_and_the_largest_are_not_shown_beside_it() {
    for (count, rest) in [(10_000, "See `x-mcp-input-schema`."), (60_000, "It is too large to be shown.")] {
        let costly = json!({"properties": {"p": {"enum": vec![0; count]}, "q": {"enum": vec![0; 11_000]}}});
        let document =
            server_of(&[tool_with("t", costly.clone()), tool_with("u", json!({"required": ["a"]}))]);
        let form = &document["components"]["schemas"]["t_form_model"];
        assert_eq!(form["additionalProperties"], true, "{count}");
        assert!(form["description"].as_str().unwrap().ends_with(rest), "{}", form["description"]);
        assert_eq!(form.get("x-mcp-input-schema").is_some(), count == 10_000);
        assert_eq!(document["components"]["schemas"]["u_form_model"]["required"], json!(["a"]));
    }
}
