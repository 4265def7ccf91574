//! Walks the schemas inside a JSON Schema.

use serde_json::{Map, Value, json};

pub use crate::upstream::tools::subschemas::{Holds, holds};

/// Real schemas are flatter, and a stack has an end.
const DEEPEST: usize = 100;

/// Visits the schemas that `value` holds under its keyword, each with its step below the keyword.
///
/// # Errors
///
/// The first one of `visitor`, which ends the walk.
pub fn visit<'a, E>(
    holds: Holds,
    value: &'a Value,
    mut visitor: impl FnMut(Option<&str>, &'a Value) -> Result<(), E>,
) -> Result<(), E> {
    match (holds, value) {
        (Holds::List | Holds::OneOrList, Value::Array(items)) => {
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| visitor(Some(&index.to_string()), item))
        }
        (Holds::One | Holds::OneOrList, one) => visitor(None, one),
        (Holds::Map, Value::Object(members)) => {
            let mut schemas = members.iter().filter(|(_, member)| !member.is_array());
            schemas.try_for_each(|(name, member)| visitor(Some(name), member))
        }
        _ => Ok(()),
    }
}

/// `value` with each schema that it holds replaced by `change` of it.
pub fn map(holds: Holds, value: &Value, change: &mut dyn FnMut(&Value) -> Value) -> Value {
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

/// Whether `schema` is one of arrays.
pub fn is_of_arrays(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "array",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "array"),
        _ => false,
    }
}

/// Gives `items` to each schema at any depth that `lacks` them.
pub fn give_items(schema: &mut Value, lacks: fn(&Map<String, Value>) -> bool) {
    give_items_below(schema, lacks, 0);
}

fn give_items_below(schema: &mut Value, lacks: fn(&Map<String, Value>) -> bool, depth: usize) {
    let Some(schema) = schema.as_object_mut().filter(|_| depth < DEEPEST) else { return };
    if lacks(schema) {
        schema.insert("items".to_owned(), json!({}));
    }
    for (keyword, value) in schema.iter_mut() {
        match (holds(keyword), value) {
            (Some(Holds::List | Holds::OneOrList), Value::Array(schemas)) => {
                schemas.iter_mut().for_each(|schema| give_items_below(schema, lacks, depth + 1));
            }
            (Some(Holds::One | Holds::OneOrList), schema) => give_items_below(schema, lacks, depth + 1),
            (Some(Holds::Map), Value::Object(schemas)) => {
                schemas.values_mut().for_each(|schema| give_items_below(schema, lacks, depth + 1));
            }
            _ => {}
        }
    }
}

/// Whether a schema in `schema`, or itself, `lacks` items.
pub fn lacks_items(schema: &Value, lacks: fn(&Map<String, Value>) -> bool) -> bool {
    lacks_items_below(schema, lacks, 0).is_err()
}

fn lacks_items_below(schema: &Value, lacks: fn(&Map<String, Value>) -> bool, depth: usize) -> Result<(), ()> {
    let Some(schema) = schema.as_object().filter(|_| depth < DEEPEST) else { return Ok(()) };
    if lacks(schema) {
        return Err(());
    }
    let mut held = schema.iter().filter_map(|(keyword, value)| Some((holds(keyword)?, value)));
    held.try_for_each(|(holds, value)| {
        visit(holds, value, |_, schema| lacks_items_below(schema, lacks, depth + 1))
    })
}

/// The value that the pointer `reference` leads to; `None` for the root itself.
pub fn target<'a>(whole: &'a Map<String, Value>, reference: &str) -> Option<&'a Value> {
    let mut tokens = reference.strip_prefix("#/")?.split('/').map(unescaped);
    let first = whole.get(&tokens.next()?)?;
    tokens.try_fold(first, |at, token| match at {
        Value::Object(members) => members.get(&token),
        Value::Array(items) => items.get(token.parse::<usize>().ok()?),
        _ => None,
    })
}

/// One token of a JSON Pointer in a fragment.
fn unescaped(token: &str) -> String {
    let token = percent_encoding::percent_decode_str(token).decode_utf8_lossy();
    token.replace("~1", "/").replace("~0", "~")
}
