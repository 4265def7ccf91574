//! Turns the caller's body into the arguments that go upstream: checked against the tool's schema, repaired where
//! that loses nothing, completed by defaults, and else the caller's own bytes.
//!
//! The bytes are never parsed and written again: numbers beyond a double, `1.0` and `1e3` arrive as they were
//! sent. Of equal keys in one object the last is checked, and all are passed on. What comes out has no line break,
//! so that it fits into one line of a stdio transport.
//!
//! mcpo dropped members that a schema does not mention, and every argument of a tool without properties; here they
//! are passed on unless the schema forbids them.

pub mod budget;
mod defaults;
pub mod fault;
pub mod headers;
mod metered;
pub mod pattern;
mod repair;
pub mod report;
mod schema;
mod syntax;
#[cfg(test)]
mod tests;
mod weigh;

use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use jsonschema::ValidationError;
use serde_json::{Map, Value};

pub use budget::Limit;
pub use fault::{ArgumentError, ArgumentFault, FaultKind};

use crate::compute;
use crate::json::{Edits, PathSegment, one_line};
use defaults::DefaultPlan;
use metered::{Charges, Metered, OutOfSteps, Steps};
use repair::Repair;
use schema::Compiled;
use weigh::{JsonKind, weigh};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One tool's rules for its arguments, compiled once.
#[derive(Debug)]
pub struct ArgumentChecker {
    /// The schema requires at least one property, so that no body at all is a fault.
    needs_body: bool,
    rules: Rules,
    /// The limits that were reported, one bit each.
    reported: AtomicU8,
}

/// The rules that arguments are checked against.
#[derive(Debug)]
enum Rules {
    /// An object: there is no schema.
    Any,
    /// An object, and the rest is the server's to judge.
    Unvalidated(Limit),
    Validated(Box<Validated>),
}

#[derive(Debug)]
struct Validated {
    schema: Compiled,
    defaults: Option<DefaultPlan>,
}

/// Arguments that may go to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The JSON text of an object, without a line break.
    pub arguments: Bytes,
    /// Why they were not checked against the tool's schema, for the log: each limit is reported once.
    pub unvalidated: Option<Limit>,
}

/// Why a check has no outcome.
enum Stop {
    Faults(ArgumentError),
    Over(Limit),
}

impl From<OutOfSteps> for Stop {
    fn from(OutOfSteps: OutOfSteps) -> Self {
        Self::Over(Limit::Steps)
    }
}

impl ArgumentChecker {
    /// Compiles a tool's `inputSchema`. Takes from 10 us to about a second, and the stack of a thread for long computations:
    /// do it once per tool, when it is first called.
    ///
    /// Never fails: a schema that is invalid, refers outside itself or goes over the [`budget`] gives a checker that
    /// asks for a JSON object and leaves the rest to the server.
    pub fn compile(schema: Option<&Map<String, Value>>) -> Self {
        let required = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array);
        let needs_body = required.is_some_and(|required| !required.is_empty());
        let rules = match schema.map(|schema| Validated::compile(&Value::Object(schema.clone()))) {
            None => Rules::Any,
            Some(Ok(validated)) => Rules::Validated(Box::new(validated)),
            Some(Err(limit)) => Rules::Unvalidated(limit),
        };
        Self { needs_body, rules, reported: AtomicU8::new(0) }
    }

    /// Whether arguments are validated here, and not by the server alone.
    pub fn validates(&self) -> bool {
        matches!(self.rules, Rules::Validated(_))
    }

    /// Holds arguments to the rules: the very bytes of `body` unless something had to change. No body, or `null`,
    /// stands for `{}`. May take as long as the [`budget`] says.
    ///
    /// # Errors
    ///
    /// All faults found, when the body is no JSON (or nested more than 127 deep), no object, missing while a property is
    /// required, or against the schema beyond what a lossless repair puts right.
    pub fn check(&self, body: Bytes) -> Result<Checked, ArgumentError> {
        let limit = match self.check_within(Steps(budget::APART), body.clone()) {
            Ok(checked) => return Ok(checked),
            Err(Stop::Faults(faults)) => return Err(faults),
            Err(Stop::Over(limit)) => limit,
        };
        Ok(self.unvalidated(unmarked(body), limit))
    }

    /// The same where requests are served; `None` when it takes longer than others may wait there.
    ///
    /// # Errors
    ///
    /// As [`ArgumentChecker::check`].
    pub fn check_at_once(&self, body: Bytes) -> Result<Option<Checked>, ArgumentError> {
        if body.len() >= compute::LARGE {
            return Ok(None);
        }
        match self.check_within(Steps(budget::AT_ONCE), body) {
            Ok(checked) => Ok(Some(checked)),
            Err(Stop::Faults(faults)) => Err(faults),
            Err(Stop::Over(_)) => Ok(None),
        }
    }

    /// `body` with lists and objects read out of texts where the schema allows no text.
    ///
    /// Nothing else is changed or refused: for servers that check for themselves. `None` when no text is to be read,
    /// and when that takes longer than others may wait.
    pub fn read_texts(&self, body: &Bytes) -> Option<Bytes> {
        let Rules::Validated(rules) = &self.rules else { return None };
        let arguments = serde_json::from_slice(body).ok().filter(|_| body.len() < compute::LARGE)?;
        let charges = Charges { path: report::longest_path(&arguments)?, ..rules.schema.charges };
        let open = || open_texts(&rules.schema, arguments);
        let edits = Steps(budget::AT_ONCE).run(budget::AT_ONCE, charges, open).ok()?;
        let text = std::str::from_utf8(body).ok().filter(|_| !edits.is_empty())?;
        Some(Bytes::from(edits.apply(text)))
    }

    fn unvalidated(&self, body: Bytes, limit: Limit) -> Checked {
        let bit = 1 << limit.index();
        // Looked at first: concurrent calls share it.
        let is_news = self.reported.load(Ordering::Relaxed) & bit == 0
            && self.reported.fetch_or(bit, Ordering::Relaxed) & bit == 0;
        Checked { arguments: one_line(body), unvalidated: is_news.then_some(limit) }
    }

    fn check_within(&self, mut steps: Steps, body: Bytes) -> Result<Checked, Stop> {
        let body = unmarked(body);
        if body.is_empty() {
            return self.check_nothing(&mut steps);
        }
        let unreadable = |error| Stop::Faults(ArgumentError::invalid_json(syntax::explain(&body, &error)));
        // A tree is not made in vain, and a large one not before its size is known.
        if !self.validates() || body.len() >= compute::LARGE {
            let weighed = weigh(&body).map_err(unreadable)?;
            let fits = weighed.bytes <= budget::TREE_BYTES;
            match (weighed.kind, &self.rules) {
                (JsonKind::Null, _) => return self.check_nothing(&mut steps),
                (JsonKind::Other, _) if !fits => {
                    return Err(Stop::Faults(ArgumentError::not_an_object(Value::Null)));
                }
                (JsonKind::Other, _) => {}
                (JsonKind::Object, Rules::Any) => return Ok(Checked::valid(body)),
                (JsonKind::Object, Rules::Unvalidated(limit)) => return Ok(self.unvalidated(body, *limit)),
                (JsonKind::Object, Rules::Validated(_)) if !fits => return Err(Stop::Over(Limit::Memory)),
                (JsonKind::Object, Rules::Validated(_)) => {}
            }
        }
        match serde_json::from_slice(&body).map_err(unreadable)? {
            Value::Null => self.check_nothing(&mut steps),
            arguments @ Value::Object(_) => self.check_object(&mut steps, body, arguments),
            // As some clients send them: the text of the object.
            Value::String(text) if is_object(&text) => self.check_within(steps, Bytes::from(text)),
            other => Err(Stop::Faults(ArgumentError::not_an_object(other))),
        }
    }

    fn check_nothing(&self, steps: &mut Steps) -> Result<Checked, Stop> {
        if self.needs_body {
            return Err(Stop::Faults(ArgumentError::missing_body()));
        }
        self.check_object(steps, Bytes::from_static(b"{}"), Value::Object(Map::new()))
    }

    fn check_object(&self, steps: &mut Steps, body: Bytes, arguments: Value) -> Result<Checked, Stop> {
        match &self.rules {
            Rules::Any => Ok(Checked::valid(body)),
            Rules::Unvalidated(limit) => Ok(self.unvalidated(body, *limit)),
            Rules::Validated(rules) => rules.check(steps, body, arguments).map(Checked::valid),
        }
    }
}

impl Checked {
    fn valid(arguments: Bytes) -> Self {
        Self { arguments: one_line(arguments), unvalidated: None }
    }
}

impl Validated {
    fn compile(schema: &Value) -> Result<Self, Limit> {
        let compiled = schema::compile(schema)?;
        let plan = || DefaultPlan::of(schema, |key, value| compiled.accepts_member(key, value));
        let defaults = Steps(budget::EXPLAINING).run(budget::EXPLAINING, compiled.charges, plan);
        let defaults = defaults.map_err(|OutOfSteps| Limit::Defaults)?;
        Ok(Self { schema: compiled, defaults })
    }

    fn check(&self, steps: &mut Steps, body: Bytes, mut arguments: Value) -> Result<Bytes, Stop> {
        let Self { schema, defaults } = self;
        let mut edits = Edits::default();
        if !steps.run(budget::APART, schema.charges, || schema.is_valid(&arguments))? {
            (arguments, edits) = repaired(schema, steps, arguments)?;
        }
        if let Some(defaults) = defaults {
            let mut with_defaults = edits.clone();
            let fill = || defaults.fill(&mut arguments, &mut with_defaults) && schema.is_valid(&arguments);
            if steps.run(budget::APART, schema.charges, fill)? {
                edits = with_defaults;
            }
        }
        if edits.is_empty() {
            return Ok(body);
        }
        let text = std::str::from_utf8(&body).expect("the parser has read it, and reads only UTF-8");
        Ok(Bytes::from(edits.apply(text)))
    }
}

impl Compiled {
    fn is_valid(&self, arguments: &Value) -> bool {
        self.validator.is_valid(Metered(arguments))
    }

    fn errors_in<'v>(&'v self, arguments: &'v Value) -> Vec<ValidationError<'v>> {
        let errors = self.validator.iter_errors(Metered(arguments));
        errors.filter(|error| !report::is_undecided(error)).collect()
    }

    fn accepts_member(&self, key: &str, value: &Value) -> bool {
        let alone = Value::Object(Map::from_iter([(key.to_owned(), value.clone())]));
        let member = [PathSegment::Key(key.to_owned())];
        // Other faults, such as missing members, are not this member's.
        self.is_valid(&alone)
            || self.errors_in(&alone).iter().all(|error| !report::path(error, &alone).starts_with(&member))
    }
}

/// Arguments that the validator refused, put right.
fn repaired(schema: &Compiled, steps: &mut Steps, arguments: Value) -> Result<(Value, Edits), Stop> {
    let Some(path) = report::longest_path(&arguments) else {
        return Err(Stop::Faults(ArgumentError::unexplained()));
    };
    let charges = Charges { path, ..schema.charges };
    let are_enough = steps.0 >= budget::EXPLAINING;
    match steps.run(budget::EXPLAINING, charges, || repair(schema, &arguments, Edits::default())) {
        Ok(repaired) => repaired.map_err(Stop::Faults),
        // They are known to be wrong.
        Err(OutOfSteps) if are_enough => Err(Stop::Faults(ArgumentError::unexplained())),
        Err(exceeded) => Err(exceeded.into()),
    }
}

/// `edits` are those that made `arguments` of the caller's own.
fn repair(schema: &Compiled, arguments: &Value, mut edits: Edits) -> Result<(Value, Edits), ArgumentError> {
    let errors = schema.errors_in(arguments);
    let (mut repairs, mut left) = repair::split(&errors, arguments);
    let mut after = arguments.clone();
    if repairs.iter().any(Repair::opens) {
        repairs.retain(Repair::opens);
        repair::apply(&repairs, &mut after, &mut edits);
        // The list or object in a text may need repairs itself. Each round is a level deeper, down to the deepest.
        return repair(schema, &after, edits);
    }
    repair::apply(&repairs, &mut after, &mut edits);
    let errors_after = schema.errors_in(&after);
    if !errors_after.is_empty() {
        // A null that was taken out of a required member is reported as the null it was.
        let lacking = repair::lacking(&errors_after, &after);
        let regretted = |error: &&ValidationError<'_>| {
            let of_error = repair::repairs(error, arguments).unwrap_or_default();
            of_error.iter().any(|repair| repair::is_regretted(repair, &lacking))
        };
        left.extend(errors.iter().filter(regretted));
    }
    let faults = match left.as_slice() {
        [] => report::faults(&errors_after, &after),
        left => report::faults(left.iter().copied(), arguments),
    };
    drop(errors_after);
    if faults.is_empty() { Ok((after, edits)) } else { Err(ArgumentError { faults }) }
}

/// The edits that replace texts in `arguments` by the lists and objects in them, at any depth.
fn open_texts(schema: &Compiled, mut arguments: Value) -> Edits {
    let mut edits = Edits::default();
    loop {
        let mut repairs = repair::split(&schema.errors_in(&arguments), &arguments).0;
        repairs.retain(Repair::opens);
        if repairs.is_empty() {
            return edits;
        }
        repair::apply(&repairs, &mut arguments, &mut edits);
    }
}

/// The text of the object that `json`, the JSON text of a string, holds.
pub fn object_in_text(json: &str) -> Option<String> {
    let text = json.starts_with('"').then(|| serde_json::from_str::<String>(json).ok())?;
    text.filter(|text| is_object(text))
}

fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && weigh(text.as_bytes()).is_ok()
}

fn unmarked(body: Bytes) -> Bytes {
    if body.starts_with(BYTE_ORDER_MARK) { body.slice(BYTE_ORDER_MARK.len()..) } else { body }
}
