//! Recorded and observed answers in one form, and their comparison.
//!
//! Patterns in wanted bodies: `{"$like": "start*end", "$atMost": 64}` is a string with one free stretch;
//! `{"$mentions": ["text", ..]}` is anything whose JSON holds the texts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::document::projection;
use crate::support::Answer;

/// The headers that the contract speaks of; others may differ.
const HEADERS: [&str; 6] = [
    "content-type",
    "www-authenticate",
    "allow",
    "location",
    "access-control-allow-origin",
    "access-control-allow-credentials",
];

/// What is compared of an answer.
#[derive(Debug, Clone)]
pub struct Observed {
    pub status: u16,
    /// JSON, a document's projection, or the text.
    pub body: Value,
    pub headers: BTreeMap<String, String>,
}

impl Observed {
    /// The answer of the gateway under test.
    pub fn of(answer: &Answer, is_document: bool) -> Self {
        let mut headers = BTreeMap::new();
        for name in HEADERS {
            let values = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
            let value = match name {
                "www-authenticate" => schemes(values),
                _ => values.collect::<Vec<_>>().join(", "),
            };
            if answer.headers.contains_key(name) {
                headers.insert(name.to_owned(), value);
            }
        }
        let kind = answer.header("content-type").unwrap_or_default();
        let body = if kind.starts_with("application/json") && !answer.body.is_empty() {
            answer.json()
        } else if kind.starts_with("text/html") && answer.text().contains("<html") {
            json!("(an HTML page)")
        } else {
            Value::String(answer.text())
        };
        Self { status: answer.status, body, headers }.normal(is_document)
    }

    /// The `mcpo` member of a recorded pair.
    pub fn recorded(answer: &Value, is_document: bool) -> Self {
        let status = answer["status"].as_u64().map_or(0, |status| u16::try_from(status).unwrap());
        let mut headers = BTreeMap::new();
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            headers.insert(name.clone(), value.as_str().unwrap().to_owned());
        }
        let body = ["json", "text", "exception"].iter().find_map(|key| answer.get(key)).cloned();
        Self { status, body: body.unwrap_or_default(), headers }.normal(is_document)
    }

    fn normal(mut self, is_document: bool) -> Self {
        if is_document && self.body.get("openapi").is_some() {
            self.body = projection(&self.body);
        }
        mask(&mut self.body);
        if let Some(location) = self.headers.get_mut("location")
            && let Some(rest) = location.strip_prefix("http://")
        {
            *location = rest[rest.find('/').unwrap_or(rest.len())..].to_owned();
        }
        self
    }

    /// What differs from `wanted`, one sentence a field.
    pub fn differences(&self, wanted: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.status != wanted.status {
            differences.push(format!("status {} instead of {}", self.status, wanted.status));
        }
        if self.headers != wanted.headers {
            differences.push(format!("headers {:?} instead of {:?}", self.headers, wanted.headers));
        }
        compare_values("body", &wanted.body, &self.body, &mut differences);
        differences
    }
}

/// The schemes of challenges, as mcpo names them: in one header, without their parameters.
fn schemes<'a>(challenges: impl Iterator<Item = &'a str>) -> String {
    let schemes: Vec<&str> = challenges.filter_map(|challenge| challenge.split(' ').next()).collect();
    schemes.join(", ")
}

/// Whether `wanted` says something else than `recorded`.
pub fn changes(wanted: &Value, recorded: &Value) -> bool {
    let mut differences = Vec::new();
    compare_values("", wanted, recorded, &mut differences);
    !differences.is_empty()
}

/// Applies a JSON merge patch in which a pattern counts as one value.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if members.keys().any(|key| key.starts_with('$')) || !target.is_object() {
        *target = patch.clone();
        return;
    }
    for (key, value) in members {
        let object = target.as_object_mut().expect("seen to be an object");
        if value.is_null() {
            object.shift_remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn compare_values(at: &str, wanted: &Value, actual: &Value, differences: &mut Vec<String>) {
    match (wanted, actual) {
        (Value::Object(pattern), _) if pattern.contains_key("$like") => {
            let (start, end) = pattern["$like"].as_str().unwrap().split_once('*').unwrap();
            let longest = pattern.get("$atMost").map_or(u64::MAX, |limit| limit.as_u64().unwrap());
            let fits = actual.as_str().is_some_and(|text| {
                let most = usize::try_from(longest).unwrap_or(usize::MAX);
                text.len() <= most
                    && text.len() >= start.len() + end.len()
                    && text.starts_with(start)
                    && text.ends_with(end)
            });
            if !fits {
                differences.push(format!("{at}: {actual} is not like {wanted}"));
            }
        }
        (Value::Object(pattern), _) if pattern.contains_key("$mentions") => {
            let text = actual.to_string();
            for mention in pattern["$mentions"].as_array().unwrap() {
                if !text.contains(mention.as_str().unwrap()) {
                    differences.push(format!("{at}: {text} does not mention {mention}"));
                }
            }
        }
        (Value::Object(wanted), Value::Object(actual)) => {
            for (key, value) in wanted {
                compare_values(
                    &format!("{at}/{key}"),
                    value,
                    actual.get(key).unwrap_or(&Value::Null),
                    differences,
                );
            }
            for (key, value) in actual.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
                differences.push(format!("{at}/{key}: {} is not wanted", shortened(value)));
            }
        }
        (Value::Array(wanted), Value::Array(actual)) if wanted.len() == actual.len() => {
            for (index, (wanted, actual)) in wanted.iter().zip(actual).enumerate() {
                compare_values(&format!("{at}/{index}"), wanted, actual, differences);
            }
        }
        _ if wanted == actual => {}
        _ => differences.push(format!("{at}: {} instead of {}", shortened(actual), shortened(wanted))),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 300 { text.chars().take(300).chain(['…']).collect() } else { text }
}

/// Puts a fixed word where the answer holds the time of the call.
fn mask(value: &mut Value) {
    match value {
        Value::String(text) if is_instant(text) => *text = "(an instant)".to_owned(),
        Value::Array(elements) => elements.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (key, member) in members {
                if key == "day_of_week" && member.is_string() {
                    *member = json!("(a day)");
                } else {
                    mask(member);
                }
            }
        }
        _ => {}
    }
}

/// `2026-11-22T18:59:40+00:00`
fn is_instant(text: &str) -> bool {
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    text.len() == 25 && text.bytes().map(shape).eq(*b"0000-00-00T00:00:00+00:00")
}

#[test]
fn a_pattern_accepts_what_fits_and_refuses_what_does_not() {
    let pattern = json!({ "id": { "$like": "tool_*_post", "$atMost": 12 } });
    assert!(!changes(&pattern, &json!({ "id": "tool_ab_post" })));
    assert!(changes(&pattern, &json!({ "id": "tool_abc_post" })), "too long");
    assert!(changes(&pattern, &json!({ "id": "tool_ab_get" })));
    assert!(!changes(&json!({ "$mentions": ["502"] }), &json!({ "detail": "status 502" })));
    assert!(changes(&json!({ "$mentions": ["502"] }), &json!({ "detail": "status 500" })));
    assert!(changes(&json!(33), &json!(33.0)), "whole numbers stay whole");
}

#[test]
fn only_instants_are_masked() {
    let mut value = json!(["2026-11-22T18:59:40+00:00", "2026-11-22", { "day_of_week": "Sunday" }]);
    mask(&mut value);
    assert_eq!(value, json!(["(an instant)", "2026-11-22", { "day_of_week": "(a day)" }]));
}
