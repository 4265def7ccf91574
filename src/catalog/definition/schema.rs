//! Mends the schema of a tool's arguments: at any depth, its keywords become those of JSON Schema 2020-12.
//!
//! Clients make models of it, and some give up the whole list for one keyword that they cannot read.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::flaw::{Flaws, Verdict, mended_list};
use super::pattern::is_python;
use crate::catalog::earlier_drafts::respelled;
use crate::catalog::subschemas::{Holds, holds, target};

const CURRENT: &str = "https://json-schema.org/draft/2020-12/schema";
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
/// The member that makes some readers refuse a record.
///
/// They are in JavaScript: zod 3.25 to early 4.1, under the TypeScript SDK.
pub const NO_RECORD: &str = "constructor";

/// The schema that references are within, and whether it was respelled.
struct RootSchema<'a> {
    schema: &'a Map<String, Value>,
    is_respelled: Cell<bool>,
}

/// `schema`, whose root is an object's, as clients can read it; `None` when it needs no change.
pub fn held(schema: &Map<String, Value>, flaws: &mut Flaws) -> Option<Map<String, Value>> {
    let whole = RootSchema { schema, is_respelled: Cell::new(false) };
    let mut changed = members(schema, &whole, flaws);
    if whole.is_respelled.get() {
        // It is of that dialect no longer.
        let changed = changed.get_or_insert_with(|| schema.clone());
        if changed.get("$schema").is_some_and(|dialect| dialect != CURRENT) {
            changed.shift_remove("$schema");
        }
    }
    with_readable_names(changed.as_ref().unwrap_or(schema)).or(changed)
}

/// `schema` with its property [`NO_RECORD`] as a pattern, which means the same.
///
/// `None` when it has no such property.
pub fn with_readable_names(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    schema.get("properties")?.get(NO_RECORD)?;
    let mut readable = schema.clone();
    let property = readable.get_mut("properties")?.as_object_mut()?.shift_remove(NO_RECORD)?;
    let patterns = readable.entry("patternProperties").or_insert_with(|| json!({})).as_object_mut()?;
    let pattern = patterns.entry(format!("^{NO_RECORD}$")).or_insert_with(|| json!({}));
    *pattern = if *pattern == json!({}) { property } else { json!({ "allOf": [property, pattern.take()] }) };
    Some(readable)
}

/// The keywords of one schema, and what is within; `None` when all of it is as it should be.
fn members(
    schema: &Map<String, Value>,
    whole: &RootSchema<'_>,
    flaws: &mut Flaws,
) -> Option<Map<String, Value>> {
    let respelled = respelled(schema);
    if respelled.is_some() {
        whole.is_respelled.set(true);
    }
    let of = respelled.as_ref().unwrap_or(schema);
    let changed = changed(of, |keyword, value| {
        flaws.within(keyword, |flaws| match holds(keyword) {
            Some(holds) => schemas(holds, keyword, value, whole, flaws),
            None => plain(keyword, value, whole, flaws),
        })
    });
    changed.or(respelled)
}

/// The members after `look`; `None` when all of them stay.
fn changed(
    members: &Map<String, Value>,
    mut look: impl FnMut(&str, &Value) -> Verdict<Value>,
) -> Option<Map<String, Value>> {
    let mut changed: Option<Map<String, Value>> = None;
    for (index, (name, value)) in members.iter().enumerate() {
        let kept = match look(name, value) {
            Verdict::Fits if changed.is_none() => continue,
            Verdict::Fits => Some(value.clone()),
            Verdict::Mend(value) => Some(value),
            Verdict::Drop => None,
        };
        let before =
            || members.iter().take(index).map(|(name, value)| (name.clone(), value.clone())).collect();
        changed.get_or_insert_with(before).extend(kept.map(|kept| (name.clone(), kept)));
    }
    changed
}

/// The value of a keyword that holds schemas.
fn schemas(
    holds: Holds,
    keyword: &str,
    value: &Value,
    whole: &RootSchema<'_>,
    flaws: &mut Flaws,
) -> Verdict<Value> {
    match (holds, value) {
        (Holds::Map, Value::Object(by_name)) => {
            let changed = changed(by_name, |name, value| match value {
                // Of `dependencies`, which 2020-12 does not read.
                Value::Array(_) if keyword == "dependencies" => {
                    flaws.within(name, |flaws| names(value, flaws))
                }
                value => flaws.within(name, |flaws| some_schema(value, whole, flaws)),
            });
            changed.map_or(Verdict::Fits, |changed| Verdict::Mend(Value::Object(changed)))
        }
        (Holds::List, Value::Array(list)) if !list.is_empty() => {
            mended_list(list, |one| some_schema(one, whole, flaws))
        }
        // Readers know booleans there.
        (Holds::One, Value::Bool(_)) => Verdict::Fits,
        (Holds::One | Holds::OneOrList, Value::Bool(_) | Value::Object(_)) => {
            some_schema(value, whole, flaws)
        }
        (Holds::Map, _) => wrong("object", value, flaws),
        (Holds::List, _) => wrong("list of schemas", value, flaws),
        (Holds::One | Holds::OneOrList, _) => wrong("schema", value, flaws),
    }
}

/// One schema of a list or map. A value that is no schema becomes `{}`, which allows anything.
fn some_schema(value: &Value, whole: &RootSchema<'_>, flaws: &mut Flaws) -> Verdict<Value> {
    match value {
        Value::Object(schema) => match members(schema, whole, flaws) {
            Some(held) => Verdict::Mend(Value::Object(held)),
            None => Verdict::Fits,
        },
        Value::Bool(allowed) => Verdict::Mend(spelled_out(*allowed)),
        _ => {
            flaws.add_no("schema", value);
            Verdict::Mend(json!({}))
        }
    }
}

/// A boolean schema as an object.
pub fn spelled_out(allowed: bool) -> Value {
    if allowed { json!({}) } else { json!({"not": {}}) }
}

/// The value of any other keyword.
fn plain(keyword: &str, value: &Value, whole: &RootSchema<'_>, flaws: &mut Flaws) -> Verdict<Value> {
    let (fits, what) = match keyword {
        "$anchor" | "$comment" | "$dynamicAnchor" | "$dynamicRef" | "$id" | "$schema" | "contentEncoding"
        | "contentMediaType" | "description" | "format" | "title" => (value.is_string(), "text"),
        "pattern" => (value.as_str().is_some_and(is_python), "regular expression that each client reads"),
        "$ref" => (leads_somewhere(value, whole.schema), "reference to a schema within"),
        "type" => match value {
            Value::Array(names) if !names.is_empty() && names.iter().all(is_type) => return once(names),
            name => (is_type(name), "type of JSON Schema"),
        },
        "deprecated" | "readOnly" | "uniqueItems" | "writeOnly" => (value.is_boolean(), "boolean"),
        "exclusiveMaximum" | "exclusiveMinimum" | "maximum" | "minimum" => (value.is_number(), "number"),
        "multipleOf" => (value.as_f64().is_some_and(|number| number > 0.0), "number above 0"),
        "maxContains" | "maxItems" | "maxLength" | "maxProperties" | "minContains" | "minItems"
        | "minLength" | "minProperties" => {
            let is_count = |number: f64| number >= 0.0 && number.fract() == 0.0;
            (value.as_f64().is_some_and(is_count), "whole number")
        }
        "enum" => (value.as_array().is_some_and(|values| !values.is_empty()), "list of values"),
        "examples" => (value.is_array(), "list"),
        "required" => return names(value, flaws),
        "dependentRequired" => match value.as_object() {
            Some(by_name) => {
                let changed = changed(by_name, |name, value| flaws.within(name, |flaws| names(value, flaws)));
                return changed.map_or(Verdict::Fits, |changed| Verdict::Mend(Value::Object(changed)));
            }
            None => (false, "object"),
        },
        _ => return Verdict::Fits,
    };
    if fits { Verdict::Fits } else { wrong(what, value, flaws) }
}

fn wrong(what: &'static str, value: &Value, flaws: &mut Flaws) -> Verdict<Value> {
    flaws.add_no(what, value);
    Verdict::Drop
}

fn is_type(name: &Value) -> bool {
    name.as_str().is_some_and(|name| TYPES.contains(&name))
}

/// A list of names, each of them once.
fn names(value: &Value, flaws: &mut Flaws) -> Verdict<Value> {
    match value.as_array() {
        Some(names) if names.iter().all(Value::is_string) => once(names),
        _ => wrong("list of names", value, flaws),
    }
}

/// Names without those that came before.
fn once(names: &[Value]) -> Verdict<Value> {
    let mut seen = HashSet::with_capacity(names.len());
    let distinct: Vec<&Value> = names.iter().filter(|name| seen.insert(name.as_str())).collect();
    if distinct.len() == names.len() {
        return Verdict::Fits;
    }
    Verdict::Mend(distinct.into_iter().cloned().collect())
}

/// Whether readers find what a reference names without asking elsewhere.
fn leads_somewhere(reference: &Value, whole: &Map<String, Value>) -> bool {
    let Some(reference) = reference.as_str() else { return false };
    let is_of = |own: &Value| own.as_str().is_some_and(|own| reference.starts_with(own));
    match reference.strip_prefix('#') {
        // The root, or an anchor.
        Some(fragment) if !fragment.starts_with('/') => true,
        Some(_) => {
            matches!(target(whole, reference), Some(Value::Object(_) | Value::Bool(_))) || has_bases(whole)
        }
        None => whole.get("$id").is_some_and(is_of) || has_bases(whole),
    }
}

/// Whether schemas inside have names of their own, which references may be relative to.
fn has_bases(schema: &Map<String, Value>) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::Object(members) => {
                members.get("$id").is_some_and(Value::is_string) || members.values().any(within)
            }
            Value::Array(items) => items.iter().any(within),
            _ => false,
        }
    }
    schema.values().any(within)
}

#[cfg(test)]
mod tests;
