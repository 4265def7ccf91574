//! The weight of a JSON value: the cost of taking it apart.

use serde_json::{Map, Value};

/// Bytes of text that count as one value.
pub const TEXT: usize = 64;

/// Its values, and its text in portions of [`TEXT`].
pub fn weight(value: &Value) -> usize {
    match value {
        Value::Object(members) => weight_of_members(members),
        Value::Array(items) => 1 + items.iter().map(weight).sum::<usize>(),
        Value::String(text) => 1 + text.len() / TEXT,
        _ => 1,
    }
}

/// The weight of an object.
pub fn weight_of_members(members: &Map<String, Value>) -> usize {
    1 + members.iter().map(|(key, member)| key.len() / TEXT + weight(member)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn weight_is_of_values_and_of_text() {
        assert_eq!(weight(&json!({"a": [1, null], "b": "short"})), 5);
        assert_eq!(weight(&json!("x".repeat(TEXT * 9))), 10);
        assert_eq!(weight(&json!({ "x".repeat(TEXT * 9): true })), 11);
    }
}
