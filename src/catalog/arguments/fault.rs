//! The faults of a caller's arguments, in words that fit every surface.
//!
//! A surface maps [`FaultKind`] to its own codes; [`ArgumentFault::message`] is a sentence that any of them can show.

use jsonschema::JsonType;
use serde_json::Value;

use super::syntax::SyntaxFault;
use crate::json::PathSegment;

/// Why a call's arguments were refused: at least one fault, at most [`super::report::MOST_FAULTS`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("invalid arguments: {}", describe(.faults))]
pub struct ArgumentError {
    /// In the order in which the schema's keywords were looked at.
    pub faults: Vec<ArgumentFault>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct ArgumentFault {
    /// Where: empty for the arguments as a whole. For a missing or unwanted member it ends with that member's name.
    pub path: Vec<PathSegment>,
    pub kind: FaultKind,
    /// One sentence for the caller.
    ///
    /// It names no value that the caller did not send, except limits of the schema.
    pub message: String,
    /// The value at fault: for a missing member the object that lacks it, for an absent body `null`.
    pub input: Value,
}

/// The kinds of faults, with the limits that were broken.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// The body is no JSON from this character on, counted from 0.
    InvalidJson(usize),
    /// No body, although the tool requires arguments.
    MissingBody,
    /// The body is JSON, but no object.
    NotAnObject,
    /// A required member is not there.
    Missing,
    /// None of these types; `null` is left out when anything else is wanted too.
    Type(Vec<JsonType>),
    /// None of these values.
    Enum(Vec<Value>),
    /// Not the one value that is allowed.
    Constant(Value),
    /// A string with fewer characters.
    StringTooShort(u64),
    /// A string with more characters.
    StringTooLong(u64),
    /// A string that this regular expression does not find.
    Pattern(String),
    Minimum(Value),
    ExclusiveMinimum(Value),
    Maximum(Value),
    ExclusiveMaximum(Value),
    MultipleOf(Value),
    /// A list or an object with fewer elements or members than the limit.
    TooFew(WrongCount),
    /// A list or an object with more elements or members than the limit.
    TooMany(WrongCount),
    /// An array with equal elements.
    NotUnique,
    /// A member that the schema does not allow.
    Unexpected,
    /// Another keyword of JSON Schema.
    Keyword(String),
    /// Against the schema, but too large or too deep to say where.
    Unexplained,
}

/// A number of elements or members, and the limit that it breaks.
#[derive(Debug, Clone, PartialEq)]
pub struct WrongCount {
    /// pydantic's name of the container: `List` or `Dictionary`.
    pub container: &'static str,
    pub limit: u64,
    pub actual: usize,
}

impl ArgumentError {
    /// A body that is JSON (or text that was not read as JSON) but no object.
    pub fn not_an_object(input: Value) -> Self {
        Self::one(Vec::new(), FaultKind::NotAnObject, input)
    }

    /// A body that had to be there.
    pub(super) fn missing_body() -> Self {
        Self::one(Vec::new(), FaultKind::MissingBody, Value::Null)
    }

    /// Arguments too large or too deep to collect all that is wrong with them. They are not shown.
    pub(super) fn unexplained() -> Self {
        Self::one(Vec::new(), FaultKind::Unexplained, Value::Object(serde_json::Map::new()))
    }

    /// A body that is no JSON.
    pub(super) fn invalid_json(fault: SyntaxFault) -> Self {
        let kind = FaultKind::InvalidJson(fault.position);
        let input = Value::Object(serde_json::Map::new());
        Self { faults: vec![ArgumentFault { path: Vec::new(), kind, message: fault.message, input }] }
    }

    /// A single one.
    pub(super) fn one(path: Vec<PathSegment>, kind: FaultKind, input: Value) -> Self {
        Self { faults: vec![ArgumentFault::new(path, kind, input)] }
    }
}

impl ArgumentFault {
    /// A fault with the sentence that fits its kind.
    pub(super) fn new(path: Vec<PathSegment>, kind: FaultKind, input: Value) -> Self {
        let message = sentence(&kind, &input);
        Self { path, kind, message, input }
    }

    /// The path as people write it: `filter.names[2]`; `arguments` for the whole.
    pub fn place(&self) -> String {
        let mut place = String::new();
        for segment in &self.path {
            match segment {
                PathSegment::Key(key) if place.is_empty() => place.push_str(key),
                PathSegment::Key(key) => place.extend([".", key]),
                PathSegment::Index(index) => place.push_str(&format!("[{index}]")),
            }
        }
        if place.is_empty() { "arguments".into() } else { place }
    }
}

fn describe(faults: &[ArgumentFault]) -> String {
    let each = faults.iter().map(|fault| format!("{}: {}", fault.place(), fault.message));
    each.collect::<Vec<_>>().join("; ")
}

/// The wording that pydantic's users know, since clients and models have learned from it.
fn sentence(kind: &FaultKind, input: &Value) -> String {
    let string = |bound, limit| format!("String should have {bound} {}", counted(limit, "character"));
    let items = |bound, WrongCount { container, limit, actual }: &WrongCount| {
        format!("{container} should have {bound} {} after validation, not {actual}", counted(*limit, "item"))
    };
    match kind {
        FaultKind::InvalidJson(_) => "Invalid JSON".into(),
        FaultKind::MissingBody | FaultKind::Missing => "Field required".into(),
        FaultKind::NotAnObject => {
            "Input should be a valid dictionary or object to extract fields from".into()
        }
        FaultKind::Type(expected) => wrong_type(expected, input),
        FaultKind::Enum(options) => format!("Input should be {}", alternatives(options)),
        FaultKind::Constant(expected) => format!("Input should be {}", literal(expected)),
        FaultKind::StringTooShort(limit) => string("at least", *limit),
        FaultKind::StringTooLong(limit) => string("at most", *limit),
        FaultKind::Pattern(pattern) => format!("String should match pattern '{pattern}'"),
        FaultKind::Minimum(limit) => format!("Input should be greater than or equal to {limit}"),
        FaultKind::ExclusiveMinimum(limit) => format!("Input should be greater than {limit}"),
        FaultKind::Maximum(limit) => format!("Input should be less than or equal to {limit}"),
        FaultKind::ExclusiveMaximum(limit) => format!("Input should be less than {limit}"),
        FaultKind::MultipleOf(factor) => format!("Input should be a multiple of {factor}"),
        FaultKind::TooFew(count) => items("at least", count),
        FaultKind::TooMany(count) => items("at most", count),
        FaultKind::NotUnique => "List items should be unique".into(),
        FaultKind::Unexpected => "Extra inputs are not permitted".into(),
        FaultKind::Keyword(keyword) if keyword == "anyOf" || keyword == "oneOf" => {
            format!("Input should match one of the forms that the schema lists under '{keyword}'")
        }
        FaultKind::Keyword(keyword) => format!("Input does not satisfy the schema's '{keyword}'"),
        FaultKind::Unexplained => {
            "Input does not satisfy the schema, and is too large or too deep to say where".into()
        }
    }
}

fn wrong_type(expected: &[JsonType], input: &Value) -> String {
    let [only] = expected else {
        let names: Vec<_> = expected.iter().map(|kind| noun(*kind)).collect();
        return format!("Input should be {}", joined(&names));
    };
    let hint = match (only, input) {
        (JsonType::Integer, Value::String(_)) => ", unable to parse string as an integer",
        (JsonType::Integer, Value::Number(_)) => ", got a number with a fractional part",
        (JsonType::Number, Value::String(_)) => ", unable to parse string as a number",
        (JsonType::Boolean, Value::String(_) | Value::Number(_)) => ", unable to interpret input",
        _ => "",
    };
    format!("Input should be {}{hint}", noun(*only))
}

fn noun(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "None",
        JsonType::Boolean => "a valid boolean",
        JsonType::Integer => "a valid integer",
        JsonType::Number => "a valid number",
        JsonType::String => "a valid string",
        JsonType::Array => "a valid list",
        JsonType::Object => "a valid dictionary",
    }
}

/// `'a', 'b' or 3`: how a list of allowed values reads in a sentence.
pub fn alternatives(options: &[Value]) -> String {
    joined(&options.iter().map(literal).collect::<Vec<_>>())
}

/// A value as it stands in a sentence: strings in single quotes, all else as JSON.
pub fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

fn joined(words: &[impl AsRef<str>]) -> String {
    match words {
        [] => "nothing".into(),
        [only] => only.as_ref().into(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", most.join(", "), last.as_ref())
        }
    }
}

fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}
