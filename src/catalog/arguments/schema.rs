//! Compiles a tool's input schema into a validator, within bounds that a hostile or careless server cannot break.
//!
//! A schema that can't be compiled here is no fault of the caller: its tool is called without local validation,
//! and the server judges for itself.

mod estimate;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::budget::{self, Limit};
use super::metered::{Charges, MeteredJson};

/// A compiled schema.
#[derive(Debug)]
pub struct Compiled {
    pub validator: Validator<MeteredJson>,
    /// The charges of a look at a value.
    pub charges: Charges,
}

/// The validator of `schema`.
///
/// `format` is an annotation in every draft: servers disagree about what it means.
///
/// # Errors
///
/// When there is to be no local validation: for a schema that is not valid in its own draft (2020-12 unless `$schema`
/// says otherwise), that refers to anything but a place inside itself (`#` or `#/...`), or that goes over the budget.
pub fn compile(schema: &Value) -> Result<Compiled, Limit> {
    let charges = estimate::charges(schema)?;
    let patterns = PatternOptions::fancy_regex()
        .size_limit(budget::PATTERN_BYTES)
        .dfa_size_limit(budget::PATTERN_BYTES)
        .backtrack_limit(budget::PATTERN_STEPS as usize);
    let validator = jsonschema::options_for::<MeteredJson>()
        .with_pattern_options(patterns)
        .should_validate_formats(false)
        .build(schema)
        .map_err(|_| Limit::Unusable)?;
    Ok(Compiled { validator, charges })
}

/// The schema that a reference inside `root` points to; `None` unless it is a pointer to one.
pub fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = reference.strip_prefix('#')?;
    let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8().ok()?;
    root.pointer(&decoded)
}

#[cfg(test)]
mod tests {
    use super::{Limit, compile};
    use serde_json::{Value, json};

    fn limit(schema: &Value) -> Option<Limit> {
        compile(schema).err()
    }

    fn compiles(schema: Value) -> bool {
        limit(&schema).is_none()
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
