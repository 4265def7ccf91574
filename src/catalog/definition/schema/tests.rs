use serde_json::{Value, json};

use super::*;
use crate::catalog::definition::{Defined, Flaw, mended};

/// What clients get of `schema`, and what is told of it.
fn becomes(schema: &Value) -> (Value, Vec<String>) {
    let definition = json!({"name": "t", "inputSchema": schema});
    match mended(Defined::Tool, definition.as_object().unwrap()).unwrap() {
        None => (schema.clone(), Vec::new()),
        Some(mended) => {
            let flaws = mended.flaws.iter().map(Flaw::to_string).collect();
            (mended.definition["inputSchema"].clone(), flaws)
        }
    }
}

/// What clients get of an argument that is described so, and what is told of it.
fn argument(schema: Value) -> (Value, Vec<String>) {
    let whole = json!({"type": "object", "properties": {"x": schema}, "$defs": {"A": {"type": "string"}}});
    let (whole, flaws) = becomes(&whole);
    (whole["properties"]["x"].clone(), flaws)
}

/// A schema with each keyword of 2020-12.
fn full() -> Value {
    json!({
        "$schema": CURRENT, "$id": "urn:x", "$comment": "c", "type": "object", "title": "T", "description": "D",
        "$defs": {"A": {"$anchor": "a", "type": "string"}, "B": {"$dynamicAnchor": "b"}},
        "properties": {
            "text": {"type": ["string", "null"], "minLength": 1, "maxLength": 2.0, "pattern": "^a", "format": "uri",
                "contentEncoding": "base64", "contentMediaType": "image/png", "enum": ["a", null], "default": null},
            "number": {"type": "number", "minimum": 0, "maximum": 9.5, "exclusiveMinimum": -1, "exclusiveMaximum": 10,
                "multipleOf": 0.5, "const": 5, "examples": [5], "deprecated": true, "readOnly": false, "writeOnly": false},
            "list": {"type": "array", "prefixItems": [{}], "items": {"$ref": "#/$defs/A"}, "contains": {}, "minItems": 0,
                "maxItems": 1, "uniqueItems": true, "minContains": 0, "maxContains": 1, "unevaluatedItems": false},
            "any": {"anyOf": [{"$ref": "#a"}], "oneOf": [{"$dynamicRef": "#b"}], "allOf": [{"$ref": "#"}], "not": {}, "if": {}, "then": {}, "else": {}},
        },
        "required": ["text"], "additionalProperties": false, "patternProperties": {"^x": {}}, "propertyNames": {},
        "minProperties": 0, "maxProperties": 9, "unevaluatedProperties": {}, "dependentSchemas": {"a": {}},
        "dependentRequired": {"a": ["b"]}, "definitions": {"C": {}}, "dependencies": {"a": ["b"], "c": {}}, "x-vendor": null,
    })
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let mut step = |name: &str, value| pointers(value, &format!("{at}/{name}"), found);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| step(name, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| step(&index.to_string(), value));
        }
        _ => {}
    }
}

#[test]
fn a_schema_that_is_as_it_should_be_stays_the_same() {
    assert_eq!(becomes(&full()), (full(), Vec::new()));
}

#[test]
fn whatever_stands_where_it_should_not_clients_get_a_valid_schema_and_nothing_more_changes() {
    let mut found = Vec::new();
    pointers(&full(), "", &mut found);
    let wrong = [
        json!(null),
        json!(true),
        json!(-1.5),
        json!("any"),
        json!([]),
        json!([null]),
        json!(["x", "x"]),
        json!({}),
        json!({"x": null}),
        json!({"x": ["y", 5]}),
    ];
    let mut mended = 0;
    for pointer in found.iter().filter(|pointer| !pointer.is_empty()) {
        for value in &wrong {
            let mut sent = full();
            *sent.pointer_mut(pointer).unwrap() = value.clone();
            let (got, flaws) = becomes(&sent);
            let valid = jsonschema::draft202012::meta::validate(&got).map_err(|error| error.to_string());
            assert_eq!(valid, Ok(()), "{value} at {pointer}: {got}");
            assert_eq!(becomes(&got), (got.clone(), Vec::new()), "{value} at {pointer}");
            let are_told_once = flaws.len() <= 1 || pointer.starts_with("/$defs");
            assert!(are_told_once, "{value} at {pointer}: {flaws:?}");
            // What is beside it stays.
            let beside = |whole: &Value| {
                (whole["title"].clone(), whole["x-vendor"].clone(), whole["minProperties"].clone())
            };
            let is_beside = !["/title", "/x-vendor", "/minProperties"].contains(&pointer.as_str());
            assert!(!is_beside || beside(&got) == beside(&full()), "{value} at {pointer}: {got}");
            mended += usize::from(got != sent);
        }
    }
    assert!(mended > 400, "{mended}");
}

#[test]
fn what_is_wrong_deep_inside_goes_and_is_told() {
    for (sent, got, flaw) in [
        (json!({"type": "any"}), json!({}), "`inputSchema.properties.x.type` is no type of JSON Schema"),
        (
            json!({"type": null, "title": "X"}),
            json!({"title": "X"}),
            "`inputSchema.properties.x.type` is null",
        ),
        (json!({"required": true}), json!({}), "`inputSchema.properties.x.required` is no list of names"),
        (
            json!({"pattern": "^\\p{L}$"}),
            json!({}),
            "`inputSchema.properties.x.pattern` is no regular expression that each client reads",
        ),
        (json!({"enum": []}), json!({}), "`inputSchema.properties.x.enum` is no list of values"),
        (json!({"minLength": "1"}), json!({}), "`inputSchema.properties.x.minLength` is no whole number"),
        (json!({"anyOf": []}), json!({}), "`inputSchema.properties.x.anyOf` is no list of schemas"),
        (
            json!({"anyOf": [{}, null]}),
            json!({"anyOf": [{}, {}]}),
            "`inputSchema.properties.x.anyOf` is null",
        ),
        (json!({"items": "string"}), json!({}), "`inputSchema.properties.x.items` is no schema"),
        (
            json!({"properties": {"y": "a"}}),
            json!({"properties": {"y": {}}}),
            "`inputSchema.properties.x.properties.y` is no schema",
        ),
        (
            json!({"not": {"description": 5}}),
            json!({"not": {}}),
            "`inputSchema.properties.x.not.description` is no text",
        ),
    ] {
        assert_eq!(argument(sent.clone()), (got, vec![flaw.to_owned()]), "{sent}");
    }
}

#[test]
fn what_says_the_same_in_words_that_readers_know_is_not_told() {
    for (sent, got) in [
        (json!({"items": true}), json!({"items": {}})),
        (json!({"oneOf": [false, {}]}), json!({"oneOf": [{"not": {}}, {}]})),
        (
            json!({"items": [{}], "additionalItems": false}),
            json!({"prefixItems": [{}], "items": {"not": {}}}),
        ),
        (json!({"minimum": 1, "exclusiveMinimum": true}), json!({"exclusiveMinimum": 1})),
        (json!({"type": ["string", "string"]}), json!({"type": ["string"]})),
    ] {
        assert_eq!(argument(sent.clone()), (got, Vec::new()), "{sent}");
    }
    let tuple = json!({"items": [{}]});
    let of = |dialect: &str| json!({"$schema": dialect, "type": "object", "properties": {"x": tuple}});
    assert_eq!(becomes(&of("http://json-schema.org/draft-07/schema#")).0.get("$schema"), None);
    assert_eq!(becomes(&of(CURRENT)).0["$schema"], CURRENT);
}

#[test]
fn references_that_lead_nowhere_go() {
    for reference in ["#/$defs/A", "#", "#a-name"] {
        assert_eq!(argument(json!({"$ref": reference})).0, json!({"$ref": reference}));
    }
    for reference in ["#/$defs/Ghost", "#/$defs/A/type", "https://example.com/s.json", "other.json", ""] {
        let (got, flaws) = argument(json!({"$ref": reference, "title": "X"}));
        assert_eq!(got, json!({"title": "X"}), "{reference}");
        assert_eq!(flaws, ["`inputSchema.properties.x.$ref` is no reference to a schema within"]);
    }
    let named =
        json!({"type": "object", "properties": {"x": {"$ref": "a.json"}}, "$defs": {"A": {"$id": "a.json"}}});
    assert_eq!(becomes(&named), (named, Vec::new()));
    let own = json!({"$id": "urn:x", "type": "object", "properties": {"x": {"$ref": "urn:x#/$defs/A"}}, "$defs": {"A": {}}});
    assert_eq!(becomes(&own), (own, Vec::new()));
}

#[test]
fn an_argument_of_a_name_that_some_readers_trip_over_is_described_as_a_pattern() {
    let schema = |more: Value| {
        let mut schema = json!({"type": "object", "properties": {"constructor": {"type": "string"}, "a": {}},
            "required": ["constructor"], "additionalProperties": false});
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    let (got, flaws) = becomes(&schema(json!({})));
    let said = json!({"type": "object", "properties": {"a": {}}, "required": ["constructor"], "additionalProperties": false,
        "patternProperties": {"^constructor$": {"type": "string"}}});
    assert_eq!((got, flaws), (said, Vec::new()));
    let (got, _) =
        becomes(&schema(json!({"patternProperties": {"^constructor$": {"minLength": 1}, "b": {}}})));
    let both = json!({"^constructor$": {"allOf": [{"type": "string"}, {"minLength": 1}]}, "b": {}});
    assert_eq!(got["patternProperties"], both);
    let nested = json!({"type": "object", "properties": {"a": {"properties": {"constructor": {}}}}});
    assert_eq!(becomes(&nested).0, nested);

    let definition = json!({"name": "t", "inputSchema": {"type": "object"}, "outputSchema": schema(json!({})),
        "_meta": {"constructor": 1, "b": 2}});
    let tool = mended(Defined::Tool, definition.as_object().unwrap()).unwrap().unwrap().definition;
    assert_eq!(tool["outputSchema"]["patternProperties"], json!({"^constructor$": {"type": "string"}}));
    assert_eq!(tool["_meta"], json!({"b": 2}));
}
