//! A tool's schema in the subset that OpenAI takes for any function.
//!
//! It refuses a whole request for one function whose schema is not an object with `properties`, has alternatives at
//! its root, or has an array without `items`. Such a schema is made wider here: what it loses stands in its
//! description, and the gateway checks the arguments against the server's own schema anyway.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::catalog::subschemas::{give_items, is_of_arrays, target};

/// Keywords that must not stand at the root.
const NOT_AT_ROOT: [&str; 5] = ["anyOf", "oneOf", "allOf", "enum", "not"];

/// `schema` as parameters of a function.
pub fn accepted(schema: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut root = schema.cloned().unwrap_or_default();
    if let Some(target) = referred(&root) {
        root.shift_remove("$ref");
        for (key, value) in target {
            root.entry(key).or_insert(value);
        }
    }
    let mut moved = Vec::new();
    for keyword in NOT_AT_ROOT {
        let Some(value) = root.shift_remove(keyword) else { continue };
        if matches!(keyword, "anyOf" | "oneOf" | "allOf") {
            take_properties(&mut root, &value, keyword == "allOf");
        }
        moved.push(format!("{keyword}: {value}"));
    }
    if !moved.is_empty() {
        describe(&mut root, &moved);
    }
    root.insert("type".into(), "object".into());
    root.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    let mut whole = Value::Object(root);
    // Arrays of anything say so.
    give_items(&mut whole, |schema| is_of_arrays(schema) && !schema.contains_key("items"));
    match whole {
        Value::Object(root) => root,
        _ => unreachable!("it was made an object above"),
    }
}

/// Adds `words` to the schema's description.
pub(super) fn describe(schema: &mut Map<String, Value>, words: &[String]) {
    let words = words.join(", ");
    let description = match schema.get("description").and_then(Value::as_str) {
        Some(description) if !description.is_empty() => format!("{description} ({words})"),
        _ => words,
    };
    schema.insert("description".into(), description.into());
}

/// The target of the root's reference, within itself.
fn referred(root: &Map<String, Value>) -> Option<Map<String, Value>> {
    target(root, root.get("$ref")?.as_str()?)?.as_object().cloned()
}

/// The properties of the root's alternatives; required is only what all of them ask for.
fn take_properties(root: &mut Map<String, Value>, branches: &Value, all: bool) {
    for branch in branches.as_array().into_iter().flatten() {
        let Some(properties) = branch.get("properties").and_then(Value::as_object) else { continue };
        if let Value::Object(known) = root.entry("properties").or_insert_with(|| Value::Object(Map::new())) {
            for (name, property) in properties {
                known.entry(name.clone()).or_insert_with(|| property.clone());
            }
        }
        let required = branch.get("required").and_then(Value::as_array).filter(|_| all);
        if let (Some(required), Value::Array(known)) =
            (required, root.entry("required").or_insert_with(|| Value::Array(Vec::new())))
        {
            let new: Vec<Value> = {
                let names: HashSet<&str> = known.iter().filter_map(Value::as_str).collect();
                let is_new = |name: &&Value| name.as_str().is_some_and(|name| !names.contains(name));
                required.iter().filter(is_new).cloned().collect()
            };
            known.extend(new);
        }
    }
}
