//! Adds to schemas what readers of documents need: Open WebUI reads `properties` and `required` at the root alone,
//! and OpenAI refuses a whole request for one array without `items`. Everything that the server said stays beside it.

use serde_json::{Map, Value, json};

use super::keyword::{self, Holds, holds};

/// Real schemas are flatter, and a stack has an end.
const DEEPEST: usize = 100;

/// `schema` with what it says of properties in alternatives at its root said at the root, too, and with the items of arrays;
/// `None` when that changes nothing.
pub(super) fn readable(schema: &Value) -> Option<Value> {
    let merged = schema.as_object().and_then(with_properties_of_arms).map(Value::Object);
    let lacks_items = lacks_items(merged.as_ref().unwrap_or(schema), 0);
    if !lacks_items {
        return merged;
    }
    let mut readable = merged.unwrap_or_else(|| schema.clone());
    give_items(&mut readable, 0);
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

/// Adds what one more arm says of a property: in `allOf` all of it holds, else one of it.
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
    let (keyword, name) = reference.strip_prefix("#/")?.split_once('/')?;
    root.get(keyword)?.get(name)?.as_object()
}

fn members<'a>(arm: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    arm.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

fn items<'a>(arm: &'a Map<String, Value>, keyword: &str) -> impl Iterator<Item = &'a Value> {
    arm.get(keyword).and_then(Value::as_array).into_iter().flatten()
}

fn is_bare_array(schema: &Map<String, Value>) -> bool {
    let is_array = match schema.get("type") {
        Some(Value::String(kind)) => kind == "array",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "array"),
        _ => false,
    };
    // `items` would describe every item, and `unevaluatedItems` holds for those alone that nothing describes.
    is_array && !schema.contains_key("items") && !schema.contains_key("unevaluatedItems")
}

fn lacks_items(schema: &Value, depth: usize) -> bool {
    let Some(schema) = schema.as_object().filter(|_| depth < DEEPEST) else { return false };
    let mut lacks = is_bare_array(schema);
    for (keyword, value) in schema {
        if let Some(holds) = holds(keyword).filter(|_| !lacks) {
            keyword::visit(holds, value, &mut |_, schema| lacks = lacks || lacks_items(schema, depth + 1));
        }
    }
    lacks
}

fn give_items(schema: &mut Value, depth: usize) {
    let Some(schema) = schema.as_object_mut().filter(|_| depth < DEEPEST) else { return };
    if is_bare_array(schema) {
        schema.insert("items".to_owned(), json!({}));
    }
    for (keyword, value) in schema.iter_mut() {
        match (holds(keyword), value) {
            (Some(Holds::List | Holds::OneOrList), Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| give_items(schema, depth + 1));
            }
            (Some(Holds::One | Holds::OneOrList), schema) => give_items(schema, depth + 1),
            (Some(Holds::Map), Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| give_items(schema, depth + 1));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(name: &str, kind: &str) -> Value {
        json!({"type": "object", "properties": {name: {"type": kind}}, "required": [name]})
    }

    #[test]
    fn what_alternatives_at_the_root_describe_is_said_at_the_root_too() {
        let union = json!({"anyOf": [arm("id", "string"), arm("slug", "string")]});
        let read = readable(&union).unwrap();
        assert_eq!(read["properties"], json!({"id": {"type": "string"}, "slug": {"type": "string"}}));
        assert_eq!((read.get("required"), &read["anyOf"]), (None, &union["anyOf"]));

        let referred = json!({
            "oneOf": [{"$ref": "#/$defs/A"}, arm("id", "integer")],
            "$defs": {"A": {"properties": {"id": {"type": "string"}, "a": true}, "required": ["id", "a"]}},
            "properties": {"a": {"const": 1}},
            "required": ["b"],
        });
        let read = readable(&referred).unwrap();
        let id = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
        assert_eq!(read["properties"], json!({"a": {"const": 1}, "id": id}));
        assert_eq!(read["required"], json!(["b", "id"]));

        let all = json!({"allOf": [arm("a", "string"), arm("b", "string"), {"properties": {"a": {"minLength": 1}}}]});
        let read = readable(&all).unwrap();
        let a = json!({"allOf": [{"type": "string"}, {"minLength": 1}]});
        assert_eq!(read["properties"], json!({"a": a, "b": {"type": "string"}}));
        assert_eq!(read["required"], json!(["a", "b"]));
    }

    #[test]
    fn arrays_of_anything_say_so_at_any_depth() {
        let schema = json!({"properties": {
            "a": {"type": "array"},
            "b": {"anyOf": [{"type": ["array", "null"]}, {"type": "array", "items": {"type": "array"}}]},
            "c": {"additionalProperties": {"type": "array", "unevaluatedItems": false}},
            "d": {"type": "array", "default": {"type": "array"}},
        }});
        let read = json!({"properties": {
            "a": {"type": "array", "items": {}},
            "b": {"anyOf": [{"type": ["array", "null"], "items": {}}, {"type": "array", "items": {"type": "array", "items": {}}}]},
            "c": {"additionalProperties": {"type": "array", "unevaluatedItems": false}},
            "d": {"type": "array", "default": {"type": "array"}, "items": {}},
        }});
        assert_eq!(readable(&schema), Some(read));
    }

    #[test]
    fn what_says_all_at_its_root_stays_the_same() {
        for schema in [
            json!({"type": "object", "properties": {"a": {"type": "array", "items": {}}}}),
            json!({"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "properties": {"a": {}, "b": {}}}),
            json!({"anyOf": [true, {"$ref": "#/$defs/Ghost"}, {"$ref": "https://x"}, 5]}),
            json!({"allOf": [arm("a", "string")], "properties": null}),
            json!(true),
        ] {
            assert_eq!(readable(&schema), None, "{schema}");
        }
    }
}
