//! Refused arguments in the shape of FastAPI's 422, which callers of mcpo read (contract section 2.5).
//!
//! `{"detail":[{"type","loc":["body",..],"msg","input"[,"ctx"]}]}`, with pydantic's names for the types.

use bytes::Bytes;
use jsonschema::JsonType;
use serde_json::{Map, Value, json};

use crate::gateway::arguments::fault::{alternatives, literal};
use crate::gateway::arguments::{ArgumentError, ArgumentFault, FaultKind, PathSegment};

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
    if let FaultKind::InvalidJson { position } = fault.kind {
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

/// pydantic's name of the fault, and what it tells beside the message. JSON Schema knows faults that pydantic has
/// no name for; those get `value_error`, and the keyword.
fn name_and_context(fault: &ArgumentFault) -> (&'static str, Option<Value>) {
    let (name, context) = match &fault.kind {
        FaultKind::InvalidJson { .. } => ("json_invalid", json!({"error": fault.message})),
        FaultKind::MissingBody | FaultKind::Missing => return ("missing", None),
        FaultKind::NotAnObject => return ("model_attributes_type", None),
        FaultKind::Type { expected } => return (type_name(expected, &fault.input), None),
        FaultKind::Enum { options } => ("enum", json!({"expected": alternatives(options)})),
        FaultKind::Constant { expected } => ("literal_error", json!({"expected": literal(expected)})),
        FaultKind::StringTooShort { limit } => ("string_too_short", json!({"min_length": limit})),
        FaultKind::StringTooLong { limit } => ("string_too_long", json!({"max_length": limit})),
        FaultKind::Pattern { pattern } => ("string_pattern_mismatch", json!({"pattern": pattern})),
        FaultKind::Minimum { limit } => ("greater_than_equal", json!({"ge": limit})),
        FaultKind::ExclusiveMinimum { limit } => ("greater_than", json!({"gt": limit})),
        FaultKind::Maximum { limit } => ("less_than_equal", json!({"le": limit})),
        FaultKind::ExclusiveMaximum { limit } => ("less_than", json!({"lt": limit})),
        FaultKind::MultipleOf { factor } => ("multiple_of", json!({"multiple_of": factor})),
        FaultKind::TooFewItems { limit, actual } => {
            ("too_short", length("List", "min_length", *limit, *actual))
        }
        FaultKind::TooManyItems { limit, actual } => {
            ("too_long", length("List", "max_length", *limit, *actual))
        }
        FaultKind::TooFewMembers { limit, actual } => {
            ("too_short", length("Dictionary", "min_length", *limit, *actual))
        }
        FaultKind::TooManyMembers { limit, actual } => {
            ("too_long", length("Dictionary", "max_length", *limit, *actual))
        }
        FaultKind::NotUnique => ("value_error", json!({"keyword": "uniqueItems"})),
        FaultKind::Unexpected => return ("extra_forbidden", None),
        FaultKind::Unexplained => return ("value_error", None),
        FaultKind::Keyword { keyword } => ("value_error", json!({"keyword": keyword})),
    };
    (name, Some(context))
}

fn length(of: &str, bound: &str, limit: u64, actual: usize) -> Value {
    json!({"field_type": of, bound: limit, "actual_length": actual})
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

#[cfg(test)]
mod tests {
    use super::body;
    use crate::gateway::arguments::{ArgumentChecker, ArgumentError};
    use bytes::Bytes;
    use serde_json::{Value, json};

    fn problem(schema: &Value, request: &str) -> Value {
        let checker = ArgumentChecker::compile(schema.as_object());
        let error = checker.check(Bytes::copy_from_slice(request.as_bytes())).expect_err(request);
        serde_json::from_slice(&body(&error)).unwrap()
    }

    /// Every validation error that was recorded of mcpo 0.0.20 on its own servers. The bodies that mcpo took for
    /// text because of their content type are below, since reading that header is not the checker's work.
    #[test]
    fn refusals_are_those_that_were_recorded_of_mcpo() {
        let time = json!({"type": "object", "properties": {"timezone": {"type": "string"}}, "required": ["timezone"]});
        let echo = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
        let sum = json!({"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}, "required": ["a", "b"]});
        let deep = json!({"type": "object", "properties": {"z": {"type": "integer"}}, "required": ["z"]});
        let object = json!({"type": "object", "properties": {"o": {"type": "object", "properties": {"a": {"type": "string"}, "deep": deep}, "required": ["a"]}}, "required": ["o"]});
        let no_object = "Input should be a valid dictionary or object to extract fields from";
        let no_name = json!({"type": "json_invalid", "loc": ["body", 1], "msg": "JSON decode error", "input": {}, "ctx": {"error": "Expecting property name enclosed in double quotes"}});
        for (schema, request, detail) in [
            (
                &time,
                "{}",
                json!({"type": "missing", "loc": ["body", "timezone"], "msg": "Field required", "input": {}}),
            ),
            (&time, "", json!({"type": "missing", "loc": ["body"], "msg": "Field required", "input": null})),
            (
                &time,
                r#"{"timezone":5}"#,
                json!({"type": "string_type", "loc": ["body", "timezone"], "msg": "Input should be a valid string", "input": 5}),
            ),
            (
                &time,
                r#"{"timezone":null}"#,
                json!({"type": "string_type", "loc": ["body", "timezone"], "msg": "Input should be a valid string", "input": null}),
            ),
            (&time, "{bad", no_name.clone()),
            (&echo, "{", no_name),
            (
                &time,
                "[1]",
                json!({"type": "model_attributes_type", "loc": ["body"], "msg": no_object, "input": [1]}),
            ),
            (
                &time,
                "\"x\"",
                json!({"type": "model_attributes_type", "loc": ["body"], "msg": no_object, "input": "x"}),
            ),
            (
                &sum,
                r#"{"a":"x","b":2}"#,
                json!({"type": "float_parsing", "loc": ["body", "a"], "msg": "Input should be a valid number, unable to parse string as a number", "input": "x"}),
            ),
            (
                &object,
                r#"{"o":{"a":"x","deep":{}}}"#,
                json!({"type": "missing", "loc": ["body", "o", "deep", "z"], "msg": "Field required", "input": {}}),
            ),
        ] {
            assert_eq!(problem(schema, request), json!({"detail": [detail]}), "{request}");
        }
    }

    #[test]
    fn a_body_that_is_not_read_as_json_is_shown_as_text() {
        for text in [r#"{"timezone":"UTC"}"#, "timezone=UTC"] {
            let shown: Value =
                serde_json::from_slice(&body(&ArgumentError::not_an_object(text.into()))).unwrap();
            let message = "Input should be a valid dictionary or object to extract fields from";
            assert_eq!(
                shown,
                json!({"detail": [{"type": "model_attributes_type", "loc": ["body"], "msg": message, "input": text}]})
            );
        }
    }

    #[test]
    fn each_kind_has_pydantics_name_message_and_context() {
        for (schema, value, name, message, context) in [
            (
                json!({"type": "string", "minLength": 2}),
                json!("a"),
                "string_too_short",
                "String should have at least 2 characters",
                json!({"min_length": 2}),
            ),
            (
                json!({"type": "string", "maxLength": 1}),
                json!("ab"),
                "string_too_long",
                "String should have at most 1 character",
                json!({"max_length": 1}),
            ),
            (
                json!({"pattern": "^a"}),
                json!("b"),
                "string_pattern_mismatch",
                "String should match pattern '^a'",
                json!({"pattern": "^a"}),
            ),
            (
                json!({"enum": ["a", "b", 3]}),
                json!("c"),
                "enum",
                "Input should be 'a', 'b' or 3",
                json!({"expected": "'a', 'b' or 3"}),
            ),
            (
                json!({"const": "k"}),
                json!("c"),
                "literal_error",
                "Input should be 'k'",
                json!({"expected": "'k'"}),
            ),
            (
                json!({"minimum": 1}),
                json!(0),
                "greater_than_equal",
                "Input should be greater than or equal to 1",
                json!({"ge": 1}),
            ),
            (
                json!({"exclusiveMinimum": 0}),
                json!(0),
                "greater_than",
                "Input should be greater than 0",
                json!({"gt": 0}),
            ),
            (
                json!({"maximum": 9}),
                json!(10),
                "less_than_equal",
                "Input should be less than or equal to 9",
                json!({"le": 9}),
            ),
            (
                json!({"exclusiveMaximum": 9}),
                json!(9),
                "less_than",
                "Input should be less than 9",
                json!({"lt": 9}),
            ),
            (
                json!({"multipleOf": 5}),
                json!(9),
                "multiple_of",
                "Input should be a multiple of 5",
                json!({"multiple_of": 5.0}),
            ),
            (
                json!({"minItems": 1}),
                json!([]),
                "too_short",
                "List should have at least 1 item after validation, not 0",
                json!({"field_type": "List", "min_length": 1, "actual_length": 0}),
            ),
            (
                json!({"maxItems": 1}),
                json!([1, 2]),
                "too_long",
                "List should have at most 1 item after validation, not 2",
                json!({"field_type": "List", "max_length": 1, "actual_length": 2}),
            ),
            (
                json!({"minProperties": 1}),
                json!({}),
                "too_short",
                "Dictionary should have at least 1 item after validation, not 0",
                json!({"field_type": "Dictionary", "min_length": 1, "actual_length": 0}),
            ),
            (
                json!({"uniqueItems": true}),
                json!([1, 1]),
                "value_error",
                "List items should be unique",
                json!({"keyword": "uniqueItems"}),
            ),
            (
                json!({"not": {"type": "string"}}),
                json!("x"),
                "value_error",
                "Input does not satisfy the schema's 'not'",
                json!({"keyword": "not"}),
            ),
        ] {
            let shown = problem(&json!({"properties": {"v": schema}}), &json!({"v": value}).to_string());
            let expected =
                json!({"type": name, "loc": ["body", "v"], "msg": message, "input": value, "ctx": context});
            assert_eq!(shown, json!({"detail": [expected]}), "{schema}");
        }
    }

    #[test]
    fn each_wrong_type_has_pydantics_name() {
        for (kind, value, name) in [
            ("string", json!(5), "string_type"),
            ("integer", json!("x"), "int_parsing"),
            ("integer", json!(2.5), "int_from_float"),
            ("integer", json!([]), "int_type"),
            ("number", json!("x"), "float_parsing"),
            ("number", json!([]), "float_type"),
            ("boolean", json!("yes"), "bool_parsing"),
            ("boolean", json!(1), "bool_parsing"),
            ("boolean", json!([]), "bool_type"),
            ("array", json!("x"), "list_type"),
            ("object", json!("x"), "dict_type"),
            ("null", json!("x"), "none_required"),
        ] {
            let shown =
                problem(&json!({"properties": {"v": {"type": kind}}}), &json!({"v": value}).to_string());
            assert_eq!(shown["detail"][0]["type"], name, "{kind}");
        }
        let several =
            problem(&json!({"properties": {"v": {"type": ["string", "integer", "null"]}}}), r#"{"v":[]}"#);
        assert_eq!(several["detail"][0]["type"], "type_error");
        let nullable = problem(&json!({"properties": {"v": {"type": ["string", "null"]}}}), r#"{"v":5}"#);
        assert_eq!(nullable["detail"][0]["type"], "string_type");
    }

    #[test]
    fn members_that_are_not_permitted_are_named_one_by_one() {
        let schema =
            json!({"properties": {"l": {"items": {"properties": {}, "additionalProperties": false}}}});
        let message = "Extra inputs are not permitted";
        assert_eq!(
            problem(&schema, r#"{"l":[{"y":1,"z":2}]}"#),
            json!({"detail": [
                {"type": "extra_forbidden", "loc": ["body", "l", 0, "y"], "msg": message, "input": 1},
                {"type": "extra_forbidden", "loc": ["body", "l", 0, "z"], "msg": message, "input": 2},
            ]})
        );
    }
}
