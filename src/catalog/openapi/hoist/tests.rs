use serde_json::{Map, json};

use super::*;

/// The components as one object, keys in order.
fn components(schema: Value) -> Value {
    let [components] = hoist(&schema, ["t"]).expect("the schema is fit");
    Value::Object(components.into_iter().collect())
}

fn unfit(schema: Value) -> Unfit {
    hoist(&schema, ["t"]).expect_err("the schema is unfit")
}

#[test]
fn definitions_become_components_and_references_follow_them() {
    for keyword in ["$defs", "definitions"] {
        let schema = json!({
            "type": "object",
            "properties": {"p": {"$ref": format!("#/{keyword}/P"), "description": "beside"}},
            keyword: {"P": {"properties": {"next": {"$ref": format!("#/{keyword}/P")}}}, "Unused": {"const": 1}},
        });
        assert_eq!(
            components(schema),
            json!({
                "t": {
                    "type": "object",
                    "properties": {"p": {"$ref": "#/components/schemas/t_P", "description": "beside"}},
                },
                "t_P": {"properties": {"next": {"$ref": "#/components/schemas/t_P"}}},
                "t_Unused": {"const": 1},
            })
        );
    }
}

#[test]
fn references_into_the_schema_itself_point_into_its_component() {
    let schema = json!({
        "properties": {
            "a": {"properties": {"k": {"$ref": "#/properties/a"}}},
            "whole": {"$ref": "#"},
            "deep": {"$ref": "#/$defs/P/properties/x"},
        },
        "$defs": {"P": {"properties": {"x": {"type": "integer"}}}},
    });
    let components = components(schema);
    let at = |pointer: &str| components.pointer(pointer).cloned().unwrap();
    assert_eq!(at("/t/properties/a/properties/k/$ref"), "#/components/schemas/t/properties/a");
    assert_eq!(at("/t/properties/whole/$ref"), "#/components/schemas/t");
    assert_eq!(at("/t/properties/deep/$ref"), "#/components/schemas/t_P/properties/x");
}

#[test]
fn targets_behind_lists_and_escapes_get_components_of_their_own() {
    let schema = json!({
        "properties": {
            "one": {"$ref": "#/anyOf/1"},
            "two": {"$ref": "#/properties/with~1slash"},
            "three": {"$ref": "#/properties/with%20space"},
            "four": {"$ref": "#/x-shared/Foo"},
            "five": {"$ref": "#/$defs/Odd%20name"},
            "with/slash": {"const": "slash"},
            "with space": {"const": "space"},
        },
        "anyOf": [true, {"properties": {"v": {"$ref": "#/anyOf/1"}}}],
        "x-shared": {"Foo": {"items": {"$ref": "#/x-shared/Foo"}}},
        "$defs": {"Odd name": {"const": "odd"}},
    });
    let components = components(schema);
    let target = |name: &str| {
        let reference = components["t"]["properties"][name]["$ref"].as_str().unwrap();
        let key = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(
            key.starts_with("t_") && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
            "{key}"
        );
        (reference.to_owned(), components[key].clone())
    };
    let (reference, one) = target("one");
    assert_eq!(one, json!({"properties": {"v": {"$ref": reference}}}));
    assert_eq!(target("two").1, json!({"const": "slash"}));
    assert_eq!(target("three").1, json!({"const": "space"}));
    let (reference, four) = target("four");
    assert_eq!(four, json!({"items": {"$ref": reference}}));
    assert_eq!(target("five").1, json!({"const": "odd"}));
    assert_eq!(
        components["t"]["x-shared"]["Foo"]["items"]["$ref"], "#/x-shared/Foo",
        "unknown keywords are data"
    );
}

#[test]
fn equal_names_in_both_kinds_of_definitions_stay_apart() {
    let components = components(json!({
        "properties": {"new": {"$ref": "#/$defs/P"}, "old": {"$ref": "#/definitions/P"}},
        "$defs": {"P": {"const": "new"}},
        "definitions": {"P": {"const": "old"}},
    }));
    for name in ["new", "old"] {
        let reference = components["t"]["properties"][name]["$ref"].as_str().unwrap();
        assert_eq!(components[reference.rsplit('/').next().unwrap()], json!({"const": name}));
    }
}

#[test]
fn anchors_and_ids_are_followed_and_ids_set_aside() {
    let components = components(json!({
        "$id": "https://example.com/root.json",
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {
            "anchored": {"$ref": "#here"},
            "absolute": {"$ref": "https://example.com/root.json#/$defs/A"},
            "relative": {"$ref": "item.json"},
        },
        "$defs": {
            "A": {"$anchor": "here", "$dynamicRef": "#here"},
            "Item": {"$id": "item.json", "properties": {"own": {"$ref": "#/properties/x"}, "x": {"const": 1}}},
        },
    }));
    let reference = |name: &str| components["t"]["properties"][name]["$ref"].clone();
    assert_eq!(reference("anchored"), "#/components/schemas/t_A");
    assert_eq!(reference("absolute"), "#/components/schemas/t_A");
    assert_eq!(reference("relative"), "#/components/schemas/t_Item");
    assert_eq!(components["t_A"], json!({"$anchor": "here", "$dynamicRef": "#here"}));
    assert_eq!(components["t_Item"]["properties"]["own"]["$ref"], "#/components/schemas/t_Item/properties/x");
    assert_eq!(components["t_Item"]["x-mcp-id"], "item.json");
    assert_eq!(components["t"]["x-mcp-id"], "https://example.com/root.json");
    assert_eq!(components["t"]["x-mcp-schema"], "http://json-schema.org/draft-07/schema#");
}

#[test]
fn references_inside_data_are_data() {
    let properties = json!({
        "a": {"const": {"$ref": "#/nowhere"}, "enum": [{"$ref": "https://example.com"}]},
        "$ref": {"default": {"$ref": "#/nowhere"}, "examples": [{"$ref": "file:x"}]},
    });
    assert_eq!(components(json!({"properties": properties}))["t"]["properties"], properties);
}

#[test]
fn true_becomes_an_empty_object_where_readers_look_for_one() {
    let components = components(json!({
        "properties": {"any": true, "none": false, "list": {"items": true}},
        "additionalProperties": true,
        "$defs": {"Any": true},
    }));
    assert_eq!(
        components["t"],
        json!({
            "properties": {"any": {}, "none": false, "list": {"items": {}}},
            "additionalProperties": true,
        })
    );
    assert_eq!(components["t_Any"], json!({}));
}

#[test]
fn discriminators_follow_their_targets_and_foreign_ones_are_set_aside() {
    let components = components(json!({
        "properties": {
            "pet": {"discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "Dog"}}},
            "other": {"discriminator": "kind", "xml": true, "externalDocs": "see there"},
        },
        "$defs": {"Cat": {}},
    }));
    assert_eq!(
        components["t"]["properties"],
        json!({
            "pet": {"discriminator": {
                "propertyName": "kind", "mapping": {"cat": "#/components/schemas/t_Cat", "dog": "Dog"}
            }},
            "other": {
                "x-mcp-discriminator": "kind", "x-mcp-xml": true, "x-mcp-externalDocs": "see there"
            },
        })
    );
}

#[test]
fn schemas_that_are_invalid_are_unfit_and_say_where() {
    for (schema, place) in [
        (json!({"properties": {"a": {"type": "str"}}}), "#/properties/a/type"),
        (json!({"properties": null}), "#/properties"),
        (json!({"properties": {"a": {"required": true}}}), "#/properties/a/required"),
        (json!({"required": true}), "#/required"),
        (json!({"properties": {"a": {"exclusiveMinimum": true}}}), "#/properties/a/exclusiveMinimum"),
        (json!({"properties": {"a": {"$ref": 5}}}), "#/properties/a/$ref"),
        (json!({"properties": {"a": {"$ref": "#/x-bad"}}, "x-bad": {"type": 1}}), "#/x-bad/type"),
    ] {
        assert_eq!(unfit(schema), Unfit::Invalid(place.to_owned()));
    }
    assert!(matches!(unfit(json!({"properties": {"a": {"items": [{}]}}})), Unfit::Invalid(_)));
}

#[test]
fn references_that_lead_nowhere_or_outside_are_unfit() {
    for reference in ["https://example.com/s.json", "file:///etc/passwd", "other.json#/$defs/A"] {
        let schema = json!({"properties": {"a": {"$ref": reference}}});
        assert_eq!(unfit(schema), Unfit::Outside(reference.to_owned()));
    }
    for reference in ["#/$defs/Missing", "#missing", "#/required", "#/%FF"] {
        let schema = json!({"properties": {"a": {"$ref": reference}}, "required": ["a"]});
        assert_eq!(unfit(schema), Unfit::Dangling(reference.to_owned()));
    }
}

#[test]
fn references_that_lead_only_to_references_are_unfit() {
    let pair = json!({"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}});
    for (schema, reference) in [
        (json!({"$ref": "#"}), "#"),
        (json!({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": pair}), "#/$defs/A"),
    ] {
        assert_eq!(unfit(schema), Unfit::Circle(reference.to_owned()));
    }
    let chain = json!({
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"properties": {"again": {"$ref": "#/$defs/A"}}}},
    });
    assert_eq!(components(chain)["t_A"], json!({"$ref": "#/components/schemas/t_B"}));
}

#[test]
fn what_costs_too_many_steps_is_told_and_not_taken_apart() {
    let numbered = |count: usize, entry: &dyn Fn(usize) -> (String, Value)| -> Value {
        Value::Object((0..count).map(entry).collect())
    };
    // A reference to each definition within each: many of them, in few bytes.
    let mesh = |count: usize| {
        let references =
            || numbered(count, &|index| (format!("p{index}"), json!({"$ref": format!("#/$defs/d{index}")})));
        let definitions =
            numbered(count, &|index| (format!("d{index}"), json!({"properties": references()})));
        json!({"properties": references(), "$defs": definitions})
    };
    assert!(hoist(&mesh(10), ["t"]).is_ok());
    assert_eq!(unfit(mesh(110)), Unfit::Costly);

    // Each target is a component of its own, and holds all that come after it.
    let mut nested = json!({"enum": (0..1_000).collect::<Vec<_>>()});
    let mut references = Map::new();
    for depth in 0..50 {
        nested = json!({"properties": {"a b": nested}});
        let pointer = "/properties/a%20b".repeat(depth + 1);
        references.insert(format!("r{depth}"), json!({"$ref": format!("#/$defs/whole{pointer}")}));
    }
    assert_eq!(unfit(json!({"properties": references, "$defs": {"whole": nested}})), Unfit::Costly);

    // No reference names any of these ids, and each id is resolved anew for each reference.
    let ids = numbered(1_000, &|index| (format!("d{index}"), json!({"$id": format!("i{index}")})));
    let relative = numbered(1_000, &|index| (format!("p{index}"), json!({"$ref": format!("./i{index}")})));
    let schema = json!({"$id": "https://a.example/", "properties": relative, "$defs": ids});
    assert_eq!(unfit(schema), Unfit::Costly);

    // A name that is part of the pointer to each of many.
    let long = "k".repeat(100_000);
    let many = numbered(500, &|index| (format!("p{index}"), json!({"type": "string"})));
    assert_eq!(unfit(json!({"properties": {long: {"properties": many}}})), Unfit::Costly);

    for pattern in ["(a{1000}){1000}", r"[^a]{9999}\w{9999}"] {
        assert_eq!(unfit(json!({"properties": {"p": {"pattern": pattern}}})), Unfit::Costly, "{pattern}");
    }
    let patterns = numbered(4_000, &|index| (format!("^p{index}_"), json!(true)));
    assert_eq!(unfit(json!({ "patternProperties": patterns })), Unfit::Costly);
}

#[test]
fn a_long_chain_of_references_is_followed_once() {
    let chain: Map<String, Value> = (0..2_000)
        .map(|index| (format!("d{index}"), json!({"$ref": format!("#/$defs/d{}", index + 1)})))
        .chain([("d2000".to_owned(), json!({"type": "string"}))])
        .collect();
    let schema = json!({"properties": {"p": {"$ref": "#/$defs/d0"}}, "$defs": chain});
    assert_eq!(hoist(&schema, ["t"]).map(|[components]| components.len()), Ok(2_002));
}
