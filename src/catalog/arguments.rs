//! From the caller's body to the arguments that go upstream: checked against the tool's schema, repaired where
//! nothing is lost by it, defaults added, and else the caller's own bytes.
//!
//! The bytes are never parsed and written again: numbers beyond a double, `1.0` and `1e3` arrive as they were
//! sent. Of equal keys in one object the last is checked, and all are passed on. What comes out has no line break,
//! so that it fits into one line of a stdio transport.
//!
//! mcpo dropped members that a schema does not mention, and every argument of a tool without properties; here they
//! are passed on unless the schema forbids them.

mod defaults;
mod edit;
pub mod fault;
pub mod headers;
mod repair;
pub mod report;
mod schema;
mod syntax;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

pub use fault::{ArgumentError, ArgumentFault, FaultKind, PathSegment};

use defaults::DefaultPlan;
use edit::Edits;
use schema::Compiled;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One tool's rules for its arguments, compiled once.
#[derive(Debug)]
pub struct ArgumentChecker {
    /// The schema requires at least one property, so that no body at all is a fault.
    needs_body: bool,
    /// `None`: no local validation, see [`ArgumentChecker::validates`].
    rules: Option<Rules>,
}

#[derive(Debug)]
struct Rules {
    schema: Compiled,
    defaults: Option<DefaultPlan>,
}

impl ArgumentChecker {
    /// Compiles a tool's `inputSchema`. Takes from 10 us to some milliseconds: do it once per tool, when it is first called.
    ///
    /// Never fails: a schema that is invalid, refers outside itself or is unreasonably large gives a checker that
    /// asks for a JSON object and leaves the rest to the server.
    pub fn compile(schema: Option<&Map<String, Value>>) -> Self {
        let required = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array);
        let needs_body = required.is_some_and(|required| !required.is_empty());
        let rules = schema.and_then(|schema| {
            let compiled = schema::compile(schema)?;
            let accepts = |key: &str, value: &Value| accepts_member(&compiled.validator, key, value);
            let defaults = DefaultPlan::of(&Value::Object(schema.clone()), accepts);
            Some(Rules { schema: compiled, defaults })
        });
        Self { needs_body, rules }
    }

    /// Whether arguments are validated here, and not by the server alone.
    pub fn validates(&self) -> bool {
        self.rules.is_some()
    }

    /// The JSON text of the arguments object, without a line break; the very bytes of `body` unless something had
    /// to change. No body, or `null`, stands for `{}`.
    ///
    /// # Errors
    ///
    /// All faults found, when the body is no JSON (or nested more than 127 deep), no object, missing while a property is
    /// required, or against the schema beyond what a lossless repair puts right.
    pub fn check(&self, body: Bytes) -> Result<Bytes, ArgumentError> {
        let body = if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body };
        if body.is_empty() {
            return self.check_nothing();
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Null) => self.check_nothing(),
            Ok(arguments @ Value::Object(_)) => self.check_object(body, arguments),
            Ok(other) => Err(ArgumentError::not_an_object(other)),
            Err(error) => Err(ArgumentError::invalid_json(syntax::explain(&body, &error))),
        }
    }

    fn check_nothing(&self) -> Result<Bytes, ArgumentError> {
        if self.needs_body {
            return Err(ArgumentError::missing_body());
        }
        self.check_object(Bytes::from_static(b"{}"), Value::Object(Map::new()))
    }

    fn check_object(&self, body: Bytes, mut arguments: Value) -> Result<Bytes, ArgumentError> {
        let Some(Rules { schema, defaults }) = &self.rules else {
            return Ok(on_one_line(body));
        };
        let validator = &schema.validator;
        let mut edits = Edits::default();
        if !validator.is_valid(&arguments) {
            (arguments, edits) = repaired(schema, arguments)?;
        }
        if let Some(defaults) = defaults {
            let mut with_defaults = edits.clone();
            if defaults.fill(&mut arguments, &mut with_defaults) && validator.is_valid(&arguments) {
                edits = with_defaults;
            }
        }
        if edits.is_empty() {
            return Ok(on_one_line(body));
        }
        let text = std::str::from_utf8(&body).expect("the parser has read it, and reads only UTF-8");
        Ok(on_one_line(Bytes::from(edits.apply(text))))
    }
}

/// Arguments that the validator refused, put right.
fn repaired(schema: &Compiled, arguments: Value) -> Result<(Value, Edits), ArgumentError> {
    let validator = &schema.validator;
    if !schema.can_explain(&arguments) {
        return Err(ArgumentError::unexplained());
    }
    let errors = errors_in(validator, &arguments);
    let (repairs, mut left) = repair::split(&errors, &arguments);
    let (mut after, mut edits) = (arguments.clone(), Edits::default());
    repair::apply(&repairs, &mut after, &mut edits);
    let errors_after = errors_in(validator, &after);
    if !errors_after.is_empty() {
        // A null that was taken out of a required member is reported as the null it was.
        let lacking = repair::lacking(&errors_after, &after);
        let regretted = |error: &&ValidationError<'_>| {
            let of_error = repair::repairs(error, &arguments).unwrap_or_default();
            of_error.iter().any(|repair| repair::is_regretted(repair, &lacking))
        };
        left.extend(errors.iter().filter(regretted));
    }
    let faults = match left.as_slice() {
        [] => report::faults(&errors_after, &after),
        left => report::faults(left.iter().copied(), &arguments),
    };
    drop(errors_after);
    if faults.is_empty() { Ok((after, edits)) } else { Err(ArgumentError { faults }) }
}

fn errors_in<'v>(validator: &'v Validator, arguments: &'v Value) -> Vec<ValidationError<'v>> {
    validator.iter_errors(arguments).filter(|error| !report::is_undecided(error)).collect()
}

fn accepts_member(validator: &Validator, key: &str, value: &Value) -> bool {
    let alone = Value::Object(Map::from_iter([(key.to_owned(), value.clone())]));
    let member = [fault::PathSegment::Key(key.to_owned())];
    validator.iter_errors(&alone).all(|error| !report::path(&error, &alone).starts_with(&member))
}

/// In JSON a raw line break can only be white space between tokens.
fn on_one_line(json: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &json).is_none() {
        return json;
    }
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}
