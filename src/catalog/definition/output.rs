//! The `outputSchema`s that clients can check results with. The TypeScript SDK compiles those of a whole list when it
//! reads it: one that does not compile costs it the list. Its compiler (ajv, for draft-07 and for 2020-12) is taken
//! for the strictest.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::pattern::is_portable;
use crate::catalog::subschemas::{Holds, holds, target, visit};
use crate::catalog::weight::{weight, weight_of_members};
use crate::json::clip;

/// Of a schema that is looked through; clients would take seconds for more.
const MOST_WEIGHT: usize = 20_000;
/// Weight of all that is held to a meta-schema: what is referred to is so once more.
const MOST_LOOKED_AT: usize = 4 * MOST_WEIGHT;
/// Schemas within each other.
const DEEPEST: usize = 64;
/// References that lead to the root's type.
const MOST_STEPS: usize = 8;
/// Dialects that both compilers know, without the `#` at the end and with `https`.
const OLDER: [&str; 3] = [
    "https://json-schema.org/draft-06/schema",
    "https://json-schema.org/draft-07/schema",
    "https://json-schema.org/draft/2019-09/schema",
];
const CURRENT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Keywords that one of the compilers refuses, or that mean something else to each.
const UNKNOWN: [&str; 10] = [
    "$anchor",
    "$async",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveAnchor",
    "$recursiveRef",
    "formatExclusiveMaximum",
    "formatExclusiveMinimum",
    "formatMaximum",
    "formatMinimum",
];

/// The type of all values that fit a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Object,
    Other,
}

/// The type of the root of `schema`.
///
/// A schema without a type is not an object's: else clients would expect an object from each result.
pub fn root(schema: &Map<String, Value>) -> Root {
    root_within(schema, schema, MOST_STEPS)
}

fn root_within(schema: &Map<String, Value>, whole: &Map<String, Value>, steps: usize) -> Root {
    let Some(steps) = steps.checked_sub(1) else { return Root::Other };
    let is_object =
        |schema: &Value| schema.as_object().is_some_and(|one| root_within(one, whole, steps) == Root::Object);
    let arms = |keyword: &str| schema.get(keyword).and_then(Value::as_array).filter(|arms| !arms.is_empty());
    let is = match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        Some(_) => false,
        None => {
            let describes = ["properties", "required", "additionalProperties", "patternProperties"];
            let target = schema.get("$ref").and_then(Value::as_str).and_then(|text| target(whole, text));
            describes.iter().any(|keyword| schema.contains_key(*keyword))
                || target.is_some_and(is_object)
                || ["anyOf", "oneOf"]
                    .iter()
                    .any(|keyword| arms(keyword).is_some_and(|all| all.iter().all(is_object)))
                || arms("allOf").is_some_and(|all| all.iter().any(is_object))
        }
    };
    if is { Root::Object } else { Root::Other }
}

/// The schema without its `$id`, if it has one.
///
/// Clients would check the results of two tools with one id against the first schema of the two. References lead to
/// places inside ([`compiles`]), so that nothing is relative to it.
pub fn without_id(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut without = schema.contains_key("$id").then(|| schema.clone())?;
    without.shift_remove("$id");
    Some(without)
}

/// Whether each client can compile `schema`.
///
/// # Errors
///
/// Why one of them cannot.
pub fn compiles(schema: &Map<String, Value>) -> Result<(), String> {
    if weight_of_members(schema) > MOST_WEIGHT {
        return Err("it is too large".into());
    }
    let dialect = match schema.get("$schema").and_then(Value::as_str) {
        None => CURRENT.to_owned(),
        Some(said) => said.trim_end_matches('#').replacen("http://", "https://", 1),
    };
    let is_older = OLDER.contains(&dialect.as_str());
    if !is_older && dialect != CURRENT {
        return Err("`$schema` names a dialect that they do not know".into());
    }
    let mut look = CompileCheck { whole: schema, is_older, unlooked: MOST_LOOKED_AT, seen: HashSet::new() };
    look.members(schema, 0)?;
    look.is_valid(&Value::Object(schema.clone()))
}

/// A search for keywords that do not compile.
struct CompileCheck<'a> {
    whole: &'a Map<String, Value>,
    /// Whether it is written in a dialect before 2020-12.
    is_older: bool,
    /// Of [`MOST_LOOKED_AT`].
    unlooked: usize,
    /// References that were followed.
    seen: HashSet<&'a str>,
}

impl<'a> CompileCheck<'a> {
    /// Whether the meta-schema of its dialect takes `schema`.
    fn is_valid(&mut self, schema: &Value) -> Result<(), String> {
        self.unlooked = self.unlooked.checked_sub(weight(schema)).ok_or("it is too large")?;
        let valid = match jsonschema::draft202012::meta::validate(schema) {
            Err(_) if self.is_older => jsonschema::draft7::meta::validate(schema),
            valid => valid,
        };
        valid.map_err(|error| {
            format!("it is no valid schema at `{}`", cut(&error.instance_path().to_string()))
        })
    }

    fn schema(&mut self, schema: &'a Value, depth: usize) -> Result<(), String> {
        match schema {
            Value::Bool(_) => Ok(()),
            Value::Object(members) => self.members(members, depth),
            _ => Err("a schema in it is neither an object nor a boolean".into()),
        }
    }

    fn members(&mut self, members: &'a Map<String, Value>, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err("it is nested too deeply".into());
        }
        for (keyword, value) in members {
            let is_bad = match (keyword.as_str(), value) {
                ("$id", Value::String(_)) => depth > 0,
                ("$id" | "id", _) => true,
                ("enum", Value::Array(values)) => values.is_empty(),
                ("nullable", nullable) => !nullable.is_boolean() || !members.contains_key("type"),
                ("pattern", Value::String(pattern)) => !is_portable(pattern),
                ("patternProperties", Value::Object(patterns)) => {
                    !patterns.keys().all(|pattern| is_portable(pattern))
                }
                (keyword, _) => UNKNOWN.contains(&keyword),
            };
            if is_bad {
                return Err(format!("`{keyword}` there is not known or not valid for all of them"));
            }
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => self.reference(reference, depth)?,
                (keyword, value) => self.held(holds(keyword), value, depth + 1)?,
            }
        }
        Ok(())
    }

    fn held(&mut self, holds: Option<Holds>, value: &'a Value, depth: usize) -> Result<(), String> {
        match holds {
            // Another kind of value than the keyword takes: the meta-schema refuses it.
            Some(holds) => visit(holds, value, |_, schema| self.schema(schema, depth)),
            // An id in what is no schema counts for compilers all the same.
            None if holds_id(value, depth) => Err("`$id` stands where no schema does".into()),
            None => Ok(()),
        }
    }

    fn reference(&mut self, reference: &'a str, depth: usize) -> Result<(), String> {
        if reference == "#" || !self.seen.insert(reference) {
            return Ok(());
        }
        match target(self.whole, reference) {
            Some(schema @ (Value::Object(_) | Value::Bool(_))) => {
                // The meta-schema takes anything where it knows no schema.
                self.is_valid(schema)?;
                self.schema(schema, depth + 1)
            }
            _ => Err(format!("it refers to `{}`, which it does not hold", cut(reference))),
        }
    }
}

fn holds_id(value: &Value, depth: usize) -> bool {
    match value {
        Value::Object(members) => {
            depth > DEEPEST
                || members.get("$id").is_some_and(Value::is_string)
                || members.values().any(|value| holds_id(value, depth + 1))
        }
        Value::Array(items) => items.iter().any(|item| holds_id(item, depth + 1)),
        _ => false,
    }
}

fn cut(text: &str) -> &str {
    const LONGEST: usize = 100;
    clip(text, LONGEST)
}
