//! The annotations of a strict schema: titles, descriptions, bounds, and null.

use serde_json::{Map, Value, json};

use crate::catalog::functions::accepted::describe;

/// Formats of strings that are kept.
const FORMATS: [&str; 9] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"];
/// Keywords of each type that are kept.
const OF_NUMBERS: [&str; 5] = ["multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
const OF_ARRAYS: [&str; 2] = ["minItems", "maxItems"];
/// Keywords that move into the description.
pub(super) const DESCRIBED: [&str; 7] =
    ["default", "minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties", "contentEncoding"];

/// `schema`, or null. Its title and description stay outside.
pub(super) fn nullable(schema: Value) -> Value {
    let Value::Object(mut members) = schema else { return schema };
    if !members.contains_key("enum")
        && let Some(Value::String(kind)) = members.get("type")
    {
        let kinds = json!([kind, "null"]);
        members.insert("type".into(), kinds);
        return Value::Object(members);
    }
    if let Some(Value::Array(branches)) = members.get_mut("anyOf") {
        let null = json!({ "type": "null" });
        if !branches.contains(&null) {
            branches.push(null);
        }
        return Value::Object(members);
    }
    let outside: Vec<(String, Value)> =
        ["title", "description"].iter().filter_map(|key| members.shift_remove_entry(*key)).collect();
    let mut union =
        Map::from_iter([("anyOf".to_owned(), json!([Value::Object(members), { "type": "null" }]))]);
    union.extend(outside);
    Value::Object(union)
}

/// `inner` with what `members` say about it. Nothing may stand beside a reference.
pub(super) fn described(members: &Map<String, Value>, inner: Value) -> Value {
    let mut outer = Map::from_iter([("anyOf".to_owned(), json!([inner]))]);
    annotate(members, "", &mut outer);
    if outer.len() == 1 { inner } else { Value::Object(outer) }
}

/// Copies the annotations that may stay for values of type `kind`, and describes the others.
pub(super) fn annotate(members: &Map<String, Value>, kind: &str, written: &mut Map<String, Value>) {
    for key in ["title", "description"] {
        if let Some(text @ Value::String(_)) = members.get(key) {
            written.insert(key.to_owned(), text.clone());
        }
    }
    let mut described_keywords = Vec::new();
    for (key, value) in members {
        let key = key.as_str();
        let is_kept = match key {
            "pattern" if kind == "string" => value.as_str().is_some_and(is_simple),
            "format" if kind == "string" => value.as_str().is_some_and(|format| FORMATS.contains(&format)),
            _ => {
                matches!(kind, "number" | "integer") && OF_NUMBERS.contains(&key) && value.is_number()
                    || kind == "array" && OF_ARRAYS.contains(&key)
            }
        };
        let is_described =
            DESCRIBED.contains(&key) || matches!(key, "pattern" | "format") && kind == "string";
        if is_kept {
            written.insert(key.to_owned(), value.clone());
        } else if is_described && !value.is_null() {
            described_keywords.push(match value {
                Value::String(text) if key == "format" => format!("{key}: {text}"),
                value => format!("{key}: {value}"),
            });
        }
    }
    if !described_keywords.is_empty() {
        describe(written, &described_keywords);
    }
}

/// Whether a regular expression has none of the groups and references that OpenAI's engine refuses.
fn is_simple(pattern: &str) -> bool {
    let is_reference = |pair: &[u8]| pair[0] == b'\\' && matches!(pair[1], b'1'..=b'9' | b'k' | b'p' | b'P');
    !pattern.contains("(?") && !pattern.as_bytes().windows(2).any(is_reference)
}
