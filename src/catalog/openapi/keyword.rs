//! Names the keywords of JSON Schema in a document.

use serde_json::{Map, Value};

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
