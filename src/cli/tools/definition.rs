//! A tool's definition, put together again from the OpenAPI document that it was spread over.

use serde_json::{Map, Value};

const COMPONENTS: &str = "#/components/schemas/";

/// The definition behind `operation` of `document`. It has the members under `x-mcp`, the description, and the schemas
/// with their references under `$defs`.
pub fn of(document: &Value, operation: &Value) -> Map<String, Value> {
    let mut definition = Map::new();
    let kept = operation["x-mcp"].as_object().cloned().unwrap_or_default();
    let described = operation.get("description").map(|text| ("description", text.clone()));
    let input = &operation["requestBody"]["content"]["application/json"]["schema"];
    let output = &operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0];
    let schemas =
        [("inputSchema", input, "x-mcp-input-schema"), ("outputSchema", output, "x-mcp-output-schema")];
    let schemas = schemas.into_iter().filter_map(|(keyword, schema, set_aside)| {
        let key = schema["$ref"].as_str()?.strip_prefix(COMPONENTS)?;
        Some((keyword, schema_of(document, key, set_aside)?))
    });
    // In the order in which definitions are usually written.
    let parts: Vec<(&str, Value)> = described.into_iter().chain(schemas).collect();
    for (keyword, value) in kept.iter().filter(|(keyword, _)| matches!(keyword.as_str(), "name" | "title")) {
        definition.insert(keyword.clone(), value.clone());
    }
    definition.extend(parts.into_iter().map(|(keyword, value)| (keyword.to_owned(), value)));
    for (keyword, value) in kept {
        definition.entry(keyword).or_insert(value);
    }
    definition
}

/// The schema that became the component `key`: the original where it was set aside, else the component, with the
/// components that it refers to.
fn schema_of(document: &Value, key: &str, set_aside: &str) -> Option<Value> {
    let components = &document["components"]["schemas"];
    let root = components.get(key)?;
    if let Some(original) = root.get(set_aside) {
        return Some(original.clone());
    }
    let mut wanted = Vec::new();
    let mut schema = rewritten(root, key, &mut wanted);
    if let Some(members) = schema.as_object_mut()
        && let Some(dialect) = members.shift_remove("x-mcp-schema")
    {
        members.insert("$schema".to_owned(), dialect);
    }
    let mut definitions = Map::new();
    while let Some(name) = wanted.pop() {
        let own_name = own_name(&name, key);
        if !definitions.contains_key(own_name) {
            let part = rewritten(components.get(&name).unwrap_or(&Value::Null), key, &mut wanted);
            definitions.insert(own_name.to_owned(), part);
        }
    }
    if !definitions.is_empty() {
        definitions.sort_keys();
        schema["$defs"] = Value::Object(definitions);
    }
    Some(schema)
}

/// `schema` with references into the document's components turned into references into its own `$defs`, or to
/// itself where they lead to `root`; the others are put to `wanted`.
fn rewritten(schema: &Value, root: &str, wanted: &mut Vec<String>) -> Value {
    match schema {
        Value::Object(members) => {
            let members = members.iter().map(|(keyword, value)| {
                let value = match (keyword.as_str(), value) {
                    ("$ref", Value::String(text)) => Value::String(reference(text, root, wanted)),
                    // A discriminator's; an argument of that name is an object of something else.
                    ("mapping", Value::Object(targets)) if targets.values().all(Value::is_string) => {
                        let targets = targets.iter().map(|(name, target)| {
                            let target = target.as_str().unwrap_or_default();
                            (name.clone(), Value::from(reference(target, root, wanted)))
                        });
                        Value::Object(targets.collect())
                    }
                    _ => rewritten(value, root, wanted),
                };
                (keyword.clone(), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(|item| rewritten(item, root, wanted)).collect(),
        other => other.clone(),
    }
}

fn reference(text: &str, root: &str, wanted: &mut Vec<String>) -> String {
    let Some(target) = text.strip_prefix(COMPONENTS) else { return text.to_owned() };
    let (key, rest) = target.split_at(target.find('/').unwrap_or(target.len()));
    if key == root {
        return format!("#{rest}");
    }
    wanted.push(key.to_owned());
    format!("#/$defs/{}{rest}", own_name(key, root))
}

/// A part's name without that of the whole schema, which starts the keys of all its parts.
fn own_name<'a>(key: &'a str, root: &str) -> &'a str {
    key.strip_prefix(root)
        .and_then(|rest| rest.strip_prefix('_'))
        .filter(|name| !name.is_empty())
        .unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_is_whole_again() {
        let document = json!({ "components": { "schemas": {
            "t_form_model": {
                "type": "object", "x-mcp-schema": "https://json-schema.org/draft/2020-12/schema",
                "properties": {
                    "unit": { "$ref": "#/components/schemas/t_form_model_Unit" },
                    "again": { "$ref": "#/components/schemas/t_form_model" },
                },
            },
            "t_form_model_Unit": { "anyOf": [{ "$ref": "#/components/schemas/t_form_model_Inner/properties/a" }] },
            "t_form_model_Inner": { "properties": { "a": { "type": "string" } } },
            "t_response_model": { "type": "object", "x-mcp-output-schema": { "id": "as it was" } },
            "u_form_model": { "type": "object" },
        }}});
        let operation = json!({
            "description": "Does it.",
            "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/t_form_model" } } } },
            "responses": { "200": { "content": { "application/json": { "schema": {
                "anyOf": [{ "$ref": "#/components/schemas/t_response_model" }, {}]
            } } } } },
            "x-mcp": { "name": "t", "annotations": { "readOnlyHint": true }, "title": "T" },
        });
        insta::assert_snapshot!(serde_json::to_string_pretty(&of(&document, &operation)).unwrap(), @r###"
        {
          "name": "t",
          "title": "T",
          "description": "Does it.",
          "inputSchema": {
            "type": "object",
            "properties": {
              "unit": {
                "$ref": "#/$defs/Unit"
              },
              "again": {
                "$ref": "#"
              }
            },
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {
              "Inner": {
                "properties": {
                  "a": {
                    "type": "string"
                  }
                }
              },
              "Unit": {
                "anyOf": [
                  {
                    "$ref": "#/$defs/Inner/properties/a"
                  }
                ]
              }
            }
          },
          "outputSchema": {
            "id": "as it was"
          },
          "annotations": {
            "readOnlyHint": true
          }
        }
        "###);
    }

    #[test]
    fn an_argument_called_mapping_stays_and_a_discriminators_is_rewritten() {
        let mapping = json!({ "properties": { "type": { "enum": ["a"] }, "deep": {} } });
        let schema = json!({ "properties": { "mapping": mapping, "ref": { "mapping": {
            "a": "#/components/schemas/t_form_model_A", "b": "B"
        } } } });
        let mut wanted = Vec::new();
        let written = rewritten(&schema, "t_form_model", &mut wanted);
        assert_eq!(written["properties"]["mapping"], mapping);
        assert_eq!(written["properties"]["ref"]["mapping"], json!({ "a": "#/$defs/A", "b": "B" }));
        assert_eq!(wanted, ["t_form_model_A"]);
    }

    #[test]
    fn a_tool_without_arguments_keeps_its_schema() {
        let schema = json!({ "type": "object", "properties": {} });
        let operation = json!({ "x-mcp": { "name": "t", "inputSchema": schema } });
        assert_eq!(of(&json!({}), &operation)["inputSchema"], schema);
    }
}
