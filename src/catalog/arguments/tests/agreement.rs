//! The validator decides over values that count how often they are looked at as it does over any.

use serde_json::{Value, json};

use super::super::{ArgumentChecker, Rules};

/// Draws schemas and values out of few names and numbers, so that they often have to do with one another.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn name(&mut self) -> String {
        ["a", "b", "ab", "n"][self.below(4) as usize].to_owned()
    }

    fn value(&mut self, depth: u64) -> Value {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(3)),
            3 => json!(self.below(3) as f64 / 2.0),
            4 => json!(self.name()),
            5 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object((0..self.below(4)).map(|_| (self.name(), self.value(depth - 1))).collect()),
        }
    }

    fn schema(&mut self, depth: u64) -> Value {
        if depth == 0 || self.below(8) == 0 {
            return [json!(true), json!(false), json!({}), json!({"$ref": "#/$defs/n"})]
                [self.below(4) as usize]
                .clone();
        }
        let mut schema = serde_json::Map::new();
        for _ in 0..=self.below(3) {
            let (keyword, value) = self.keyword(depth - 1);
            schema.insert(keyword.to_owned(), value);
        }
        Value::Object(schema)
    }

    fn keyword(&mut self, depth: u64) -> (&'static str, Value) {
        let kinds = ["null", "boolean", "integer", "number", "string", "array", "object"];
        match self.below(25) {
            0..4 => ("type", json!([kinds[self.below(7) as usize], kinds[(self.below(6) as usize + 1) % 7]])),
            4 => ("enum", json!([self.value(2), {"own": 1}])),
            5 => ("const", self.value(2)),
            6 => ("minLength", json!(self.below(3))),
            7 => ("maximum", json!(1)),
            8 => ("pattern", json!(["^a", "b$", "(?=a)a", "a{2}"][self.below(4) as usize])),
            9 => ("required", json!([self.name()])),
            10 => ("uniqueItems", json!(true)),
            11 => ("minItems", json!(self.below(3))),
            12 => ("multipleOf", json!(0.5)),
            13 => ("items", self.schema(depth)),
            14 => ("prefixItems", json!([self.schema(depth)])),
            15 => ("contains", self.schema(depth)),
            16 => ("propertyNames", self.schema(depth)),
            17 => ("not", self.schema(depth)),
            18 => (
                ["additionalProperties", "unevaluatedProperties"][self.below(2) as usize],
                self.schema(depth),
            ),
            19 => ("patternProperties", json!({"^a": self.schema(depth)})),
            20 => ("dependentSchemas", json!({self.name(): self.schema(depth)})),
            21 => ("if", self.schema(depth)),
            22 => (["then", "else"][self.below(2) as usize], self.schema(depth)),
            23 => (
                ["allOf", "anyOf", "oneOf"][self.below(3) as usize],
                json!([self.schema(depth), self.schema(depth)]),
            ),
            _ => ("properties", json!({self.name(): self.schema(depth), self.name(): self.schema(depth)})),
        }
    }
}

#[test]
fn counting_changes_no_verdict() {
    let (mut draw, mut refused) = (Draw(7), 0);
    for round in 0..3000 {
        let schema = json!({"properties": {"x": draw.schema(4)}, "$defs": {"n": draw.schema(3)}});
        let arguments = json!({ "x": draw.value(4) });
        let Rules::Validated(rules) = ArgumentChecker::compile(schema.as_object()).rules else { continue };
        let plain = jsonschema::options().should_validate_formats(false).build(&schema).unwrap();
        let is_valid = rules.schema.is_valid(&arguments);
        assert_eq!(is_valid, plain.is_valid(&arguments), "round {round}: {schema} {arguments}");
        let errors = rules.schema.errors_in(&arguments).len();
        assert_eq!(errors, plain.iter_errors(&arguments).count(), "round {round}: {schema} {arguments}");
        refused += usize::from(!is_valid);
    }
    assert!((300..2700).contains(&refused), "{refused} of 3000 are refused: it says little");
}
