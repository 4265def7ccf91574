//! Schemas and arguments that are made to take ever longer, and that end all the same.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::budget::Limit;
use super::super::{ArgumentChecker, Checked, Steps, Stop};

/// For one check at once, which takes a millisecond or two when it is compiled for release and alone.
const GENEROUS: Duration = Duration::from_secs(3);

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({}), |inner, _| json!({ "a": inner }))
}

/// `x` is a node, which may refer to itself.
fn recursive(node: Value) -> Value {
    json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/n"}}, "$defs": {"n": node}})
}

fn x(schema: Value) -> Value {
    json!({"type": "object", "properties": {"x": schema}})
}

fn named(count: usize, name: impl Fn(usize) -> String, value: impl Fn(usize) -> Value) -> Value {
    Value::Object((0..count).map(|number| (name(number), value(number))).collect())
}

fn compiled(schema: &Value) -> ArgumentChecker {
    let began = Instant::now();
    let checker = ArgumentChecker::compile(schema.as_object());
    assert!(began.elapsed() < 5 * GENEROUS, "compiling took {:?}", began.elapsed());
    checker
}

/// The limit that switches validation off before there are arguments.
fn limit(schema: &Value) -> Option<Limit> {
    compiled(schema).check(Bytes::from_static(b"{}")).unwrap().unvalidated
}

#[test]
fn checks_that_take_long_are_stopped_where_requests_are_served() {
    let again = || json!({"$ref": "#/$defs/n"});
    let a = || json!({"properties": {"a": again()}});
    let deep = json!({ "x": nested(60) });
    let numbers = |count: usize| json!({ "x": (0..count).collect::<Vec<_>>() });
    let unequal = |count: usize| {
        // The brackets differ, and all else is equal.
        let element = |number: usize| {
            (0..12).map(move |bit| if number >> bit & 1 == 0 { json!(1) } else { json!([1]) })
        };
        json!({ "x": (0..count).map(|number| element(number).collect::<Value>()).collect::<Vec<_>>() })
    };
    let mut cheap = Vec::new();
    let mut unevaluated = json!({"properties": {"k0": {}}});
    for level in 1..24 {
        unevaluated = json!({"allOf": [unevaluated], "properties": {format!("k{level}"): {}}, "unevaluatedProperties": {}});
    }
    for (kind, schema, arguments) in [
        (
            "anyOf",
            recursive(
                json!({"anyOf": [{"allOf": [a(), {"minProperties": 5}]}, {"allOf": [a(), {"minProperties": 6}]}]}),
            ),
            deep.clone(),
        ),
        (
            "a chain of unevaluatedProperties",
            x(unevaluated),
            json!({"x": named(2000, |n| format!("z{n}"), |n| json!(n))}),
        ),
        (
            "patternProperties",
            json!({"patternProperties": named(200, |n| format!("^(k{n}|j{n})+$"), |_| json!({})), "additionalProperties": false}),
            named(1000, |n| format!("zz{n}"), |n| json!(n)),
        ),
        (
            "propertyNames",
            json!({"propertyNames": {"pattern": "^(?=(a+)+$)\\w+$"}}),
            named(100, |n| format!("{}{n}", "a".repeat(30)), |n| json!(n)),
        ),
        (
            "enum of objects",
            x(json!({"items": {"enum": (0..2000).map(|n| json!({"k": n})).collect::<Vec<_>>()}})),
            json!({"x": vec![json!({"k": -1}); 200]}),
        ),
        (
            "const",
            x(json!({"items": {"const": vec![1; 1000]}})),
            json!({"x": vec![json!(vec![1; 1000]); 30]}),
        ),
        ("uniqueItems", x(json!({"uniqueItems": true})), numbers(10_000)),
        ("uniqueItems that hash alike", x(json!({"uniqueItems": true})), unequal(1500)),
        (
            "contains",
            x(
                json!({"allOf": (0..500).map(|n| json!({"contains": {"const": -1 - n}, "minContains": 0})).chain([json!({"contains": {"const": -7}})]).collect::<Vec<_>>()}),
            ),
            numbers(2000),
        ),
        (
            "anyOf that looks at nothing",
            x(json!({"items": {"allOf": vec![json!({}); 20_000]}})),
            numbers(5000),
        ),
        (
            "dependentSchemas",
            recursive(
                json!({"properties": {"a": again()}, "dependentSchemas": {"a": {"allOf": vec![json!({"maxProperties": 5}); 3000]}}}),
            ),
            deep.clone(),
        ),
        (
            "a pattern that steps back",
            x(json!({"items": {"pattern": "^(a+)+\\1$"}})),
            json!({"x": vec![format!("{}!", "a".repeat(30)); 50]}),
        ),
        (
            "a pattern of thousands of states",
            x(json!({"pattern": "([01]{0,99}a?){0,60}[01]{300}z$"})),
            json!({"x": "01".repeat(20_000)}),
        ),
        (
            "defaults that are large",
            x(json!({"items": {"properties": {"d": {"default": "d".repeat(10_000)}}}})),
            json!({"x": vec![json!({}); 100]}),
        ),
    ] {
        let checker = compiled(&schema);
        let body = Bytes::from(arguments.to_string());
        assert!(checker.validates() && body.len() < crate::compute::LARGE, "{kind}: {} bytes", body.len());
        let began = Instant::now();
        let outcome = checker.check_at_once(body);
        assert!(began.elapsed() < GENEROUS, "{kind} took {:?}", began.elapsed());
        if !matches!(outcome, Ok(None)) {
            cheap.push(kind);
        }
    }
    assert!(cheap.is_empty(), "not stopped: {cheap:?}");
}

#[test]
fn arguments_that_take_too_many_steps_are_passed_on_and_that_is_told_once() {
    let checker =
        compiled(&x(json!({"items": {"enum": (0..500).map(|n| json!({"k": n})).collect::<Vec<_>>()}})));
    let body = Bytes::from(json!({"x": vec![json!({"k": -1}); 500]}).to_string());
    let Err(Stop::Over(limit)) = checker.check_within(Steps(100_000), body.clone()) else { panic!() };
    assert_eq!(limit, Limit::Steps);
    let told = |limit| checker.unvalidated(body.clone(), limit).unvalidated;
    assert_eq!(
        [told(limit), told(limit), told(Limit::Memory)],
        [Some(Limit::Steps), None, Some(Limit::Memory)]
    );
}

#[test]
fn schemas_that_would_take_too_much_are_not_compiled() {
    let all = |count: usize| (0..count).map(|n| json!({"$ref": format!("#/$defs/n{n}")})).collect::<Vec<_>>();
    let chain = |length: usize| {
        named(
            length,
            |n| format!("n{n}"),
            |n| json!({"allOf": [{"$ref": format!("#/$defs/n{}", (n + 1).min(length - 1))}]}),
        )
    };
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({"properties": {"default": deep}});
    }
    for (kind, schema, expected) in [
        (
            "many patterns",
            json!({"properties": named(6000, |n| format!("p{n}"), |n| json!({"pattern": format!("^(?i)x{n}\\w{{40}}$")}))}),
            Some(Limit::Patterns),
        ),
        ("a pattern", x(json!({"pattern": "((a{1,1000}){1,1000}){1,1000}"})), Some(Limit::Patterns)),
        (
            "paths of unevaluatedProperties",
            json!({"anyOf": all(12), "unevaluatedProperties": false, "$defs": named(12, |n| format!("n{n}"), |_| json!({"anyOf": all(12)}))}),
            Some(Limit::Schema),
        ),
        ("a chain of references", json!({"$ref": "#/$defs/n0", "$defs": chain(400)}), Some(Limit::Schema)),
        (
            "an endless chain of references",
            json!({"$ref": "#/$defs/n0", "$defs": chain(20_000)}),
            Some(Limit::Schema),
        ),
        (
            "an enum of an early draft",
            json!({"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"a": {"enum": (0..3000).map(|n| json!([n])).collect::<Vec<_>>()}}}),
            Some(Limit::Schema),
        ),
        (
            "a default of a node",
            json!({"properties": {"x": {"$ref": "#/$defs/n", "default": nested(60)}}, "$defs": {"n": {"anyOf": [{"properties": {"a": {"$ref": "#/$defs/n"}}, "minProperties": 5}, {"properties": {"a": {"$ref": "#/$defs/n"}}, "minProperties": 6}]}}}),
            Some(Limit::Defaults),
        ),
        (
            "many required names",
            json!({"properties": named(5000, |n| format!("p{n}"), |n| json!({"default": n})), "required": (0..5000).map(|n| format!("q{n}")).collect::<Vec<_>>()}),
            Some(Limit::Defaults),
        ),
        ("properties that are called like keywords", deep, None),
    ] {
        assert_eq!(limit(&schema), expected, "{kind}");
    }
}

#[test]
fn large_arguments_are_read_only_when_there_is_room_for_what_they_become() {
    let (free, held) = (ArgumentChecker::compile(None), compiled(&x(json!({}))));
    let numbers = Bytes::from(format!("{{\"x\":[{}1]}}", "1,".repeat(1 << 20)));
    let text = Bytes::from(json!({"x": "y".repeat(1 << 20)}).to_string());
    let passed = |unvalidated, arguments: &Bytes| Ok(Checked { arguments: arguments.clone(), unvalidated });
    assert_eq!(held.check(numbers.clone()), passed(Some(Limit::Memory), &numbers));
    assert_eq!(held.check(text.clone()), passed(None, &text));
    assert_eq!(free.check(numbers.clone()), passed(None, &numbers));
    for checker in [&free, &held] {
        let cut = checker.check(numbers.slice(..numbers.len() - 1)).unwrap_err();
        assert_eq!(cut.faults[0].message, "Expecting ',' delimiter");
        assert!(checker.check(numbers.slice(5..numbers.len() - 1)).is_err());
    }
}

#[test]
fn ordinary_schemas_are_checked_at_once() {
    let filter = json!({"anyOf": [
        {"type": "object", "properties": {"and": {"type": "array", "items": {"$ref": "#/$defs/n"}}}, "required": ["and"], "additionalProperties": false},
        {"type": "object", "properties": {"not": {"$ref": "#/$defs/n"}}, "required": ["not"], "additionalProperties": false},
        {"type": "object", "properties": {"field": {"type": "string"}, "value": {}}, "required": ["field"]},
    ]});
    let leaf = json!({"field": "f", "value": 1});
    let pod = x(json!({"type": "array", "items": {"type": "object", "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63},
        "ports": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 65535}, "uniqueItems": true},
    }, "required": ["name"], "additionalProperties": false}}));
    let pods = json!({"x": vec![json!({"name": "a-pod-with-a-name", "ports": [80, 443]}); 50]});
    for (schema, body, is_valid) in [
        (
            recursive(filter.clone()),
            json!({"x": {"and": [leaf, {"not": {"and": vec![leaf.clone(); 20]}}]}}),
            true,
        ),
        (recursive(filter), json!({"x": {"and": [{"field": 7}]}}), false),
        (pod.clone(), pods, true),
        (pod, json!({"x": [{"name": "Upper"}]}), false),
    ] {
        let outcome = compiled(&schema).check_at_once(Bytes::from(body.to_string()));
        match outcome {
            Ok(Some(checked)) => assert!(is_valid && checked.unvalidated.is_none(), "{body}"),
            Ok(None) => panic!("{body} takes too long"),
            Err(_) => assert!(!is_valid, "{body}"),
        }
    }
}

#[test]
fn the_faults_of_an_alternative_and_of_unwanted_members_are_as_few_as_others() {
    let wrong = named(5000, |n| format!("p{n}"), |n| json!(n));
    let strings = named(5000, |n| format!("p{n}"), |_| json!({"type": "string"}));
    for schema in [
        x(json!({"anyOf": [{"type": "object", "properties": strings}, {"type": "null"}]})),
        x(
            json!({"anyOf": [{"type": "object", "properties": {}, "additionalProperties": false}, {"type": "null"}]}),
        ),
    ] {
        let checker = compiled(&schema);
        let body = Bytes::from(json!({ "x": wrong }).to_string());
        let began = Instant::now();
        assert_eq!(checker.check(body).unwrap_err().faults.len(), super::super::report::MOST_FAULTS);
        assert!(began.elapsed() < GENEROUS, "explaining took {:?}", began.elapsed());
    }
}
