//! The table of keys as a JSON Schema (draft 2020-12), for editors and for checks of a file.
//!
//! The schema accepts every file that the gateway accepts alone: unknown keys, `null` for a key that is absent, and words
//! in any case where the gateway takes them. It refuses a known key with a wrong type, also at a server that does not use
//! the key. What lies across files, or takes a parser of URLs or globs, only `mcpo check` sees.

use serde_json::{Map, Value, json};

use super::environment;
use super::key::{ConfigKey, Stability, ValueShape};
use super::keys::entry::ENTRY;
use super::keys::{self, GROUPS, MAPS};
use super::name::RESERVED;
use super::rate::UNITS;
use super::transport::{TRANSPORT_TYPES, TransportType};
use crate::protocol::revision;

/// The JSON Schema of a configuration file. Beside the keywords of JSON Schema, a key has `x-environment` (its variable),
/// `x-reload` (what a reload does about it), `x-unstable` and `x-spelling-of`.
pub fn schema() -> Value {
    let mut properties = Map::new();
    let own = "Where the schema of this file is, for editors";
    properties.insert("$schema".to_owned(), json!({ "type": "string", "description": own }));
    for key in MAPS {
        properties.insert(key.name.to_owned(), property(key));
    }
    for key in keys::settings() {
        let mut schema = property(&key);
        schema["x-environment"] = key.variable().into();
        let (group, name) = key.parts();
        let Some(group) = group else {
            properties.insert(name.to_owned(), schema);
            continue;
        };
        let doc = GROUPS.iter().find(|(known, _)| *known == group).map(|(_, doc)| *doc);
        let object = properties
            .entry(group)
            .or_insert_with(|| json!({ "type": ["object", "null"], "description": doc, "properties": {} }));
        object["properties"][name] = schema;
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of mcpo",
        "type": "object",
        "properties": properties,
        "$defs": { "server": server() },
    })
}

/// One key that may be absent; `null` counts as that.
fn property(key: &ConfigKey) -> Value {
    let mut schema = documented(key);
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    } else if let Some(forms) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        forms.push(json!({ "type": "null" }));
    } else if schema["type"].is_string() {
        schema["type"] = json!([schema["type"].take(), "null"]);
    }
    schema
}

/// One key with its documentation.
fn documented(key: &ConfigKey) -> Value {
    let mut schema = of(&key.shape);
    let doc = key.spelling_of.map(|key| format!("Another spelling of `{key}`"));
    let annotations = [
        ("description", Value::from(doc.unwrap_or_else(|| key.doc.to_owned()))),
        ("default", (key.default)()),
        ("x-reload", json!(key.effect)),
        ("x-unstable", json!((key.stability == Stability::Unstable).then_some(true))),
        ("x-spelling-of", json!(key.spelling_of)),
    ];
    for (keyword, value) in annotations.into_iter().filter(|(_, value)| !value.is_null()) {
        schema[keyword] = value;
    }
    schema
}

fn of(shape: &ValueShape) -> Value {
    match shape {
        ValueShape::Anything => json!({}),
        ValueShape::Switch => json!({ "type": "boolean" }),
        ValueShape::Count => json!({ "type": "integer", "minimum": 1 }),
        ValueShape::Between(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        ValueShape::Seconds => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 31_536_000 }),
        ValueShape::Path => json!({ "type": "string" }),
        ValueShape::Text(patterns) => text(patterns.iter().map(|pattern| (*pattern).to_owned())),
        ValueShape::Word(words) => json!({ "enum": words }),
        ValueShape::AnyCase(words) => json!({ "anyOf": [{ "enum": words }, any_case(words)] }),
        ValueShape::Revision => json!({ "enum": revision::all().collect::<Vec<_>>() }),
        ValueShape::Rate => {
            let units: Vec<&str> = UNITS.iter().map(|(unit, _)| *unit).collect();
            text([format!(r"^\s*\+?0*[1-9][0-9]*\s*/\s*(?:{})\s*$", units.join("|"))])
        }
        ValueShape::PassedVariable => text([format!("^(?!MCPO_|(?:{})$)", environment::OWN.join("|"))]),
        ValueShape::List(items) => json!({ "type": "array", "items": of(items) }),
        ValueShape::Lenient(text) => json!({ "anyOf": [of(text), { "type": ["number", "boolean"] }] }),
        ValueShape::Map(names, values) => json!({
            "type": "object",
            "propertyNames": text(names.iter().map(|pattern| (*pattern).to_owned())),
            "additionalProperties": of(values),
        }),
        ValueShape::Object(keys, required) => {
            let properties = keys.iter().map(|key| {
                let schema = if required.contains(&key.name) { documented(key) } else { property(key) };
                (key.name.to_owned(), schema)
            });
            json!({ "type": "object", "properties": properties.collect::<Map<_, _>>(), "required": required })
        }
        ValueShape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Value>() }),
        ValueShape::Servers => json!({
            "type": "object",
            "propertyNames": { "minLength": 1, "not": { "enum": RESERVED } },
            "additionalProperties": { "$ref": "#/$defs/server" },
        }),
    }
}

fn text(patterns: impl IntoIterator<Item = String>) -> Value {
    let mut patterns: Vec<String> = patterns.into_iter().collect();
    match (patterns.pop(), patterns.is_empty()) {
        (None, _) => json!({ "type": "string" }),
        (Some(only), true) => json!({ "type": "string", "pattern": only }),
        (Some(last), false) => {
            let patterns = patterns.iter().chain([&last]).map(|pattern| json!({ "pattern": pattern }));
            json!({ "type": "string", "allOf": patterns.collect::<Value>() })
        }
    }
}

/// These words in upper or lower case.
fn any_case(words: &[&str]) -> Value {
    let letter = |letter: char| match letter.is_ascii_alphabetic() {
        true => format!("[{}{}]", letter.to_ascii_uppercase(), letter),
        false => letter.to_string(),
    };
    let words: Vec<String> = words.iter().map(|word| word.chars().map(letter).collect()).collect();
    text([format!("^(?:{})$", words.join("|"))])
}

/// One entry of `mcpServers`: its keys, and that it says in one way how the server is reached.
fn server() -> Value {
    let has = |key: &str| {
        let kind = if key == "url" { json!(["string", "array"]) } else { json!("string") };
        json!({ "required": [key], "properties": { key: { "type": kind } } })
    };
    let is = |wanted: &[TransportType]| {
        let words = TRANSPORT_TYPES.iter().filter(|(_, known)| wanted.contains(known)).map(|(word, _)| *word);
        json!({ "required": ["type"], "properties": { "type": any_case(&words.collect::<Vec<_>>()) } })
    };
    // The built-in server has no use for the other keys.
    let builtin = json!({ "anyOf": [has("builtin"), is(&[TransportType::Gateway])] });
    let needs = |types: &[TransportType], key| json!({ "if": is(types), "then": has(key) });
    let remote = [TransportType::Sse, TransportType::StreamableHttp];
    let properties = ENTRY.iter().map(|(key, _)| (key.name.to_owned(), property(key)));
    json!({
        "type": "object",
        "properties": properties.collect::<Map<_, _>>(),
        "if": { "not": builtin },
        "then": { "allOf": [
            { "anyOf": [has("command"), has("url"), has("socket")] },
            { "not": { "allOf": [has("socket"), { "anyOf": [has("command"), has("url")] }] } },
            needs(&[TransportType::Stdio], "command"),
            needs(&remote, "url"),
            needs(&[TransportType::Socket], "socket"),
            { "if": is(&[TransportType::Sse]), "then": { "properties": { "protocol": { "not": { "const": revision::STATELESS } } } } },
        ] },
    })
}

#[cfg(test)]
pub(super) mod tests;
