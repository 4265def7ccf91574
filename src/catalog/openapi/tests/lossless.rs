//! Every tool of the synthetic test server, held to the promise that nothing it sends is lost.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::*;

/// Compares a schema with what a document made of it.
struct Comparison<'a> {
    original: &'a Value,
    document: &'a Value,
    /// The key of the schema's component.
    key: &'a str,
    followed: HashSet<&'a str>,
}

impl<'a> Comparison<'a> {
    fn assert_nothing_lost(original: &'a Value, document: &'a Value, key: &'a str) {
        let kept = &document["components"]["schemas"][key];
        if let Some(set_aside) = kept.get("x-mcp-input-schema").or_else(|| kept.get("x-mcp-output-schema")) {
            assert_eq!(set_aside, original);
            return;
        }
        Comparison { original, document, key, followed: HashSet::new() }.compare(original, kept);
    }

    /// `kept` says all that `original` says; a reference may be spelled differently, but leads to the same.
    fn compare(&mut self, original: &'a Value, kept: &'a Value) {
        match (original, kept) {
            (Value::Bool(true), Value::Object(members)) => assert!(members.is_empty(), "true became {kept}"),
            (Value::Object(members), Value::Object(_)) => {
                for (keyword, value) in members {
                    self.compare_keyword(original, keyword, value, kept);
                }
            }
            (Value::Array(items), Value::Array(kept)) => {
                assert_eq!(items.len(), kept.len());
                items.iter().zip(kept).for_each(|(item, kept)| self.compare(item, kept));
            }
            _ => assert_eq!(original, kept),
        }
    }

    fn compare_keyword(&mut self, holder: &Value, keyword: &str, value: &'a Value, kept: &'a Value) {
        if holder == self.original && matches!(keyword, "$defs" | "definitions") {
            for (name, definition) in value.as_object().unwrap() {
                let key = format!("{}_{name}", self.key);
                self.compare(definition, &self.document["components"]["schemas"][key]);
            }
            return;
        }
        let name = match keyword {
            "$schema" => "x-mcp-schema",
            "$id" => "x-mcp-id",
            other => other,
        };
        let kept = kept.get(name).unwrap_or_else(|| panic!("{keyword} of {holder} is lost in {kept}"));
        match value {
            Value::String(text) if keyword == "$ref" => {
                let target = self.original.pointer(text.strip_prefix('#').unwrap()).unwrap();
                let place = kept.as_str().unwrap().strip_prefix('#').unwrap();
                let place = self.document.pointer(place).unwrap_or_else(|| panic!("{place} leads nowhere"));
                if self.followed.insert(text) {
                    self.compare(target, place);
                }
            }
            value => self.compare(value, kept),
        }
    }
}

#[test]
fn nothing_that_a_server_sends_is_lost_in_its_document() {
    let quirks = quirks();
    assert_eq!(quirks.len(), 39);
    for (group, tools) in &quirks {
        let document = server_of(tools);
        let mut names = HashSet::new();
        for tool in tools.iter().filter(|tool| names.insert(tool.name.clone())) {
            let operation = operation(&document, tool);
            for (keyword, value) in tool.definition.iter() {
                match keyword.as_str() {
                    "description" if value != "" => assert_eq!(operation["description"], *value),
                    "inputSchema" => match form_key(operation) {
                        Some(key) => Comparison::assert_nothing_lost(value, &document, key),
                        None => {
                            assert_eq!(operation["x-mcp"]["inputSchema"], *value, "{group}: {}", tool.name)
                        }
                    },
                    "outputSchema" => {
                        let key = format!("{}_response_model", tool.name);
                        Comparison::assert_nothing_lost(value, &document, &key);
                    }
                    other => assert_eq!(operation["x-mcp"][other], *value, "{group}: {}", tool.name),
                }
            }
        }
        assert_eq!(document["paths"].as_object().unwrap().len(), names.len(), "{group}");
    }
}

#[test]
fn no_key_of_a_component_depends_on_the_tools_of_another_server() {
    let schema = json!({"type": "object", "properties": {"a": {}}});
    let own = [tool_with("x_form_model", schema.clone()), tool_with("y", schema.clone())];
    let key = |document: &Value, path: &str| {
        form_key(&document["paths"][path]["post"]).map(str::to_owned).unwrap_or_else(|| panic!("{document}"))
    };
    let alone = combined_of(&[("s", &own), ("s_x-form-model", &[])], "/");
    let hash = crate::catalog::tagged_json::hash_prefix(b"s_x_form_model", 8);
    let beside = combined_of(&[("s", &own), ("s_x-form-model", &[tool_with(&hash, schema)])], "/");
    assert_eq!(key(&alone, "/s/y"), "s_y_form_model");
    for path in ["/s/x_form_model", "/s/y"] {
        assert_eq!(key(&alone, path), key(&beside, path));
    }
    assert_ne!(key(&beside, "/s/x_form_model"), key(&beside, &format!("/s_x-form-model/{hash}")));
}

#[test]
fn the_combined_document_holds_every_tool_of_every_server_under_ids_of_its_own() {
    let quirks = quirks();
    let servers: Vec<_> = quirks.iter().map(|(group, tools)| (group.as_str(), tools.as_slice())).collect();
    let document = combined_of(&servers, "/");
    let paths = document["paths"].as_object().unwrap();
    let distinct: HashSet<_> =
        quirks.iter().flat_map(|(group, tools)| tools.iter().map(move |tool| (group, &tool.name))).collect();
    assert_eq!(paths.len(), distinct.len());
    let ids: HashSet<_> = paths.values().map(|item| item["post"]["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), distinct.len());
    let operation = &paths["/s_defs/defs"]["post"];
    assert_eq!(operation["operationId"], "s_defs_defs");
    assert_eq!(operation["tags"], json!(["s_defs"]));
    for (group, tools) in &quirks {
        for tool in
            tools.iter().filter(|tool| group != "dup" || tool.definition["inputSchema"]["required"].is_null())
        {
            let item = &paths[&format!("/{group}/{}", path_segment(&tool.name))]["post"];
            if let Some(key) = form_key(item) {
                Comparison::assert_nothing_lost(&tool.definition["inputSchema"], &document, key);
            }
        }
    }
}
