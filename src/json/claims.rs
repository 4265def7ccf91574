//! Claims of a token: members of its JSON object.

use serde_json::{Map, Value};

/// The claim `name`; `a.b` is the member `b` of the claim `a` where no claim has the whole name.
pub fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let nested = || {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
    };
    claims.get(name).or_else(nested)
}

/// A claim as text: a list is its elements with commas between them; `None` for an object or `null`.
pub fn claim_text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(claim.to_string()),
        Value::Array(items) => Some(items.iter().map(claim_text).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Null | Value::Object(_) => None,
    }
}
