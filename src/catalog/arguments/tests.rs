//! The checker as its callers see it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{ArgumentChecker, ArgumentError, FaultKind};

mod agreement;
mod bounds;
mod texts;

const UNEXPLAINED: &str =
    "arguments: Input does not satisfy the schema, and is too large or too deep to say where";

fn checker(schema: Value) -> ArgumentChecker {
    let checker = ArgumentChecker::compile(schema.as_object());
    assert!(checker.validates(), "{schema}");
    checker
}

fn properties(properties: Value) -> ArgumentChecker {
    checker(json!({"type": "object", "properties": properties}))
}

fn check(checker: &ArgumentChecker, body: &str) -> Result<String, ArgumentError> {
    let checked = checker.check(Bytes::copy_from_slice(body.as_bytes()))?.arguments;
    Ok(String::from_utf8(checked.to_vec()).unwrap())
}

fn sent(checker: &ArgumentChecker, body: &str) -> String {
    check(checker, body).unwrap_or_else(|error| panic!("{body}: {error}"))
}

fn refused(checker: &ArgumentChecker, body: &str) -> Vec<String> {
    let faults = check(checker, body).expect_err(body).faults;
    faults.into_iter().map(|fault| format!("{}: {}", fault.place(), fault.message)).collect()
}

#[test]
fn valid_arguments_are_the_callers_own_bytes() {
    let checker = properties(json!({"n": {"type": "number"}, "s": {"type": "string"}}));
    let body =
        Bytes::from_static(br#" {"n": 123456789012345678901234567890.10, "more":1E2, "s":"a\u00e9\/"} "#);
    assert_eq!(checker.check(body.clone()).unwrap().arguments.as_ptr(), body.as_ptr());
    assert_eq!(checker.check(body.clone()).unwrap().arguments, body);
}

#[test]
fn line_breaks_between_tokens_become_spaces() {
    let checker = properties(json!({"a": {"type": "string"}}));
    assert_eq!(sent(&checker, "{\r\n\"a\":\n\"x\\ny\"\n}"), "{  \"a\": \"x\\ny\" }");
    let unchecked = ArgumentChecker::compile(None);
    assert_eq!(sent(&unchecked, "{\n}"), "{ }");
}

#[test]
fn no_body_stands_for_no_arguments_unless_some_are_required() {
    let optional = properties(json!({"a": {"type": "string"}}));
    let required = checker(json!({"properties": {"a": {"type": "string"}}, "required": ["a"]}));
    for body in ["", "null", " null ", "\u{feff}"] {
        assert_eq!(sent(&optional, body), "{}");
        assert_eq!(sent(&ArgumentChecker::compile(None), body), "{}");
        assert_eq!(check(&required, body).unwrap_err().faults[0].kind, FaultKind::MissingBody);
    }
    assert_eq!(refused(&required, "{}"), ["a: Field required"]);
    assert_eq!(sent(&required, "\u{feff}{\"a\":\"x\"}"), "{\"a\":\"x\"}");
}

#[test]
fn what_is_no_object_is_refused_with_or_without_rules() {
    for checker in [properties(json!({})), ArgumentChecker::compile(None)] {
        for body in ["[1]", "\"x\"", "5", "true"] {
            assert_eq!(check(&checker, body).unwrap_err().faults[0].kind, FaultKind::NotAnObject, "{body}");
        }
        for body in ["{bad", "{} {}", " "] {
            let kind = check(&checker, body).unwrap_err().faults.remove(0).kind;
            assert!(matches!(kind, FaultKind::InvalidJson { .. }), "{body}");
        }
        assert_eq!(sent(&checker, "{\"any\":[1]}"), "{\"any\":[1]}");
    }
}

#[test]
fn depth_is_a_fault_and_no_crash() {
    let checker = properties(json!({}));
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(sent(&checker, &nested(126)), nested(126));
    assert_eq!(refused(&checker, &nested(100_000)), ["arguments: recursion limit exceeded"]);
}

#[test]
fn strings_that_are_the_text_of_a_wanted_value_become_it_wherever_they_stand() {
    let node = json!({"type": "object", "properties": {"i": {"type": "integer"}, "n": {"type": ["number", "null"]}}});
    let checker = properties(json!({
        "i": {"type": "integer"}, "b": {"type": "boolean"}, "e": {"type": "integer", "enum": [1, 2]},
        "u": {"anyOf": [{"type": "number"}, {"type": "null"}]}, "o": node, "list": {"type": "array", "items": node},
        "choice": {"oneOf": [node, {"type": "boolean"}]}, "a/b~": {"type": "integer"}, "7": {"type": "integer"},
        "": {"type": "integer"},
    }));
    for (body, expected) in [
        (r#"{"i":"5"}"#, r#"{"i":5}"#),
        (r#"{"i":5.0}"#, r#"{"i":5.0}"#),
        (
            r#"{"i":"123456789012345678901234567890", "x": 1.50}"#,
            r#"{"i":123456789012345678901234567890,"x": 1.50}"#,
        ),
        (r#"{"b":"true"}"#, r#"{"b":true}"#),
        (r#"{"e":"2"}"#, r#"{"e":2}"#),
        (r#"{"u":"2.5"}"#, r#"{"u":2.5}"#),
        (r#"{"o":{"i":"1","n":"2"}}"#, r#"{"o":{"i":1,"n":2}}"#),
        (r#"{"list":[{"i":1},{"i":"2"}]}"#, r#"{"list":[{"i":1},{"i":2}]}"#),
        (r#"{"choice":{"i":"2"}}"#, r#"{"choice":{"i":2}}"#),
        (r#"{"a/b~":"1","7":"2","":"3"}"#, r#"{"a/b~":1,"7":2,"":3}"#),
    ] {
        assert_eq!(sent(&checker, body), expected);
    }
}

#[test]
fn nothing_is_guessed() {
    let checker =
        properties(json!({"i": {"type": "integer"}, "b": {"type": "boolean"}, "s": {"type": "string"}}));
    for (body, message) in [
        (r#"{"i":true}"#, "i: Input should be a valid integer"),
        (r#"{"i":"x"}"#, "i: Input should be a valid integer, unable to parse string as an integer"),
        (r#"{"i":"2.5"}"#, "i: Input should be a valid integer, unable to parse string as an integer"),
        (r#"{"i":2.5}"#, "i: Input should be a valid integer, got a number with a fractional part"),
        (r#"{"b":"yes"}"#, "b: Input should be a valid boolean, unable to interpret input"),
        (r#"{"b":1}"#, "b: Input should be a valid boolean, unable to interpret input"),
        (r#"{"s":5}"#, "s: Input should be a valid string"),
    ] {
        assert_eq!(refused(&checker, body), [message], "{body}");
    }
}

#[test]
fn only_what_stays_wrong_is_reported() {
    let checker = properties(json!({"i": {"type": "integer", "maximum": 9}, "s": {"type": "string"}}));
    assert_eq!(refused(&checker, r#"{"i":"3","s":1}"#), ["s: Input should be a valid string"]);
    assert_eq!(refused(&checker, r#"{"i":"99"}"#), ["i: Input should be less than or equal to 9"]);
}

#[test]
fn a_null_is_taken_out_only_where_it_is_wrong_and_the_member_optional() {
    let checker = checker(json!({
        "properties": {
            "a": {"type": "string"}, "n": {"type": ["string", "null"]}, "r": {"type": "string"}, "free": {},
            "o": {"type": "object", "properties": {"k": {"enum": ["x"]}}}, "list": {"type": "array", "items": {"type": "string"}},
            "old": {"type": "string", "nullable": true},
        },
        "required": ["r"],
    }));
    for (body, expected) in [
        (r#"{"a":null,"r":"x"}"#, r#"{"r":"x"}"#),
        (r#"{"n":null,"free":null,"other":null,"r":"x"}"#, r#"{"n":null,"free":null,"other":null,"r":"x"}"#),
        (r#"{"r":"x","o":{"k":null},"old":null}"#, r#"{"r":"x","o":{}}"#),
    ] {
        assert_eq!(sent(&checker, body), expected);
    }
    assert_eq!(refused(&checker, r#"{"r":null}"#), ["r: Input should be a valid string"]);
    assert_eq!(refused(&checker, r#"{"r":null,"a":null}"#), ["r: Input should be a valid string"]);
    assert_eq!(
        refused(&checker, r#"{"r":"x","list":["y",null]}"#),
        ["list[1]: Input should be a valid string"]
    );
}

#[test]
fn defaults_are_added_unless_they_would_be_refused() {
    let schema = json!({
        "properties": {
            "i": {"type": "integer", "default": 3}, "bad": {"type": "integer", "default": "none"},
            "e": {"type": "string", "default": "x"}, "o": {"properties": {"d": {"default": [1.0]}}},
        },
        "required": ["e"],
    });
    let with_defaults = checker(schema);
    assert_eq!(sent(&with_defaults, r#"{"e":"y"}"#), r#"{"e":"y","i":3}"#);
    assert_eq!(sent(&with_defaults, r#"{"e":"y","i":null,"o":{}}"#), r#"{"e":"y","o":{"d":[1.0]},"i":3}"#);
    assert_eq!(sent(&with_defaults, r#"{"i":"4","e":"y"}"#), r#"{"i":4,"e":"y"}"#);
    assert_eq!(refused(&with_defaults, "{}"), ["e: Field required"]);
    let exclusive =
        checker(json!({"properties": {"a": {"default": 1}, "b": {}}, "not": {"required": ["a", "b"]}}));
    assert_eq!(sent(&exclusive, "{}"), r#"{"a":1}"#);
    assert_eq!(sent(&exclusive, r#"{"b":2}"#), r#"{"b":2}"#);
}

#[test]
fn unions_report_what_helps_most() {
    let form = |kind: &str, key: &str| json!({"properties": {"kind": {"const": kind}, key: {"type": "string"}}, "required": [key]});
    let checker = properties(json!({
        "nullable": {"anyOf": [{"type": "object", "required": ["k"]}, {"type": "null"}]},
        "scalar": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        "value": {"anyOf": [{"const": "a"}, {"const": "b"}]},
        "form": {"oneOf": [form("a", "x"), form("b", "y")]},
    }));
    for (body, message) in [
        (r#"{"nullable":{}}"#, "nullable.k: Field required"),
        (r#"{"scalar":[]}"#, "scalar: Input should be a valid string or a valid integer"),
        (r#"{"value":"c"}"#, "value: Input should be 'a' or 'b'"),
        (r#"{"form":{}}"#, "form: Input should match one of the forms that the schema lists under 'oneOf'"),
    ] {
        assert_eq!(refused(&checker, body), [message], "{body}");
    }
}

#[test]
fn a_flood_of_wrong_values_is_answered_briefly() {
    let checker = properties(json!({"list": {"type": "array", "items": {"type": "string"}}}));
    let wrong = |count: usize| format!("{{\"list\":[{}]}}", vec!["1"; count].join(","));
    assert_eq!(refused(&checker, &wrong(1000)).len(), super::report::MOST_FAULTS);
    assert_eq!(refused(&checker, &wrong(30_000)), [UNEXPLAINED]);
    let right = format!("{{\"list\":[{}]}}", vec!["\"1\""; 30_000].join(","));
    assert_eq!(sent(&checker, &right), right);
}

#[test]
fn schemas_and_bodies_made_to_be_slow_are_not() {
    let node = json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/Node"}}, "required": ["n"]});
    let recursive = checker(json!({
        "properties": {"n": {"$ref": "#/$defs/Node"}},
        "$defs": {"Node": {"anyOf": [node, {"allOf": [node]}, {"not": node, "type": "string"}]}},
    }));
    let deep = format!("{}1{}", "{\"n\":".repeat(100), "}".repeat(100));
    assert_eq!(refused(&recursive, &deep), [UNEXPLAINED]);
    assert_eq!(refused(&recursive, r#"{"n":{"n":1}}"#).len(), 1);
    let pattern = properties(json!({"s": {"type": "string", "pattern": "^(?:(?=a)a|(?!b)a)*b$"}}));
    let text = format!("{{\"s\":\"{}!\"}}", "a".repeat(60));
    // The engine gives up, which is no fault of the caller: the server decides.
    assert_eq!(sent(&pattern, &text), text);
}

#[test]
fn tools_with_unusable_schemas_take_any_object() {
    for schema in
        [json!({"properties": {"v": {"$ref": "https://example.com/s.json"}}}), json!({"properties": null})]
    {
        let checker = ArgumentChecker::compile(schema.as_object());
        assert!(!checker.validates());
        assert_eq!(sent(&checker, r#"{"v":5}"#), r#"{"v":5}"#);
        assert_eq!(sent(&checker, ""), "{}");
    }
}

/// Calls and what the tool received, as recorded of mcpo 0.0.20. Where mcpo changed arguments (members that the schema
/// does not mention dropped, integers made floats) they are passed on as sent, which is what stands here.
#[test]
fn tools_receive_what_was_recorded_of_mcpo_and_no_less() {
    let basic = checker(json!({
        "type": "object",
        "properties": {
            "s": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^a"},
            "i": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "n": {"type": "number", "exclusiveMinimum": 0}, "b": {"type": "boolean", "default": false},
            "e": {"type": "string", "enum": ["x", "y"], "default": "x"}, "c": {"const": "k"},
            "f": {"type": "string", "format": "date-time"}, "noType": {"description": "any"},
        },
        "required": ["s", "e"],
    }));
    let item = json!({"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}, "required": ["k"]});
    let array = checker(json!({
        "type": "object",
        "properties": {
            "strs": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "objs": {"type": "array", "items": item}, "tuple": {"type": "array", "prefixItems": [{"type": "string"}]},
            "nested": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            "def": {"type": "array", "items": {"type": "string"}, "default": ["q"]},
        },
        "required": ["strs"],
    }));
    for (checker, body, received) in [
        (&basic, json!({"s": "abc", "e": "x"}), json!({"s": "abc", "i": 3, "b": false, "e": "x"})),
        (&basic, json!({"s": "abc", "e": "x", "i": 9}), json!({"s": "abc", "i": 9, "b": false, "e": "x"})),
        (
            &basic,
            json!({"s": "abc", "e": "x", "f": "notadate"}),
            json!({"s": "abc", "i": 3, "b": false, "e": "x", "f": "notadate"}),
        ),
        (
            &basic,
            json!({"s": "abc", "e": "x", "noType": {"a": [1]}}),
            json!({"s": "abc", "i": 3, "b": false, "e": "x", "noType": {"a": [1]}}),
        ),
        (&array, json!({"strs": ["a"]}), json!({"strs": ["a"], "def": ["q"]})),
        (
            &array,
            json!({"strs": ["a"], "tuple": ["a", 1]}),
            json!({"strs": ["a"], "tuple": ["a", 1], "def": ["q"]}),
        ),
        (
            &array,
            json!({"strs": ["a"], "nested": [[1, 2], [3]]}),
            json!({"strs": ["a"], "nested": [[1, 2], [3]], "def": ["q"]}),
        ),
        (
            &array,
            json!({"strs": ["a"], "objs": [{"k": "1", "v": 2, "extra": 1}]}),
            json!({"strs": ["a"], "objs": [{"k": "1", "v": 2, "extra": 1}], "def": ["q"]}),
        ),
    ] {
        let sent: Value = serde_json::from_str(&sent(checker, &body.to_string())).unwrap();
        assert_eq!(sent, received);
    }
    // mcpo had dropped these keywords from the schema, and sent such calls on.
    for (checker, body) in [
        (&basic, r#"{"s":"zzzzzzzzz","e":"x"}"#),
        (&basic, r#"{"s":"abc","e":"NOTENUM"}"#),
        (&basic, r#"{"s":"abc","e":"x","i":99}"#),
        (&basic, r#"{"s":"abc","e":"x","c":"other"}"#),
        (&array, r#"{"strs":[]}"#),
    ] {
        assert!(check(checker, body).is_err(), "{body}");
    }
}
