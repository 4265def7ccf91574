use serde_json::{Map, Value, json};

use super::accepted::accepted;
use super::strict::strict;

fn strict_of(schema: Value) -> Option<Value> {
    strict(schema.as_object().unwrap()).map(Value::Object)
}

/// A property's schema as it stands in the strict form, when it is required, and when it may be left out.
fn property(schema: Value) -> (Value, Value) {
    let of = |required: Value| {
        let whole = json!({ "type": "object", "properties": { "p": schema.clone() }, "required": required });
        let strict = strict_of(whole).unwrap_or_else(|| panic!("{schema} cannot be made strict"));
        strict["properties"]["p"].clone()
    };
    (of(json!(["p"])), of(json!([])))
}

#[test]
fn every_object_is_closed_and_asks_for_all_its_properties() {
    let inner = json!({ "type": "object", "properties": { "b": { "type": "string" } } });
    let schema = json!({ "$schema": "x", "type": "object", "title": "T", "required": ["a"],
        "properties": { "a": inner, "l": { "type": "array", "items": inner, "minItems": 1, "uniqueItems": true } } });
    let closed = json!({ "type": "object", "properties": { "b": { "type": ["string", "null"] } }, "required": ["b"],
        "additionalProperties": false });
    assert_eq!(
        strict_of(schema).unwrap(),
        json!({ "type": "object", "title": "T", "required": ["a", "l"], "additionalProperties": false, "properties": {
            "a": closed,
            "l": { "type": ["array", "null"], "items": closed, "minItems": 1, "description": "uniqueItems: true" } } })
    );
}

#[test]
fn what_may_be_left_out_may_be_null_and_nothing_twice() {
    for (schema, required, optional) in [
        (json!({"type": "string"}), json!({"type": "string"}), json!({"type": ["string", "null"]})),
        (
            json!({"type": ["string", "null"]}),
            json!({"type": ["string", "null"]}),
            json!({"type": ["string", "null"]}),
        ),
        (
            json!({"type": ["integer", "string"], "minimum": 1, "maxLength": 3, "description": "d"}),
            json!({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}], "description": "d (maxLength: 3)"}),
            json!({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}, {"type": "null"}], "description": "d (maxLength: 3)"}),
        ),
        (
            json!({"enum": ["a", "b"], "description": "d"}),
            json!({"type": "string", "enum": ["a", "b"], "description": "d"}),
            json!({"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}], "description": "d"}),
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null, "title": "T"}),
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "T"}),
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "title": "T"}),
        ),
        (
            json!({"oneOf": [{"type": "integer"}, {"const": "all"}]}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string", "enum": ["all"]}]}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string", "enum": ["all"]}, {"type": "null"}]}),
        ),
        (
            json!({"type": "integer", "default": 5, "description": "how many"}),
            json!({"type": "integer", "description": "how many (default: 5)"}),
            json!({"type": ["integer", "null"], "description": "how many (default: 5)"}),
        ),
        (
            json!({"type": "string", "format": "uri", "pattern": "^(?=h)"}),
            json!({"type": "string", "description": "format: uri, pattern: \"^(?=h)\""}),
            json!({"type": ["string", "null"], "description": "format: uri, pattern: \"^(?=h)\""}),
        ),
        (
            json!({"type": "string", "format": "date", "pattern": "^2"}),
            json!({"type": "string", "format": "date", "pattern": "^2"}),
            json!({"type": ["string", "null"], "format": "date", "pattern": "^2"}),
        ),
    ] {
        assert_eq!(property(schema.clone()), (required, optional), "{schema}");
    }
}

#[test]
fn definitions_are_kept_where_they_are_used_also_in_circles() {
    let schema = json!({ "type": "object", "properties": {
            "tree": { "$ref": "#/definitions/Node", "description": "the root" }, "other": { "allOf": [{ "$ref": "#/definitions/Node" }] } },
        "required": ["tree", "other"],
        "definitions": {
            "Node": { "type": "object", "properties": { "next": { "$ref": "#/definitions/Node" } } },
            "Unused": { "type": "object" } } });
    let node = json!({ "$ref": "#/$defs/Node" });
    assert_eq!(
        strict_of(schema).unwrap(),
        json!({ "type": "object", "additionalProperties": false, "required": ["tree", "other"],
            "properties": { "tree": { "anyOf": [node], "description": "the root" }, "other": node },
            "$defs": { "Node": { "type": "object", "additionalProperties": false, "required": ["next"],
                "properties": { "next": { "anyOf": [node, { "type": "null" }] } } } } })
    );
}

#[test]
fn a_tool_without_arguments_is_strict() {
    for schema in [json!({"type": "object"}), json!({"type": "object", "properties": {}})] {
        let none = json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
        assert_eq!(strict_of(schema).unwrap(), none);
    }
}

#[test]
fn what_the_subset_cannot_say_is_not_made_strict() {
    for schema in [
        json!({}),
        json!(true),
        json!({"type": "object"}),
        json!({"type": "object", "additionalProperties": {"type": "string"}}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": true}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]}),
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {"type": "string"}}}),
        json!({"type": "array"}),
        json!({"type": "array", "items": [{"type": "string"}]}),
        json!({"type": "array", "items": {"type": "string"}, "prefixItems": [{"type": "integer"}]}),
        json!({"type": "string", "not": {"const": "x"}}),
        json!({"allOf": [{"type": "string"}, {"minLength": 2}]}),
        json!({"type": "string", "anyOf": [{"format": "date"}, {"format": "time"}]}),
        json!({"$ref": "#/$defs/Missing"}),
        json!({"$ref": "https://example.org/schema"}),
        json!({"enum": ["a", 1]}),
        json!({"enum": [["a"]]}),
        json!({"enum": []}),
        json!({"minLength": 3}),
    ] {
        let whole = json!({ "type": "object", "properties": { "p": schema }, "required": ["p"] });
        assert_eq!(strict_of(whole), None, "{schema}");
    }
    for root in [
        json!({"type": "object", "anyOf": [{"required": ["a"]}]}),
        json!({"type": "string"}),
        json!({"type": "object", "if": {}}),
    ] {
        assert_eq!(strict_of(root.clone()), None, "{root}");
    }
}

#[test]
fn what_is_over_openais_limits_is_not_made_strict() {
    let nested = |depth: usize| {
        let leaf = json!({ "type": "object", "properties": { "p": { "type": "string" } } });
        (1..depth).fold(leaf, |inner, _| json!({ "type": "object", "properties": { "p": inner } }))
    };
    assert!(strict_of(nested(10)).is_some());
    assert!(strict_of(nested(11)).is_none());
    let wide = |count: usize| {
        let properties: serde_json::Map<String, Value> =
            (0..count).map(|index| (format!("p{index}"), json!({ "type": "null" }))).collect();
        json!({ "type": "object", "properties": properties })
    };
    assert!(strict_of(wide(5_000)).is_some());
    assert!(strict_of(wide(5_001)).is_none());
    let listed = |count: usize, length: usize| {
        let values: Vec<String> =
            (0..count).map(|index| format!("{index:04}{}", "x".repeat(length - 4))).collect();
        json!({ "type": "object", "properties": { "p": { "enum": values } } })
    };
    assert!(strict_of(listed(1_000, 14)).is_some());
    assert!(strict_of(listed(1_001, 14)).is_none());
    assert!(strict_of(listed(251, 60)).is_none());
    assert!(strict_of(listed(250, 61)).is_some());
    assert!(strict_of(listed(1, 130_000)).is_none());
}

#[test]
fn parameters_of_any_function_are_an_object_with_properties() {
    let of = |schema: Value| Value::Object(accepted(schema.as_object()));
    assert_eq!(of(json!({})), json!({"type": "object", "properties": {}}));
    assert_eq!(of(json!(null)), json!({"type": "object", "properties": {}}));
    assert_eq!(
        of(
            json!({"type": "object", "properties": {"l": {"type": "array"}, "t": {"type": ["array", "null"]}}})
        ),
        json!({"type": "object", "properties": {"l": {"type": "array", "items": {}}, "t": {"type": ["array", "null"], "items": {}}}})
    );
    let free = json!({"type": "object", "properties": {"o": {"type": "object"}}, "additionalProperties": true, "x-y": 1});
    assert_eq!(of(free.clone()), free);
}

#[test]
fn alternatives_at_the_root_become_properties_and_words() {
    let schema = json!({ "type": "object", "properties": { "a": { "type": "string" } }, "description": "d",
        "anyOf": [{ "required": ["a"] }, { "properties": { "b": { "type": "integer" } }, "required": ["b"] }],
        "allOf": [{ "properties": { "c": {} }, "required": ["c"] }] });
    let shown = Value::Object(accepted(schema.as_object()));
    assert_eq!(
        shown["properties"],
        json!({ "a": { "type": "string" }, "b": { "type": "integer" }, "c": {} })
    );
    assert_eq!(shown["required"], json!(["c"]));
    assert!(
        shown["description"].as_str().unwrap().starts_with("d (anyOf: [{\"required\":[\"a\"]}"),
        "{shown}"
    );
    assert!(shown.get("anyOf").is_none() && shown.get("allOf").is_none());
    let referring =
        json!({ "$ref": "#/$defs/A", "$defs": { "A": { "type": "object", "properties": { "a": {} } } } });
    assert_eq!(Value::Object(accepted(referring.as_object()))["properties"], json!({ "a": {} }));
}

#[test]
fn references_that_double_at_each_step_end() {
    let mut definitions: Map<String, Value> = (0..60)
        .map(|index| {
            let next = json!({ "$ref": format!("#/$defs/d{}", index + 1) });
            (format!("d{index}"), json!({ "anyOf": [next, next] }))
        })
        .collect();
    definitions.insert("d60".into(), json!({ "type": "string" }));
    let schema =
        json!({ "type": "object", "properties": { "p": { "$ref": "#/$defs/d0" } }, "$defs": definitions });
    assert_eq!(strict_of(schema), None);
}
