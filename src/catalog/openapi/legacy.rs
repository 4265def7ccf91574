//! Schemas of earlier drafts in the words of 2020-12: widespread generators still write draft-07 tuples and
//! draft-04 exclusive bounds, and a tool that has one deserves better than a permissive object.

use serde_json::{Map, Value};

use super::keyword;

/// `schema` with what earlier drafts spell differently respelled: tuples in `items` (with `additionalItems`), and
/// `true` or `false` in `exclusiveMinimum` and `exclusiveMaximum`. All else stays, valid or not.
pub(super) fn translate(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let is_tuple = members.get("items").is_some_and(Value::is_array);
    let mut translated = Map::new();
    for (keyword, value) in members {
        let children = || match keyword::holds(keyword) {
            Some(holds) => keyword::map(holds, value, &mut translate),
            None => value.clone(),
        };
        let (keyword, value) = match (keyword.as_str(), value) {
            ("items", Value::Array(_)) => ("prefixItems", children()),
            ("additionalItems", _) if is_tuple => ("items", children()),
            ("minimum", _) if is_exclusive(members, "exclusiveMinimum") => {
                ("exclusiveMinimum", value.clone())
            }
            ("maximum", _) if is_exclusive(members, "exclusiveMaximum") => {
                ("exclusiveMaximum", value.clone())
            }
            ("exclusiveMinimum" | "exclusiveMaximum", Value::Bool(_)) => continue,
            (keyword, _) => (keyword, children()),
        };
        translated.insert(keyword.to_owned(), value);
    }
    Value::Object(translated)
}

fn is_exclusive(members: &Map<String, Value>, keyword: &str) -> bool {
    members.get(keyword) == Some(&Value::Bool(true))
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
