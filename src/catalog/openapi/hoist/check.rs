//! Whether a schema is valid JSON Schema 2020-12, its patterns included.

use serde_json::{Value, json};

use super::budget::{Budget, Unfit};
use crate::catalog::weight::weight;

/// Checks the schema at `pointer` of the whole one.
pub(super) fn check(schema: &Value, pointer: &str, budget: &Budget) -> Result<(), Unfit> {
    budget.spend(weight(schema))?;
    jsonschema::draft202012::meta::validate(schema)
        .map_err(|error| Unfit::Invalid(format!("#{pointer}{}", error.instance_path())))?;
    check_patterns(schema, &mut pointer.to_owned(), budget)
}

/// The meta-schema takes any string for a pattern; readers of the document compile them.
fn check_patterns(schema: &Value, path: &mut String, budget: &Budget) -> Result<(), Unfit> {
    let Value::Object(members) = schema else {
        let mut items = schema.as_array().into_iter().flatten();
        return items.try_for_each(|item| check_patterns(item, path, budget));
    };
    for (key, value) in members {
        let length = path.len();
        path.extend(["/", key]);
        match (key.as_str(), value) {
            ("pattern", Value::String(pattern)) => compiles(pattern, path, budget)?,
            ("patternProperties", Value::Object(patterns)) => {
                patterns.keys().try_for_each(|pattern| compiles(pattern, path, budget))?;
                check_patterns(value, path, budget)?;
            }
            _ => check_patterns(value, path, budget)?,
        }
        path.truncate(length);
    }
    Ok(())
}

fn compiles(pattern: &str, path: &str, budget: &Budget) -> Result<(), Unfit> {
    budget.spend_on_pattern(pattern)?;
    let compiled = jsonschema::draft202012::new(&json!({ "pattern": pattern }));
    compiled.map(drop).map_err(|_| Unfit::Invalid(format!("#{path}")))
}
