//! Adds to schemas what readers of documents need: Open WebUI reads `properties` and `required` at the root alone,
//! and OpenAI refuses a whole request for one array without `items`. Everything that the server said stays beside it.

use serde_json::{Map, Value, json};

use crate::catalog::subschemas::{give_items, is_of_arrays, lacks_items, target};

/// `schema` with the properties of its alternatives at its root, too, and with the items of arrays.
///
/// `None` when that changes nothing.
pub(super) fn readable(schema: &Value) -> Option<Value> {
    let merged = schema.as_object().and_then(with_properties_of_arms).map(Value::Object);
    if !lacks_items(merged.as_ref().unwrap_or(schema), is_bare_array) {
        return merged;
    }
    let mut readable = merged.unwrap_or_else(|| schema.clone());
    give_items(&mut readable, is_bare_array);
    Some(readable)
}

/// The root with the properties that its alternatives describe, and with what all of them require.
fn with_properties_of_arms(root: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut found = Map::new();
    let mut required: Vec<&Value> = Vec::new();
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let Some(arms) = root.get(keyword).and_then(Value::as_array) else { continue };
        let arms: Vec<&Map<String, Value>> = arms.iter().filter_map(|arm| described(root, arm)).collect();
        let is_known = |name: &String| root.get("properties").is_some_and(|known| known.get(name).is_some());
        for (name, property) in arms.iter().flat_map(|arm| members(arm, "properties")) {
            if !is_known(name) {
                add(&mut found, name, property, keyword);
            }
        }
        let all = arms.iter().flat_map(|arm| items(arm, "required"));
        let of_each = |name: &&Value| {
            keyword == "allOf" || arms.iter().all(|arm| items(arm, "required").any(|other| other == *name))
        };
        required.extend(all.filter(of_each));
    }
    let known: Vec<&Value> = items(root, "required").collect();
    let is_odd = |keyword: &str, is: fn(&Value) -> bool| root.get(keyword).is_some_and(|value| !is(value));
    required.retain(|name| name.is_string() && !known.contains(name));
    let is_misshapen = is_odd("properties", Value::is_object) || is_odd("required", Value::is_array);
    if is_misshapen || found.is_empty() && required.is_empty() {
        return None;
    }
    let mut merged = root.clone();
    if let Value::Object(properties) = merged.entry("properties").or_insert_with(|| json!({})) {
        properties.extend(found);
    }
    if !required.is_empty()
        && let Value::Array(names) = merged.entry("required").or_insert_with(|| json!([]))
    {
        for name in required {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    Some(merged)
}

/// Adds one more arm's schema of a property: in `allOf` all of them hold, else one of them.
fn add(found: &mut Map<String, Value>, name: &str, property: &Value, keyword: &str) {
    let joint = if keyword == "allOf" { "allOf" } else { "anyOf" };
    let Some(known) = found.get_mut(name) else {
        found.insert(name.to_owned(), property.clone());
        return;
    };
    if known == property {
        return;
    }
    match known.as_object_mut().filter(|known| known.len() == 1).and_then(|known| known.get_mut(joint)) {
        Some(Value::Array(several)) if several.contains(property) => {}
        Some(Value::Array(several)) => several.push(property.clone()),
        _ => *known = json!({ joint: [known.take(), property] }),
    }
}

/// The object that describes an arm: the arm itself, or what it refers to within the schema.
fn described<'a>(root: &'a Map<String, Value>, arm: &'a Value) -> Option<&'a Map<String, Value>> {
    let arm = arm.as_object()?;
    let Some(reference) = arm.get("$ref").and_then(Value::as_str) else { return Some(arm) };
    target(root, reference)?.as_object()
}

fn members<'a>(arm: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    arm.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

fn items<'a>(arm: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'a Value> {
    arm.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

fn is_bare_array(schema: &Map<String, Value>) -> bool {
    // `items` would describe every item, and `unevaluatedItems` holds for those alone that nothing describes.
    is_of_arrays(schema) && !schema.contains_key("items") && !schema.contains_key("unevaluatedItems")
}
