use serde_json::{Value, json};

use super::*;

fn held(kind: Defined, definition: Value) -> Result<Option<Mended>, Flaw> {
    mended(kind, definition.as_object().unwrap())
}

/// What `definition` becomes, and what is told of it.
fn becomes(kind: Defined, definition: Value) -> (Value, Vec<String>) {
    let mended = held(kind, definition).unwrap().expect("it is mended");
    (Value::Object(mended.definition), mended.flaws.iter().map(Flaw::to_string).collect())
}

#[test]
fn what_is_as_it_should_be_stays_the_same() {
    let schema =
        json!({"type": "object", "properties": {"a": {}}, "required": ["a"], "anyOf": [{}], "x-a": null});
    let icons = json!([{"src": "data:", "sizes": ["any"], "theme": "dark", "x": 1}]);
    let annotations =
        json!({"audience": ["user"], "priority": 1, "lastModified": "2025-01-12T15:00:58Z", "x": null});
    for (kind, definition) in [
        (Defined::Tool, json!({"name": "t", "inputSchema": {"type": "object"}})),
        (
            Defined::Tool,
            json!({"name": "t", "title": "T", "description": "", "icons": icons, "inputSchema": schema,
                "outputSchema": schema, "annotations": {"title": "T", "readOnlyHint": true, "x": 1},
                "execution": {"taskSupport": "optional"}, "_meta": {"a": null}, "vendor": null}),
        ),
        (Defined::Prompt, json!({"name": "p", "arguments": [{"name": "a", "required": false}], "x": null})),
        (
            Defined::Resource,
            json!({"uri": "a:", "name": "", "size": 0, "mimeType": "", "annotations": annotations}),
        ),
        (Defined::ResourceTemplate, json!({"uriTemplate": "{x}", "name": "n", "icons": []})),
        (Defined::Implementation, json!({"name": "s", "version": "1", "websiteUrl": "https://x"})),
        (
            Defined::Capabilities,
            json!({"resources": {"subscribe": true}, "logging": {}, "extensions": {"a/b": {}}}),
        ),
    ] {
        assert_eq!(held(kind, definition.clone()), Ok(None), "{definition}");
    }
}

#[test]
fn members_that_are_null_or_of_a_wrong_type_go_and_are_told() {
    let (tool, flaws) = becomes(
        Defined::Tool,
        json!({"name": "t", "title": null, "description": 5, "icons": [{"src": 1}, {"src": "a", "theme": "red"}, 7],
            "inputSchema": {"type": "object", "required": ["a", 1], "properties": {"a": true, "b": null, "c": false, "d": {}}},
            "annotations": {"readOnlyHint": "yes", "title": null}, "execution": {"taskSupport": "never"},
            "_meta": [], "vendor": null}),
    );
    assert_eq!(
        tool,
        json!({"name": "t", "icons": [{"src": "a"}],
            "inputSchema": {"type": "object", "required": ["a"], "properties": {"a": {}, "b": {}, "c": {"not": {}}, "d": {}}},
            "annotations": {}, "execution": {}, "vendor": null})
    );
    assert_eq!(
        flaws,
        [
            "`title` is null",
            "`description` is no text",
            "`icons.src` is no text",
            "`icons.theme` is no `light` or `dark`",
            "`icons` is no object",
            "`inputSchema.properties.a` is no object",
            "`inputSchema.properties.b` is null",
            "`inputSchema.properties.c` is no object",
            "`inputSchema.required` is no text",
            "`annotations.title` is null",
            "`annotations.readOnlyHint` is no boolean",
            "`execution.taskSupport` is no `forbidden`, `optional` or `required`",
            "`_meta` is no object",
        ]
    );
}

#[test]
fn arguments_are_an_object_whatever_the_server_says() {
    for schema in
        [json!(null), json!("x"), json!({}), json!({"type": ["object", "null"]}), json!({"type": "string"})]
    {
        let (tool, _) = becomes(Defined::Tool, json!({"name": "t", "inputSchema": schema}));
        assert_eq!(tool["inputSchema"], json!({"type": "object", "properties": {}}));
    }
    let (tool, flaws) = becomes(Defined::Tool, json!({"name": "t"}));
    assert_eq!(tool["inputSchema"], json!({"type": "object", "properties": {}}));
    assert_eq!(flaws, ["`inputSchema` is missing"]);
    let union = json!({"name": "t", "inputSchema": {"oneOf": [{"required": ["a"]}]}});
    let (tool, _) = becomes(Defined::Tool, union);
    assert_eq!(
        tool["inputSchema"],
        json!({"oneOf": [{"required": ["a"]}], "type": "object", "properties": {}})
    );
}

fn output(schema: Value) -> Option<Value> {
    let definition = json!({"name": "t", "inputSchema": {"type": "object"}, "outputSchema": schema});
    match held(Defined::Tool, definition).unwrap() {
        None => Some(schema),
        Some(mended) => mended.definition.get("outputSchema").cloned(),
    }
}

#[test]
fn an_output_schema_is_that_of_an_object_or_goes() {
    for (schema, said) in [
        (json!({"properties": {}}), json!({"properties": {}, "type": "object"})),
        (json!({"type": ["object", "null"]}), json!({"type": "object"})),
        (json!({"$id": "urn:x", "type": "object"}), json!({"type": "object"})),
        (json!({"type": "object", "required": null}), json!({"type": "object"})),
        (
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}}),
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object"}}, "type": "object"}),
        ),
    ] {
        assert_eq!(output(schema.clone()), Some(said), "{schema}");
    }
    let union = json!({"anyOf": [{"type": "object"}, {"properties": {"a": {}}}]});
    assert_eq!(output(union).unwrap()["type"], "object");
    for schema in [
        json!(null),
        json!({}),
        json!({"description": "whatever"}),
        json!({"type": "array"}),
        json!({"anyOf": [{"type": "object"}, {"type": "null"}]}),
        json!({"$ref": "#"}),
        json!({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}),
    ] {
        assert_eq!(output(schema.clone()), None, "{schema}");
    }
}

#[test]
fn an_output_schema_that_a_client_could_not_compile_goes() {
    let of = |property: Value| json!({"type": "object", "properties": {"a": property}});
    for good in [
        json!({"enum": ["a"]}),
        json!({"pattern": "^a$"}),
        json!({"$ref": "#"}),
        json!({"type": "string", "nullable": true}),
        json!({"const": {"id": 1}}),
        json!({"properties": {"id": {"type": "string"}, "$id": {"type": "string"}}}),
    ] {
        assert!(output(of(good.clone())).is_some(), "{good}");
    }
    for bad in [
        json!({"type": "str"}),
        json!({"enum": []}),
        json!({"pattern": "("}),
        json!({"patternProperties": {"(": {}}}),
        json!({"$ref": "#/$defs/Ghost"}),
        json!({"$ref": "https://example.com/s.json"}),
        json!({"nullable": true}),
        json!({"id": "x"}),
        json!({"$id": "x"}),
        json!({"minimum": 1, "exclusiveMinimum": true}),
        json!({"required": true}),
        json!({"items": [{}]}),
        json!({"properties": {"b": null}}),
    ] {
        assert!(output(of(bad.clone())).is_none(), "{bad}");
    }
    let dialect = |uri: &str| json!({"$schema": uri, "type": "object", "properties": {"a": {"items": [{}]}}});
    assert!(output(dialect("http://json-schema.org/draft-07/schema#")).is_some());
    assert!(output(dialect("http://json-schema.org/draft-04/schema#")).is_none());
}

#[test]
fn results_that_are_no_object_are_described_to_clients_without_sessions() {
    let schema = json!({"type": "array", "items": {}, "$id": "urn:x"});
    let definition = json!({"name": "t", "inputSchema": {"type": "object"}, "outputSchema": schema});
    let mended = held(Defined::Tool, definition).unwrap().unwrap();
    assert_eq!(mended.any_output, Some(json!({"type": "array", "items": {}})));
    assert!(!mended.definition.contains_key("outputSchema"));
}

#[test]
fn names_are_made_of_what_is_there_and_what_has_none_is_left_out() {
    assert_eq!(becomes(Defined::Resource, json!({"uri": "a:1"})).0, json!({"uri": "a:1", "name": "a:1"}));
    let template = json!({"uriTemplate": "a:{x}", "name": 5});
    assert_eq!(
        becomes(Defined::ResourceTemplate, template).0,
        json!({"uriTemplate": "a:{x}", "name": "a:{x}"})
    );
    let implementation = becomes(Defined::Implementation, json!({"name": "s", "version": 2})).0;
    assert_eq!(implementation, json!({"name": "s", "version": ""}));
    for (kind, definition, flaw) in [
        (Defined::Prompt, json!({"title": "P"}), "`name` is missing"),
        (Defined::Prompt, json!({"name": null}), "`name` is null"),
        (Defined::Resource, json!({"name": "r", "uri": 5}), "`uri` is no text"),
        (Defined::ResourceTemplate, json!({"name": "r"}), "`uriTemplate` is missing"),
    ] {
        assert_eq!(held(kind, definition).unwrap_err().to_string(), flaw);
    }
}

#[test]
fn sizes_are_whole_numbers_and_shares_lie_between_0_and_1() {
    let resource = |member: &str, value: Value| {
        let mut definition = json!({"uri": "a:", "name": "n"});
        definition[member] = value;
        let sent = definition.clone();
        held(Defined::Resource, definition).unwrap().map_or(sent, |mended| mended.definition.into())[member]
            .clone()
    };
    for (sent, said) in [
        (json!(5), json!(5)),
        (json!(5.0), json!(5)),
        (json!(5.5), json!(null)),
        (json!(-1), json!(null)),
        (json!(1e300), json!(null)),
        (json!(u64::MAX), json!(null)),
        (json!("5"), json!(null)),
    ] {
        assert_eq!(resource("size", sent), said);
    }
    for (sent, said) in
        [(json!(0.5), json!({"priority": 0.5})), (json!(2), json!({})), (json!("x"), json!({}))]
    {
        assert_eq!(resource("annotations", json!({ "priority": sent })), said);
    }
}
