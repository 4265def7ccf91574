//! Estimates the cost of a schema, compiled and at work, from the schema alone and in time that grows with its text.

use std::collections::HashMap;

use serde_json::Value;

use super::resolve;
use crate::catalog::arguments::budget::{self, Limit};
use crate::catalog::arguments::metered::{Charges, TextCharge};
use crate::catalog::arguments::pattern::Weight;
use crate::catalog::subschemas::{holds, visit};

/// Subschemas that look at nothing are passed so often in one step.
const SILENT_A_STEP: u64 = 8;
/// Lists and objects of an `enum` that may be compared each with each.
const COMPARED_VALUES: usize = 2_000;
/// How deep the estimate itself follows references. Deeper schemas count as endless.
const LEVELS: u32 = 1_000;

/// The size of one schema and all below it, every reference written out.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    nodes: u64,
    /// Schemas inside one another.
    depth: u64,
    /// Schemas that are applied to the value of their parent and look at nothing themselves, as `true` in `allOf`.
    silent: u64,
    /// Of all patterns that names of members are matched against.
    names: TextCharge,
}

impl Extent {
    fn add(&mut self, below: Self) {
        self.nodes = self.nodes.saturating_add(below.nodes);
        self.depth = self.depth.max(below.depth);
        self.silent = self.silent.saturating_add(below.silent);
        self.names.each = self.names.each.saturating_add(below.names.each);
        self.names.byte = self.names.byte.saturating_add(below.names.byte);
    }
}

/// The charges of a look at a value with a validator of `schema`.
///
/// # Errors
///
/// When the schema refers to what is not in it, or compiling it would go over the budget.
pub fn charges(schema: &Value) -> Result<Charges, Limit> {
    let mut survey = Survey {
        root: schema,
        of_references: HashMap::new(),
        patterns: 0,
        text: TextCharge::default(),
        unevaluated: Vec::new(),
        names_draft: false,
        compares_enum: false,
        level: 0,
    };
    let extent = survey.schema(schema, false)?;
    if extent.nodes > budget::NODES || extent.depth > budget::NESTING {
        return Err(Limit::Schema);
    }
    if survey.patterns > budget::PATTERNS {
        return Err(Limit::Patterns);
    }
    if survey.names_draft && survey.compares_enum {
        return Err(Limit::Schema);
    }
    survey.check_unevaluated()?;
    Ok(Charges { child: extent.silent / SILENT_A_STEP, name: extent.names, text: survey.text, path: 0 })
}

struct Survey<'a> {
    root: &'a Value,
    /// `None` while its target is being looked at: a reference back into it is one node.
    of_references: HashMap<&'a str, Option<Extent>>,
    /// The sizes of all patterns.
    patterns: u64,
    /// The costliest pattern that texts are matched against.
    text: TextCharge,
    /// Schemas with `unevaluatedProperties` or `unevaluatedItems`.
    unevaluated: Vec<&'a Value>,
    /// Early drafts want the values of an `enum` to differ; those that are lists can be made to be compared each with each.
    names_draft: bool,
    compares_enum: bool,
    level: u32,
}

impl<'a> Survey<'a> {
    /// `in_place`: it is applied to the same value as its parent.
    fn schema(&mut self, schema: &'a Value, in_place: bool) -> Result<Extent, Limit> {
        let mut extent = Extent { nodes: 1, ..Extent::default() };
        let mut looks = false;
        if let Value::Object(keywords) = schema {
            if self.level == LEVELS {
                return Err(Limit::Schema);
            }
            self.level += 1;
            for (keyword, value) in keywords {
                looks |= looks_at_the_value(keyword, value);
                extent.add(self.keyword(keyword, value)?);
            }
            if keywords.contains_key("unevaluatedProperties") || keywords.contains_key("unevaluatedItems") {
                self.unevaluated.push(schema);
            }
            self.level -= 1;
        }
        extent.depth += 1;
        extent.silent += u64::from(in_place && !looks);
        Ok(extent)
    }

    fn keyword(&mut self, keyword: &'a str, value: &'a Value) -> Result<Extent, Limit> {
        match (keyword, value) {
            ("$ref", Value::String(reference)) => return self.reference(reference),
            // Resolved only while validating.
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => return Err(Limit::Unusable),
            ("pattern", Value::String(pattern)) => {
                let charge = self.pattern(pattern);
                self.text.each = self.text.each.max(charge.each);
                self.text.byte = self.text.byte.max(charge.byte);
            }
            ("$schema", _) => self.names_draft = true,
            ("enum", Value::Array(values)) => {
                self.compares_enum |=
                    values.iter().filter(|value| is_container(value)).count() > COMPARED_VALUES;
            }
            _ => {}
        }
        let mut extent = Extent { nodes: 1, ..Extent::default() };
        let in_place = is_in_place(keyword);
        // Data, or what is not known: it is copied at most.
        let Some(holds) = holds(keyword) else { return Ok(extent) };
        visit(holds, value, |name, schema| {
            extent.add(self.schema(schema, in_place)?);
            if let Some(name) = name.filter(|_| keyword == "patternProperties") {
                extent.add(Extent { names: self.pattern(name), ..Extent::default() });
            }
            Ok(())
        })?;
        Ok(extent)
    }

    fn reference(&mut self, reference: &'a str) -> Result<Extent, Limit> {
        if let Some(known) = self.of_references.get(reference) {
            return Ok(known.unwrap_or(Extent { nodes: 1, silent: 1, ..Extent::default() }));
        }
        let target = resolve(self.root, reference).ok_or(Limit::Unusable)?;
        self.of_references.insert(reference, None);
        let extent = self.schema(target, true)?;
        self.of_references.insert(reference, Some(extent));
        Ok(extent)
    }

    fn pattern(&mut self, pattern: &str) -> TextCharge {
        let weight = Weight::of(pattern);
        self.patterns = self.patterns.saturating_add(weight.size);
        weight.charge()
    }

    /// For `unevaluatedProperties` and its like, the validator is compiled along every path of references that are
    /// applied to one value: n definitions that refer to one another have n! of them.
    fn check_unevaluated(&self) -> Result<(), Limit> {
        let mut left = budget::NODES;
        for schema in &self.unevaluated {
            self.follow(schema, &mut Vec::new(), &mut left).ok_or(Limit::Schema)?;
        }
        Ok(())
    }

    /// Takes one off `left` for each schema on all ways through what is applied to the value of `schema`.
    fn follow(&self, schema: &'a Value, path: &mut Vec<&'a str>, left: &mut u64) -> Option<()> {
        *left = left.checked_sub(1)?;
        let Value::Object(keywords) = schema else { return Some(()) };
        for (keyword, value) in keywords.iter().filter(|(keyword, _)| is_in_place(keyword)) {
            match value {
                Value::String(reference) => {
                    // A circle is closed where it began.
                    if path.contains(&reference.as_str()) {
                        continue;
                    }
                    path.push(reference);
                    self.follow(resolve(self.root, reference)?, path, left)?;
                    path.pop();
                }
                Value::Array(schemas) => {
                    schemas.iter().try_for_each(|schema| self.follow(schema, path, left))?;
                }
                Value::Object(schemas) if keyword.starts_with("dependen") => {
                    schemas.values().try_for_each(|schema| self.follow(schema, path, left))?;
                }
                other => self.follow(other, path, left)?,
            }
        }
        Some(())
    }
}

/// Whether what the keyword holds is applied to the same value.
fn is_in_place(keyword: &str) -> bool {
    let in_place =
        ["$ref", "allOf", "anyOf", "dependencies", "dependentSchemas", "else", "if", "not", "oneOf", "then"];
    in_place.contains(&keyword)
}

/// Whether a validator of the keyword looks at the value, and so takes a step. For what may be compiled to nothing, no.
fn looks_at_the_value(keyword: &str, value: &Value) -> bool {
    let is_something = match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(_) => true,
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(members) => !members.is_empty(),
    };
    let looks = [
        "const",
        "contains",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "patternProperties",
        "prefixItems",
        "properties",
        "propertyNames",
        "required",
        "type",
    ];
    is_something && looks.contains(&keyword)
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::Array(_) | Value::Object(_))
}
