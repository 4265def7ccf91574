//! JSON values that count how often they are looked at.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, SerdeJson, cmp};
use serde_json::{Map, Number, Value};

use super::meter::{METER, TextCharge, spend};

/// For each value that is copied into an error, on top of a step.
const COPY: u64 = 16;
/// For each error, whatever its value.
const ERROR: u64 = 100;
/// For each visit of a recursive reference: the validator keeps its outcome in memory until the check ends.
const KEPT: u64 = 32;
/// Bytes of text that are looked through within one step.
const BYTES_A_STEP: u64 = 64;

/// The representation for validators.
#[derive(Debug)]
pub struct MeteredJson;

/// A value that counts how often it is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Metered<'a>(pub &'a Value);

#[derive(Debug)]
pub struct MeteredObject<'a>(&'a Map<String, Value>);

#[derive(Debug)]
pub struct MeteredArray<'a>(&'a [Value]);

#[derive(Debug)]
pub struct MeteredMembers<'a>(serde_json::map::Iter<'a>);

#[derive(Debug)]
pub struct MeteredElements<'a>(std::slice::Iter<'a, Value>);

impl Json for MeteredJson {
    type Node<'a> = Metered<'a>;
    type PreparedKey = String;
    type StringBuffer = Value;

    // As for the values themselves.
    const KEYS_PER_LOOKUP: usize = SerdeJson::KEYS_PER_LOOKUP;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut Value, string: &str, f: impl FnOnce(Metered<'_>) -> T) -> T {
        if let Value::String(name) = buffer {
            name.clear();
            name.push_str(string);
        } else {
            *buffer = Value::String(string.to_owned());
        }
        f(Metered(buffer))
    }
}

impl<'a> Node<'a, MeteredJson> for Metered<'a> {
    type Object = MeteredObject<'a>;
    type Array = MeteredArray<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<MeteredObject<'a>> {
        spend(1);
        self.0.as_object().map(MeteredObject)
    }

    fn as_array(&self) -> Option<MeteredArray<'a>> {
        spend(1);
        self.0.as_array().map(|elements| MeteredArray(elements))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let Value::String(text) = self.0 else {
            spend(1);
            return None;
        };
        METER.with(|meter| meter.spend(of_text(text, meter.charges.get().text)));
        Some(Cow::Borrowed(text))
    }

    fn as_number(&self) -> Option<&'a Number> {
        spend(1);
        self.0.as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        spend(1);
        self.0.as_bool()
    }

    fn is_null(&self) -> bool {
        spend(1);
        self.0.is_null()
    }

    fn is_number(&self) -> bool {
        spend(1);
        self.0.is_number()
    }

    fn json_type(&self) -> JsonType {
        spend(1);
        Node::<SerdeJson>::json_type(&self.0)
    }

    fn string_length(&self) -> Option<u64> {
        spend_on_bytes(self.0.as_str());
        Node::<SerdeJson>::string_length(&self.0)
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        spend_on_bytes(self.0.as_str());
        Node::<SerdeJson>::string_length_within(&self.0, min, max)
    }

    fn equals_value(&self, expected: &Value) -> bool {
        equal(self.0, expected)
    }

    /// For errors, which copy it when they are those of an alternative.
    fn to_value(&self) -> Cow<'a, Value> {
        METER.with(|meter| meter.spend(ERROR + meter.charges.get().path));
        spend_on_copy(self.0);
        Cow::Borrowed(self.0)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        spend(1);
        Some(NodeIdentity::new(std::ptr::from_ref(self.0).addr()))
    }

    fn container_identity(&self) -> Option<NodeIdentity> {
        spend(KEPT);
        Node::<SerdeJson>::container_identity(&self.0)
    }
}

impl<'a> Object<'a, MeteredJson> for MeteredObject<'a> {
    type Node = Metered<'a>;
    type MemberName = &'a str;
    type MembersIter = MeteredMembers<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<Metered<'a>> {
        METER.with(|meter| meter.spend(1 + meter.charges.get().child));
        Object::<SerdeJson>::get(&self.0, key).map(Metered)
    }

    fn members(&self) -> MeteredMembers<'a> {
        MeteredMembers(self.0.iter())
    }
}

impl<'a> Array<'a, MeteredJson> for MeteredArray<'a> {
    type Node = Metered<'a>;
    type ElementsIter = MeteredElements<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> MeteredElements<'a> {
        MeteredElements(self.0.iter())
    }

    fn is_unique(&self) -> bool {
        let mut seen = HashSet::with_capacity(self.0.len());
        self.0.iter().all(|element| seen.insert(Distinct(element)))
    }
}

impl<'a> Iterator for MeteredMembers<'a> {
    type Item = (&'a str, Metered<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.next()?;
        METER.with(|meter| {
            let charges = meter.charges.get();
            meter.spend(charges.child.saturating_add(of_text(name, charges.name)));
        });
        Some((name, Metered(value)))
    }
}

impl<'a> Iterator for MeteredElements<'a> {
    type Item = Metered<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        METER.with(|meter| meter.spend(1 + meter.charges.get().child));
        self.0.next().map(Metered)
    }
}

/// An element of a list whose elements are all to differ.
///
/// The validator's own hash of a value is the same for `[[1],2]` and `[1,[2]]`: thousands of such elements would all be
/// compared with one another.
struct Distinct<'a>(&'a Value);

impl PartialEq for Distinct<'_> {
    fn eq(&self, other: &Self) -> bool {
        equal(self.0, other.0)
    }
}

impl Eq for Distinct<'_> {}

impl Hash for Distinct<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        spend(COPY);
        std::mem::discriminant(self.0).hash(state);
        match self.0 {
            Value::Null => {}
            Value::Bool(truth) => truth.hash(state),
            // 1 and 1.0 are equal, and so are 0 and -0.0.
            Value::Number(number) => number.as_f64().map(|number| (number + 0.0).to_bits()).hash(state),
            Value::String(text) => {
                spend_on_bytes(Some(text));
                text.hash(state);
            }
            Value::Array(elements) => {
                elements.len().hash(state);
                elements.iter().for_each(|element| Distinct(element).hash(state));
            }
            // The order of members means nothing.
            Value::Object(members) => {
                let mut names: Vec<&String> = members.keys().collect();
                names.sort_unstable();
                names.len().hash(state);
                for name in names {
                    spend_on_bytes(Some(name));
                    name.hash(state);
                    Distinct(&members[name]).hash(state);
                }
            }
        }
    }
}

/// Whether two values are equal as JSON Schema has it: 1 is 1.0, and the order of members means nothing.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            spend(1);
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            spend(1);
            let same = |(name, value): (&String, &Value)| {
                spend_on_bytes(Some(name));
                right.get(name).is_some_and(|other| equal(value, other))
            };
            left.len() == right.len() && left.iter().all(same)
        }
        (left, right) => {
            spend_on_bytes(left.as_str());
            cmp::equal(left, right)
        }
    }
}

fn of_text(text: &str, charge: TextCharge) -> u64 {
    let length = text.len() as u64;
    (1 + length / BYTES_A_STEP).saturating_add(charge.each).saturating_add(charge.byte.saturating_mul(length))
}

fn spend_on_bytes(text: Option<&str>) {
    spend(1 + text.map_or(0, |text| text.len() as u64 / BYTES_A_STEP));
}

fn spend_on_copy(value: &Value) {
    spend(COPY);
    match value {
        Value::String(text) => spend_on_bytes(Some(text)),
        Value::Array(elements) => elements.iter().for_each(spend_on_copy),
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            spend_on_bytes(Some(name));
            spend_on_copy(value);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_are_told_apart_by_what_they_are() {
        let is_unique = |value: &Value| MeteredArray(value.as_array().unwrap()).is_unique();
        for (elements, expected) in [
            (json!([[[1], 2], [1, [2]], [1, 2], [[1, 2]]]), true),
            (json!([1, 1.0]), false),
            (json!([0, -0.0]), false),
            (json!([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]), false),
            (json!([{"a": 1}, {"a": 2}, {}, [], "", null, false, 0]), true),
            (json!(["a", "b", "a"]), false),
        ] {
            assert_eq!(is_unique(&elements), expected, "{elements}");
        }
    }
}
