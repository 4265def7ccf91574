//! The shape of each refusal, and all that were recorded of mcpo.

use super::body;
use crate::catalog::arguments::{ArgumentChecker, ArgumentError};
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
    let time =
        json!({"type": "object", "properties": {"timezone": {"type": "string"}}, "required": ["timezone"]});
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
        let shown: Value = serde_json::from_slice(&body(&ArgumentError::not_an_object(text.into()))).unwrap();
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
            json!({"multiple_of": 5}),
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
        let shown = problem(&json!({"properties": {"v": {"type": kind}}}), &json!({"v": value}).to_string());
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
    let schema = json!({"properties": {"l": {"items": {"properties": {}, "additionalProperties": false}}}});
    let message = "Extra inputs are not permitted";
    assert_eq!(
        problem(&schema, r#"{"l":[{"y":1,"z":2}]}"#),
        json!({"detail": [
            {"type": "extra_forbidden", "loc": ["body", "l", 0, "y"], "msg": message, "input": 1},
            {"type": "extra_forbidden", "loc": ["body", "l", 0, "z"], "msg": message, "input": 2},
        ]})
    );
}
