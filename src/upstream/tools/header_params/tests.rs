use serde_json::json;

use super::*;
use crate::upstream::tools::header_values::values_in;

fn all_of(schema: Value) -> Result<Vec<String>, InvalidAnnotation> {
    let definition = json!({ "name": "t", "inputSchema": schema });
    let params = HeaderParam::all_of(definition.as_object().unwrap())?;
    let shown = |param: &HeaderParam| format!("{} {:?} {}", param.path.join("."), param.kind, param.header);
    Ok(params.iter().map(shown).collect())
}

fn with(property: Value) -> Value {
    json!({ "type": "object", "properties": { "a": property } })
}

#[test]
fn annotated_properties_are_found_at_any_depth() {
    let schema = json!({ "type": "object", "properties": {
        "region": { "type": "string", "x-mcp-header": "Region" },
        "plain": { "type": "number" },
        "nested": { "type": "object", "properties": {
            "count": { "type": "integer", "x-mcp-header": "a!#$%&'*+-.^_`|~9" },
            "properties": { "type": "boolean", "x-mcp-header": "Sure" },
        } },
    } });
    let found = all_of(schema).unwrap();
    assert_eq!(
        found,
        [
            "region String mcp-param-region",
            "nested.count Integer mcp-param-a!#$%&'*+-.^_`|~9",
            "nested.properties Boolean mcp-param-sure",
        ]
    );
}

#[test]
fn what_only_looks_like_an_annotation_is_none() {
    for schema in [
        json!({}),
        json!({ "properties": { "x-mcp-header": { "type": "string" } } }),
        with(json!({ "type": "object", "default": { "x-mcp-header": "" } })),
        with(json!({ "const": { "x-mcp-header": "" }, "examples": [{ "x-mcp-header": "" }] })),
        json!({ "properties": ["x-mcp-header"], "required": ["x-mcp-header"] }),
    ] {
        assert_eq!(all_of(schema.clone()), Ok(Vec::new()), "{schema}");
    }
    assert_eq!(HeaderParam::all_of(&Map::new()), Ok(Box::default()));
}

#[test]
fn names_that_no_header_can_have_are_invalid() {
    let place = || "`a`".to_owned();
    let long = "x".repeat(70_000);
    for name in
        ["", "My Region", "Region:Primary", "Région", "Region\t1", "a\r\nb", "a/b", "\u{7f}", long.as_str()]
    {
        let fault = all_of(with(json!({ "type": "string", "x-mcp-header": name })));
        assert_eq!(fault, Err(InvalidAnnotation::Name { place: place() }), "{} bytes", name.len());
    }
    for name in [json!(null), json!(1), json!(["Region"])] {
        let fault = all_of(with(json!({ "type": "string", "x-mcp-header": name })));
        assert_eq!(fault, Err(InvalidAnnotation::Name { place: place() }), "{name}");
    }
}

#[test]
fn only_texts_integers_and_booleans_can_be_said_in_headers() {
    for kind in ["number", "object", "array", "null", "text"] {
        let fault = all_of(with(json!({ "type": kind, "x-mcp-header": "A" })));
        assert_eq!(fault, Err(InvalidAnnotation::Type { place: "`a`".into() }), "{kind}");
    }
    let untyped =
        [json!({ "x-mcp-header": "A" }), json!({ "type": ["string", "null"], "x-mcp-header": "A" })];
    for property in untyped {
        assert_eq!(all_of(with(property)), Err(InvalidAnnotation::Type { place: "`a`".into() }));
    }
}

#[test]
fn two_arguments_cannot_share_a_header() {
    let schema = |second: &str| {
        json!({ "properties": {
            "a": { "type": "string", "x-mcp-header": "MyField" },
            "b": { "properties": { "c": { "type": "string", "x-mcp-header": second } } },
        } })
    };
    for second in ["MyField", "myfield"] {
        assert_eq!(all_of(schema(second)), Err(InvalidAnnotation::Taken { place: "`b.c`".into() }));
    }
    assert!(all_of(schema("Other")).is_ok());
}

#[test]
fn an_annotation_off_the_chain_of_properties_is_invalid() {
    let annotated = json!({ "type": "string", "x-mcp-header": "A" });
    let below = json!({ "properties": { "b": annotated } });
    for keyword in [
        "additionalProperties",
        "additionalItems",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    ] {
        for schema in [&annotated, &below] {
            let fault = all_of(with(json!({ keyword: schema })));
            assert!(matches!(fault, Err(InvalidAnnotation::Unreachable { .. })), "{keyword}: {fault:?}");
        }
    }
    for keyword in ["allOf", "anyOf", "items", "oneOf", "prefixItems"] {
        let fault = all_of(json!({ keyword: [true, below] }));
        assert!(matches!(fault, Err(InvalidAnnotation::Unreachable { .. })), "{keyword}: {fault:?}");
    }
    for keyword in ["$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties"] {
        let fault = all_of(json!({ keyword: { "x": annotated } }));
        assert_eq!(fault, Err(InvalidAnnotation::Unreachable { place: "`x`".into() }), "{keyword}");
    }
    assert!(matches!(all_of(annotated), Err(InvalidAnnotation::Unreachable { .. })));
}

#[test]
fn a_value_is_read_at_its_path_and_null_is_none() {
    let definition = json!({ "inputSchema": { "properties": {
        "a": { "properties": { "b": { "type": "string", "x-mcp-header": "B" } } },
    } } });
    let params = HeaderParam::all_of(definition.as_object().unwrap()).unwrap();
    let values = |text: &str| values_in(&params, text.as_bytes()).unwrap();
    assert_eq!(values(r#"{"a":{"b":"x"}}"#), [Some(json!("x"))]);
    for without in ["{}", r#"{"a":null}"#, r#"{"a":{"b":null}}"#, r#"{"a":"b"}"#] {
        assert_eq!(values(without), [None], "{without}");
    }
}
