//! Whether a schema is valid JSON Schema 2020-12, its patterns included.

use serde_json::{Value, json};

use super::budget::{Budget, Unfit};
use crate::catalog::weight::weight;

/// Checks the schema at `pointer` of the whole one.
pub(super) fn check(schema: &Value, pointer: &str, budget: &Budget) -> Result<(), Unfit> {
    budget.spend(weight(schema))?;
    jsonschema::draft202012::meta::validate(schema)
        .map_err(|error| Unfit::Invalid(format!("#{pointer}{}", error.instance_path())))?;
    check_patterns(schema, budget).map_err(|bad| match bad {
        BadPattern::At(path) => Unfit::Invalid(format!("#{pointer}{path}")),
        BadPattern::Costly(unfit) => unfit,
    })
}

enum BadPattern {
    /// Does not compile; the path from the schema that was looked at.
    At(String),
    Costly(Unfit),
}

/// The meta-schema takes any string for a pattern; readers of the document compile them.
fn check_patterns(schema: &Value, budget: &Budget) -> Result<(), BadPattern> {
    let compiles = |pattern: &str| {
        budget.spend_on_pattern(pattern).map_err(BadPattern::Costly)?;
        let compiled = jsonschema::draft202012::new(&json!({ "pattern": pattern }));
        compiled.map(drop).map_err(|_| BadPattern::At(String::new()))
    };
    match schema {
        Value::Object(members) => members.iter().try_for_each(|(key, value)| {
            let checked = match (key.as_str(), value) {
                ("pattern", Value::String(pattern)) => compiles(pattern),
                ("patternProperties", Value::Object(patterns)) => patterns
                    .keys()
                    .try_for_each(|pattern| compiles(pattern))
                    .and_then(|()| check_patterns(value, budget)),
                _ => check_patterns(value, budget),
            };
            checked.map_err(|bad| match bad {
                BadPattern::At(path) => BadPattern::At(format!("/{key}{path}")),
                costly @ BadPattern::Costly(_) => costly,
            })
        }),
        Value::Array(items) => items.iter().try_for_each(|item| check_patterns(item, budget)),
        _ => Ok(()),
    }
}
