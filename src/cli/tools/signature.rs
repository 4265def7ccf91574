//! A tool's arguments as they are shown: `timezone: string, [when: string], [limit: integer = 20]`.

use serde_json::{Map, Value};

use super::super::output::on_one_line;

/// Alternatives and constants shown; the rest is an ellipsis.
const SHOWN: usize = 6;
/// Levels of lists and references that are followed.
const DEEPEST: usize = 4;

/// The arguments that `schema` describes, required ones first. Optional ones are in brackets, with their defaults.
pub fn signature(schema: &Value) -> Vec<String> {
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let is_required = |name: &String| required.contains(&name.as_str());
    let argument = |(name, property): (&String, &Value)| {
        let kind = kind(property, schema, DEEPEST);
        let default = property.get("default").filter(|default| !default.is_null());
        let default = default.map(|default| format!(" = {}", short(default))).unwrap_or_default();
        let text = on_one_line(&format!("{name}: {kind}"));
        match is_required(name) {
            true => text,
            false => format!("[{text}{default}]"),
        }
    };
    let (first, later): (Vec<_>, Vec<_>) = properties.iter().partition(|(name, _)| is_required(name));
    let mut arguments: Vec<String> = first.into_iter().chain(later).map(argument).collect();
    let is_open = schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
    let has_forms =
        ["anyOf", "oneOf", "allOf", "patternProperties"].iter().any(|form| schema.get(form).is_some());
    if is_open || has_forms {
        arguments.push("...".to_owned());
    }
    arguments
}

/// The type of a value, as a programmer would write it.
fn kind(schema: &Value, root: &Value, depth: usize) -> String {
    let Some(members) = schema.as_object() else { return "any".to_owned() };
    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return match found {
            Some(found) if depth > 0 => kind(found, root, depth - 1),
            _ => "any".to_owned(),
        };
    }
    if let Some(constant) = members.get("const") {
        return short(constant);
    }
    if let Some(options) = members.get("enum").and_then(Value::as_array) {
        return alternatives(options.iter().map(short).collect());
    }
    for form in ["anyOf", "oneOf"] {
        if let Some(options) =
            members.get(form).and_then(Value::as_array).filter(|options| !options.is_empty())
        {
            let options = options.iter().filter(|option| option["type"] != "null");
            return alternatives(options.map(|option| kind(option, root, depth.saturating_sub(1))).collect());
        }
    }
    if let Some([only]) = members.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        return kind(only, root, depth.saturating_sub(1));
    }
    match members.get("type") {
        Some(Value::String(name)) => named(name, members, root, depth),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            alternatives(names.map(|name| named(name, members, root, depth)).collect())
        }
        _ if members.contains_key("properties") => "object".to_owned(),
        _ => "any".to_owned(),
    }
}

fn named(name: &str, members: &Map<String, Value>, root: &Value, depth: usize) -> String {
    if name != "array" {
        return name.to_owned();
    }
    match members.get("items") {
        Some(items) if depth > 0 && items.is_object() => {
            let item = kind(items, root, depth - 1);
            if item.contains('|') { format!("({item})[]") } else { format!("{item}[]") }
        }
        _ => "any[]".to_owned(),
    }
}

fn alternatives(options: Vec<String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for option in options {
        if !distinct.contains(&option) {
            distinct.push(option);
        }
    }
    if distinct.len() > SHOWN {
        distinct.truncate(SHOWN);
        distinct.push("...".to_owned());
    }
    match distinct.is_empty() {
        true => "null".to_owned(),
        false => distinct.join("|"),
    }
}

/// A constant as JSON, unless it is long.
fn short(value: &Value) -> String {
    let text = on_one_line(&value.to_string());
    match text.char_indices().nth(30) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_read_like_a_programmers_line() {
        for (schema, line) in [
            (json!({}), ""),
            (json!({ "type": "object", "properties": {}, "additionalProperties": false }), ""),
            (json!({ "additionalProperties": true }), "..."),
            (
                json!({
                    "properties": {
                        "when": { "type": "string" },
                        "timezone": { "type": "string" },
                        "limit": { "type": "integer", "default": 20 },
                    },
                    "required": ["timezone"],
                }),
                "timezone: string, [when: string], [limit: integer = 20]",
            ),
            (
                json!({
                    "$defs": { "Unit": { "enum": ["c", "f"] }, "Tree": { "type": "array", "items": { "$ref": "#/$defs/Tree" } } },
                    "properties": {
                        "unit": { "$ref": "#/$defs/Unit" },
                        "many": { "type": "array", "items": { "$ref": "#/$defs/Unit" } },
                        "tree": { "$ref": "#/$defs/Tree" },
                        "maybe": { "anyOf": [{ "type": "number" }, { "type": "null" }], "default": null },
                        "either": { "type": ["string", "integer", "null"] },
                        "lost": { "$ref": "#/$defs/Gone" },
                        "free": true,
                    },
                }),
                "[unit: \"c\"|\"f\"], [many: (\"c\"|\"f\")[]], [tree: any[][]], [maybe: number], [either: string|integer], [lost: any], [free: any]",
            ),
            (json!({ "properties": { "n": { "enum": [1, 2, 3, 4, 5, 6, 7] } } }), "[n: 1|2|3|4|5|6|...]"),
        ] {
            assert_eq!(signature(&schema).join(", "), line, "{schema}");
        }
    }

    #[test]
    fn a_name_with_escape_sequences_is_made_harmless() {
        assert_eq!(signature(&json!({ "properties": { "\u{1b}[31m": {} } })), ["[\\u{1b}[31m: any]"]);
    }
}
