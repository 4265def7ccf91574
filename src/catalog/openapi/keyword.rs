//! Visits and maps the schemas below a keyword of JSON Schema, and names the keyword in a document.

use serde_json::{Map, Value};

pub(super) use crate::upstream::tools::schema_keyword::{Holds, holds};

/// Visits the schemas that `value` holds under its keyword, each with its step below the keyword.
pub(super) fn visit<'a>(holds: Holds, value: &'a Value, visitor: &mut dyn FnMut(Option<&str>, &'a Value)) {
    match (holds, value) {
        (Holds::List | Holds::OneOrList, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                visitor(Some(&index.to_string()), item);
            }
        }
        (Holds::One | Holds::OneOrList, one) => visitor(None, one),
        (Holds::Map, Value::Object(members)) => {
            for (name, member) in members.iter().filter(|(_, member)| !member.is_array()) {
                visitor(Some(name), member);
            }
        }
        _ => {}
    }
}

/// `value` with each schema that it holds replaced by `change` of it.
pub(super) fn map(holds: Holds, value: &Value, change: &mut dyn FnMut(&Value) -> Value) -> Value {
    match (holds, value) {
        (Holds::List | Holds::OneOrList, Value::Array(items)) => items.iter().map(change).collect(),
        (Holds::One | Holds::OneOrList, one) => change(one),
        (Holds::Map, Value::Object(members)) => {
            let changed = members.iter().map(|(name, member)| {
                (name.clone(), if member.is_array() { member.clone() } else { change(member) })
            });
            Value::Object(changed.collect())
        }
        (_, other) => other.clone(),
    }
}

/// Whether readers of OpenAPI that know only objects would trip over `true` here; `{}` says the same.
pub(super) fn wants_object(keyword: &str) -> bool {
    matches!(keyword, "allOf" | "anyOf" | "items" | "oneOf" | "properties")
}

/// The name under which a keyword goes into the document.
///
/// `$schema` and `$id` would change the dialect and the base of every reference around them; `discriminator`,
/// `externalDocs` and `xml` mean something to OpenAPI and must not appear in another form. Such keywords keep
/// their value under a name of ours.
pub(super) fn document_name<'a>(keyword: &'a str, value: &Value) -> &'a str {
    match keyword {
        "$schema" => "x-mcp-schema",
        "$id" => "x-mcp-id",
        "discriminator" if !is_discriminator(value) => "x-mcp-discriminator",
        "externalDocs" if !is_external_docs(value) => "x-mcp-externalDocs",
        "xml" if !value.is_object() => "x-mcp-xml",
        _ => keyword,
    }
}

fn is_discriminator(value: &Value) -> bool {
    let Some(members) = value.as_object() else { return false };
    members.get("propertyName").is_some_and(Value::is_string)
        && members.iter().all(|(key, value)| match key.as_str() {
            "propertyName" => true,
            "mapping" => value.as_object().is_some_and(|mapping| mapping.values().all(Value::is_string)),
            other => other.starts_with("x-"),
        })
}

fn is_external_docs(value: &Value) -> bool {
    let known = |members: &Map<String, Value>| {
        members.iter().all(|(key, value)| match key.as_str() {
            "url" | "description" => value.is_string(),
            other => other.starts_with("x-"),
        })
    };
    value.as_object().is_some_and(|members| members.contains_key("url") && known(members))
}
