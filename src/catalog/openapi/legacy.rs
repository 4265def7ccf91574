//! Translates schemas of earlier drafts into 2020-12, the dialect of documents.

use serde_json::{Map, Value};

use crate::catalog::earlier_drafts::respelled;
use crate::catalog::subschemas::{holds, map};

/// `schema` with what earlier drafts spell differently respelled at any depth.
pub(super) fn translate(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let respelled = respelled(members);
    let translated = respelled.as_ref().unwrap_or(members).iter().map(|(keyword, value)| {
        let value = match holds(keyword) {
            Some(holds) => map(holds, value, &mut translate),
            None => value.clone(),
        };
        (keyword.clone(), value)
    });
    Value::Object(translated.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tuples_and_exclusive_bounds_are_respelled_at_any_depth() {
        let old = json!({"properties": {
            "pair": {"items": [{"type": "string"}, {"items": [true]}], "additionalItems": false, "maxItems": 2},
            "open": {"minimum": 0, "exclusiveMinimum": true, "maximum": 9, "exclusiveMaximum": false},
        }});
        let new = json!({"properties": {
            "pair": {"prefixItems": [{"type": "string"}, {"prefixItems": [true]}], "items": false, "maxItems": 2},
            "open": {"exclusiveMinimum": 0, "maximum": 9},
        }});
        assert_eq!(translate(&old), new);
    }

    #[test]
    fn what_is_current_stays_as_it_is() {
        let schema = json!({
            "properties": {"items": {"items": {"type": "string"}}, "n": {"exclusiveMinimum": 0, "minimum": 1}},
            "additionalItems": false,
            "default": {"items": [1]},
        });
        assert_eq!(translate(&schema), schema);
    }
}
