//! Respells schemas of earlier drafts in 2020-12: widespread generators still write draft-07 tuples and draft-04
//! exclusive bounds, and such a tool deserves better than a permissive object.

use serde_json::{Map, Value};

/// One schema in the spelling of 2020-12; `None` when it needs no change.
///
/// That is tuples in `items` (with `additionalItems`), and `true` or `false` in `exclusiveMinimum` and `exclusiveMaximum`.
/// All else stays, valid or not; so do the schemas inside.
pub fn respelled(schema: &Map<String, Value>) -> Option<Map<String, Value>> {
    let is_tuple = schema.get("items").is_some_and(Value::is_array);
    let is_flag = |keyword: &str| schema.get(keyword).is_some_and(Value::is_boolean);
    if !is_tuple && !is_flag("exclusiveMinimum") && !is_flag("exclusiveMaximum") {
        return None;
    }
    let is_exclusive = |keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let mut respelled = Map::with_capacity(schema.len());
    for (keyword, value) in schema {
        let keyword = match (keyword.as_str(), value) {
            // 2020-12 has no empty tuple, and it says nothing.
            ("items", Value::Array(items)) if items.is_empty() => continue,
            ("items", Value::Array(_)) => "prefixItems",
            ("additionalItems", _) if is_tuple => "items",
            ("minimum", _) if is_exclusive("exclusiveMinimum") => "exclusiveMinimum",
            ("maximum", _) if is_exclusive("exclusiveMaximum") => "exclusiveMaximum",
            ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(_)) => continue,
            (keyword, _) => keyword,
        };
        respelled.insert(keyword.to_owned(), value.clone());
    }
    Some(respelled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tuples_and_exclusive_bounds_are_respelled() {
        for (old, new) in [
            (
                json!({"items": [{"items": [true]}], "additionalItems": false, "maxItems": 2}),
                json!({"prefixItems": [{"items": [true]}], "items": false, "maxItems": 2}),
            ),
            (json!({"type": "array", "items": []}), json!({"type": "array"})),
            (json!({"items": [], "additionalItems": false}), json!({"items": false})),
            (
                json!({"minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false}),
                json!({"exclusiveMinimum": 0, "maximum": 9}),
            ),
        ] {
            assert_eq!(respelled(old.as_object().unwrap()).map(Value::Object), Some(new), "{old}");
        }
        for current in
            [json!({"items": {}, "additionalItems": false}), json!({"exclusiveMinimum": 0, "minimum": 1})]
        {
            assert_eq!(respelled(current.as_object().unwrap()), None, "{current}");
        }
    }
}
