//! Lists and objects that come as their JSON text are read where no string may stand.

use serde_json::{Value, json};

use super::super::budget;
use super::{check, checker, properties, refused, sent};

/// `value` as the JSON text of its JSON text.
fn quoted(value: &str) -> String {
    Value::from(value).to_string()
}

fn wanting() -> super::ArgumentChecker {
    properties(json!({
        "tags": {"type": "array", "items": {"type": "string"}},
        "meta": {"anyOf": [{"type": "object"}, {"type": "null"}]},
        "point": {"type": "object", "properties": {"n": {"type": "integer"}, "at": {"type": "array"}}},
        "both": {"oneOf": [{"type": "array"}, {"type": "object", "required": ["k"]}]},
        "list": {"type": ["array", "null"], "items": {"$ref": "#/properties/point"}},
    }))
}

#[test]
fn the_text_of_a_wanted_list_or_object_becomes_it_to_the_letter() {
    for (name, text) in [
        ("tags", r#"["a", "b\u00e9"]"#),
        ("tags", "[]"),
        ("meta", r#"{"k":  1.50, "k": 1E40}"#),
        ("point", r#"{"n":12345678901234567890123}"#),
        ("both", "[1]"),
        ("both", r#"{"k":{"[":"{"}}"#),
        ("list", r#"[{"n":1},{"at":[null]}]"#),
    ] {
        let body = format!("{{\"{name}\":{}}}", quoted(text));
        assert_eq!(sent(&wanting(), &body), format!("{{\"{name}\":{text}}}"));
    }
    let pretty = quoted("\n {\r\n\"k\": 1\n} \n");
    assert_eq!(sent(&wanting(), &format!("{{\"meta\":{pretty}}}")), r#"{"meta":{  "k": 1 }}"#);
}

#[test]
fn what_stands_in_such_a_text_is_put_right_as_anywhere() {
    for (text, expected) in [
        (r#"{"n":"5"}"#, r#"{"n":5}"#),
        (r#"{"at":"[1, 2]","x":null}"#, r#"{"at":[1, 2],"x":null}"#),
        (r#"{"n":null}"#, "{}"),
    ] {
        let body = format!("{{\"point\":{}}}", quoted(text));
        assert_eq!(sent(&wanting(), &body), format!("{{\"point\":{expected}}}"));
        let body = format!("{{\"list\":{}}}", quoted(&format!("[{}]", quoted(text))));
        assert_eq!(sent(&wanting(), &body), format!("{{\"list\":[{expected}]}}"));
    }
    let with_defaults = properties(json!({
        "o": {"type": "object", "properties": {"d": {"default": 7}, "a": {"type": "array"}}}
    }));
    let body = format!("{{\"o\":{}}}", quoted(r#"{"a":[]}"#));
    assert_eq!(sent(&with_defaults, &body), r#"{"o":{"a":[],"d":7}}"#);
}

#[test]
fn a_string_stays_one_wherever_the_schema_takes_strings() {
    let checker = properties(json!({
        "s": {"type": "string"}, "any": {}, "either": {"type": ["array", "string"]},
        "union": {"anyOf": [{"type": "object"}, {"type": "string"}]},
    }));
    for name in ["s", "any", "either", "union", "unknown"] {
        let body = format!("{{\"{name}\":{}}}", quoted(r#"{"k": 1}"#));
        assert_eq!(sent(&checker, &body), body);
    }
    // Strings are taken, though not this one: it was meant as one.
    let checker = properties(json!({
        "short": {"anyOf": [{"type": "array"}, {"type": "string", "maxLength": 2}]},
        "word": {"oneOf": [{"anyOf": [{"enum": ["a"]}, {"type": "array"}]}, {"type": "integer"}]},
    }));
    for name in ["short", "word"] {
        assert!(check(&checker, &format!("{{\"{name}\":{}}}", quoted("[1, 2]"))).is_err(), "{name}");
    }
}

#[test]
fn what_is_no_such_text_is_a_fault_and_says_what_is_wanted() {
    for text in ["a, b", "[1", "[1] [2]", "['a']", "null", r#""[1]""#, "{}", ""] {
        let body = format!("{{\"tags\":{}}}", quoted(text));
        assert_eq!(refused(&wanting(), &body), ["tags: Input should be a valid list"], "{text}");
    }
    let inside = format!("{{\"tags\":{}}}", quoted("[1]"));
    assert_eq!(refused(&wanting(), &inside), ["tags[0]: Input should be a valid string"]);
}

#[test]
fn all_arguments_may_come_as_the_text_of_their_object() {
    let checker = checker(json!({"properties": {"n": {"type": "integer"}}, "required": ["n"]}));
    assert_eq!(sent(&checker, &quoted(" {\"n\": \"5\"} ")), r#"{"n": 5}"#);
    for text in ["[1]", "5", "n", "", "{\"n\": 5", "{} {}"] {
        assert_eq!(
            refused(&checker, &quoted(text)),
            ["arguments: Input should be a valid dictionary or object to extract fields from"],
            "{text}"
        );
    }
    let unchecked = super::ArgumentChecker::compile(None);
    assert_eq!(sent(&unchecked, &quoted("{\"n\": 5}")), "{\"n\": 5}");
}

#[test]
fn texts_in_texts_are_no_deeper_than_a_body_and_no_larger_than_the_budget() {
    let deep = |depth: usize| {
        format!("{{\"tags\":{}}}", quoted(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))))
    };
    let checker = properties(json!({"tags": {"type": "array"}}));
    assert!(check(&checker, &deep(budget::DEEPEST - 1)).is_ok());
    assert_eq!(refused(&checker, &deep(budget::DEEPEST)), ["tags: Input should be a valid list"]);
    let many = |count: usize| format!("{{\"tags\":{}}}", quoted(&format!("[{}1]", "1,".repeat(count))));
    assert!(check(&checker, &many(1000)).is_ok());
    assert_eq!(refused(&checker, &many(1_000_000)), [super::UNEXPLAINED]);
}

#[test]
fn for_a_server_that_checks_itself_texts_are_read_and_nothing_else_is_changed() {
    let read = |checker: &super::ArgumentChecker, body: &str| {
        let read = checker.read_texts(&bytes::Bytes::copy_from_slice(body.as_bytes()));
        read.map(|read| String::from_utf8(read.to_vec()).unwrap())
    };
    let body = format!("{{\"tags\":{},\"point\":{}}}", quoted("[5]"), quoted(r#"{"n":"5","at":"[]"}"#));
    let expected = r#"{"tags":[5],"point":{"n":"5","at":[]}}"#;
    assert_eq!(read(&wanting(), &body).as_deref(), Some(expected), "what is wrong is for the server to say");
    for body in [r#"{"tags":["[1]"]}"#, r#"{"tags":"[1"}"#, r#"{"point":{"n":"5"}}"#, "[1]", "{bad"] {
        assert_eq!(read(&wanting(), body), None, "{body}");
    }
    assert_eq!(read(&super::ArgumentChecker::compile(None), &body), None);
}
