//! From a tool's input schema to a validator, within bounds that a hostile or careless server can't break.
//!
//! A schema that can't be compiled here is no fault of the caller: its tool is called without local validation,
//! and the server judges for itself.

use std::collections::HashMap;

use jsonschema::{PatternOptions, Validator};
use serde_json::{Map, Value};

/// Most schema nodes after every reference is written out. References let n lines mean 2^n checks of one value;
/// large real schemas stay under a tenth of this.
const MOST_NODES: u64 = 200_000;
/// Bytes of one compiled regular expression, and of its cache at run time.
const PATTERN_BYTES: usize = 1 << 20;
/// Steps back that one regular expression with look-around or back references may take.
const PATTERN_STEPS: usize = 100_000;

/// Most errors that explaining one refusal may lead through, see [`Compiled::can_explain`].
const MOST_EXPLANATIONS: u64 = 1_000_000;
/// Most pairs of a value and a schema node that it may meet on the way.
const MOST_COMPARISONS: u64 = 20_000_000;
/// Most values in arguments whose refusal is explained: every error is kept in memory, a few hundred bytes each.
const MOST_VALUES: usize = 20_000;

/// A compiled schema.
#[derive(Debug)]
pub struct Compiled {
    pub validator: Validator,
    /// Nodes of the schema after every reference is written out.
    size: u64,
    /// How often the schema can lead back into itself from one place; 0 when it can't.
    ways_back: u64,
}

impl Compiled {
    /// Whether all errors of these arguments can be collected in reasonable time and space.
    ///
    /// Validity is decided in about linear time, but errors of unions are collected from every alternative: a
    /// recursive schema multiplies them at every level of the arguments.
    pub fn can_explain(&self, arguments: &Value) -> bool {
        let mut values = 0;
        let Some(depth) = depth(arguments, &mut values) else { return false };
        let by_depth = self.ways_back.saturating_pow(depth);
        let by_size = self.size.saturating_mul(values as u64);
        by_depth <= MOST_EXPLANATIONS && by_size <= MOST_COMPARISONS
    }
}

/// How deep containers are nested; `None` past [`MOST_VALUES`].
fn depth(value: &Value, values: &mut usize) -> Option<u32> {
    *values += 1;
    if *values > MOST_VALUES {
        return None;
    }
    let inner = |deepest: u32, value: &Value, values: &mut usize| {
        depth(value, values).map(|depth| deepest.max(depth))
    };
    match value {
        Value::Object(members) => members
            .values()
            .try_fold(0, |deepest, member| inner(deepest, member, values))
            .map(|depth| depth + 1),
        Value::Array(elements) => elements
            .iter()
            .try_fold(0, |deepest, element| inner(deepest, element, values))
            .map(|depth| depth + 1),
        _ => Some(0),
    }
}

/// The validator of `schema`; `None` when there is to be no local validation.
///
/// That is the case for a schema that is not valid in its own draft (2020-12 unless `$schema` says otherwise),
/// that refers to anything but a place inside itself (`#` or `#/...`), or that breaks a bound of this module.
/// `format` is an annotation in every draft: servers disagree about what it means.
pub fn compile(schema: &Map<String, Value>) -> Option<Compiled> {
    let schema = Value::Object(schema.clone());
    let mut size = Size { root: &schema, of_references: HashMap::new(), is_recursive: false };
    let nodes = size.of(&schema)?;
    if nodes > MOST_NODES {
        return None;
    }
    let patterns = PatternOptions::fancy_regex()
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .backtrack_limit(PATTERN_STEPS);
    let validator = jsonschema::options()
        .with_pattern_options(patterns)
        .should_validate_formats(false)
        .build(&schema)
        .ok()?;
    let ways_back = if size.is_recursive { references(&schema) } else { 0 };
    Some(Compiled { validator, size: nodes, ways_back })
}

/// The place that a reference inside `root` names; `None` when there is none, or it is not written as a pointer.
pub fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    root.pointer(&decoded)
}

/// How many references are written in the schema.
fn references(schema: &Value) -> u64 {
    match schema {
        Value::Object(members) => {
            u64::from(members.contains_key("$ref")) + members.values().map(references).sum::<u64>()
        }
        Value::Array(elements) => elements.iter().map(references).sum(),
        _ => 0,
    }
}

/// Counts nodes as if every reference were written out; a reference to a place that is being counted is one node.
struct Size<'a> {
    root: &'a Value,
    /// `None` while its target is being counted.
    of_references: HashMap<&'a str, Option<u64>>,
    is_recursive: bool,
}

impl<'a> Size<'a> {
    /// `None` when a reference leads out of the schema, or can only be resolved while validating.
    fn of(&mut self, node: &'a Value) -> Option<u64> {
        let mut size = 1_u64;
        match node {
            Value::Object(members) => {
                for (keyword, value) in members {
                    let more = match (keyword.as_str(), value) {
                        ("$ref", Value::String(reference)) => self.of_reference(reference)?,
                        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => return None,
                        // Data, not schemas: no reference in there counts.
                        ("enum" | "const" | "default" | "examples", _) => 1,
                        _ => self.of(value)?,
                    };
                    size = size.saturating_add(more);
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    size = size.saturating_add(self.of(element)?);
                }
            }
            _ => {}
        }
        Some(size)
    }

    fn of_reference(&mut self, reference: &'a str) -> Option<u64> {
        if let Some(known) = self.of_references.get(reference) {
            self.is_recursive |= known.is_none();
            return Some(known.unwrap_or(1));
        }
        let target = resolve(self.root, reference)?;
        self.of_references.insert(reference, None);
        let size = self.of(target)?;
        self.of_references.insert(reference, Some(size));
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::compile;
    use serde_json::{Value, json};

    fn compiles(schema: Value) -> bool {
        compile(schema.as_object().unwrap()).is_some()
    }

    #[test]
    fn references_inside_the_schema_are_followed_and_others_switch_validation_off() {
        assert!(compiles(
            json!({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}})
        ));
        assert!(compiles(json!({"properties": {"a": {"type": "object"}, "b": {"$ref": "#/properties/a"}}})));
        assert!(compiles(json!({"properties": {"next": {"$ref": "#"}}})));
        assert!(!compiles(json!({"properties": {"a": {"$ref": "https://example.com/s.json"}}})));
        assert!(!compiles(json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}})));
        assert!(!compiles(json!({"properties": {"a": {"$ref": "#/$defs/Ghost"}}})));
        assert!(!compiles(json!({"properties": {"a": {"$dynamicRef": "#x"}}})));
    }

    #[test]
    fn schemas_that_break_their_own_rules_switch_validation_off() {
        assert!(compiles(json!({"properties": {"a": {"type": "string"}}})));
        assert!(!compiles(json!({"properties": {"a": {"type": "str"}}})));
        assert!(!compiles(json!({"properties": null})));
        assert!(!compiles(json!({"properties": {"a": {"type": "string", "required": true}}})));
        assert!(compiles(json!({"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"})));
        assert!(!compiles(json!({"$schema": "https://example.com/mine"})));
    }

    #[test]
    fn references_that_double_at_every_step_are_refused_at_once() {
        let chain = |length: usize| {
            let next = |n: usize| json!({"anyOf": [{"$ref": format!("#/$defs/A{}", n + 1)}, {"$ref": format!("#/$defs/A{}", n + 1)}]});
            let mut definitions: serde_json::Map<_, _> =
                (0..length).map(|n| (format!("A{n}"), next(n))).collect();
            definitions.insert(format!("A{length}"), json!({"type": "string"}));
            json!({"properties": {"a": {"$ref": "#/$defs/A0"}}, "$defs": definitions})
        };
        assert!(compiles(chain(8)));
        assert!(!compiles(chain(60)));
    }

    #[test]
    fn a_regular_expression_of_unreasonable_size_switches_validation_off() {
        assert!(compiles(json!({"properties": {"a": {"pattern": "^(?!x)[a-z]{1,60}$"}}})));
        assert!(!compiles(json!({"properties": {"a": {"pattern": "((a{1,1000}){1,1000}){1,1000}"}}})));
    }
}
