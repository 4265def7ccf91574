//! Refused arguments in the shape of FastAPI's 422, which callers of mcpo read (as in mcpo 0.0.20).
//!
//! `{"detail":[{"type","loc":["body",..],"msg","input"[,"ctx"]}]}`, with pydantic's names for the types.

#[cfg(test)]
mod tests;

use bytes::Bytes;
use jsonschema::JsonType;
use serde_json::{Map, Value, json};

use crate::catalog::arguments::fault::{WrongCount, alternatives, literal};
use crate::catalog::arguments::{ArgumentError, ArgumentFault, FaultKind};
use crate::json::PathSegment;

/// The body that goes with status 422.
pub fn body(error: &ArgumentError) -> Bytes {
    let detail: Vec<Value> = error.faults.iter().map(detail).collect();
    Bytes::from(json!({ "detail": detail }).to_string())
}

fn detail(fault: &ArgumentFault) -> Value {
    let mut location = vec![Value::from("body")];
    location.extend(fault.path.iter().map(|segment| match segment {
        PathSegment::Key(key) => Value::from(key.as_str()),
        PathSegment::Index(index) => Value::from(*index),
    }));
    let (name, context) = name_and_context(fault);
    let mut message = fault.message.as_str();
    if let FaultKind::InvalidJson(position) = fault.kind {
        location.push(Value::from(position));
        message = "JSON decode error";
    }
    let mut detail = Map::new();
    detail.insert("type".into(), name.into());
    detail.insert("loc".into(), location.into());
    detail.insert("msg".into(), message.into());
    detail.insert("input".into(), fault.input.clone());
    if let Some(context) = context {
        detail.insert("ctx".into(), context);
    }
    Value::Object(detail)
}

/// pydantic's name of the fault, and its context beside the message. JSON Schema knows faults that pydantic has
/// no name for; those get `value_error`, and the keyword.
fn name_and_context(fault: &ArgumentFault) -> (&'static str, Option<Value>) {
    let count = |bound: &str, WrongCount { container, limit, actual }: &WrongCount| json!({"field_type": container, bound: limit, "actual_length": actual});
    let (name, context) = match &fault.kind {
        FaultKind::InvalidJson(_) => ("json_invalid", json!({"error": fault.message})),
        FaultKind::MissingBody | FaultKind::Missing => return ("missing", None),
        FaultKind::NotAnObject => return ("model_attributes_type", None),
        FaultKind::Type(expected) => return (type_name(expected, &fault.input), None),
        FaultKind::Enum(options) => ("enum", json!({"expected": alternatives(options)})),
        FaultKind::Constant(expected) => ("literal_error", json!({"expected": literal(expected)})),
        FaultKind::StringTooShort(limit) => ("string_too_short", json!({"min_length": limit})),
        FaultKind::StringTooLong(limit) => ("string_too_long", json!({"max_length": limit})),
        FaultKind::Pattern(pattern) => ("string_pattern_mismatch", json!({"pattern": pattern})),
        FaultKind::Minimum(limit) => ("greater_than_equal", json!({"ge": limit})),
        FaultKind::ExclusiveMinimum(limit) => ("greater_than", json!({"gt": limit})),
        FaultKind::Maximum(limit) => ("less_than_equal", json!({"le": limit})),
        FaultKind::ExclusiveMaximum(limit) => ("less_than", json!({"lt": limit})),
        FaultKind::MultipleOf(factor) => ("multiple_of", json!({"multiple_of": factor})),
        FaultKind::TooFew(wrong) => ("too_short", count("min_length", wrong)),
        FaultKind::TooMany(wrong) => ("too_long", count("max_length", wrong)),
        FaultKind::NotUnique => ("value_error", json!({"keyword": "uniqueItems"})),
        FaultKind::Unexpected => return ("extra_forbidden", None),
        FaultKind::Unexplained => return ("value_error", None),
        FaultKind::Keyword(keyword) => ("value_error", json!({"keyword": keyword})),
    };
    (name, Some(context))
}

fn type_name(expected: &[JsonType], input: &Value) -> &'static str {
    match (expected, input) {
        ([JsonType::Null], _) => "none_required",
        ([JsonType::Boolean], Value::String(_) | Value::Number(_)) => "bool_parsing",
        ([JsonType::Boolean], _) => "bool_type",
        ([JsonType::Integer], Value::String(_)) => "int_parsing",
        ([JsonType::Integer], Value::Number(_)) => "int_from_float",
        ([JsonType::Integer], _) => "int_type",
        ([JsonType::Number], Value::String(_)) => "float_parsing",
        ([JsonType::Number], _) => "float_type",
        ([JsonType::String], _) => "string_type",
        ([JsonType::Array], _) => "list_type",
        ([JsonType::Object], _) => "dict_type",
        _ => "type_error",
    }
}
