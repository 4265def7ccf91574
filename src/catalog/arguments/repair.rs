//! The few changes that repair refused arguments without losing anything, driven by the validator's errors.
//!
//! A string that is exactly the JSON text of a wanted number or boolean becomes that number or boolean, digit for
//! digit; one that is the JSON text of a list or object becomes that where no string may stand; a null where none is
//! allowed is taken out, when the member may be left out. Models send all three all day.
//! Nothing else is guessed: `true` is not 1, `"yes"` is not `true`, and a string is never made of anything.

use std::collections::HashSet;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::metered::spend;
use super::weigh::weigh;
use super::{budget, report};
use crate::json::{Edits, PathSegment};

/// One change.
#[derive(Debug, Clone)]
pub struct Repair {
    path: Vec<PathSegment>,
    change: RepairKind,
}

#[derive(Debug, Clone)]
enum RepairKind {
    /// This JSON text, and what it means.
    Replace(String, Value),
    Remove,
}

impl Repair {
    /// Whether it replaces a text by a list or an object, which has yet to be checked.
    pub fn opens(&self) -> bool {
        matches!(&self.change, RepairKind::Replace(_, Value::Array(_) | Value::Object(_)))
    }
}

/// The repairs of one error; `None` when no lossless one exists.
pub fn repairs(error: &ValidationError<'_>, arguments: &Value) -> Option<Vec<Repair>> {
    let path = report::path(error, arguments);
    if error.instance().is_null() && matches!(path.last(), Some(PathSegment::Key(_))) {
        return Some(vec![Repair { path, change: RepairKind::Remove }]);
    }
    match error.kind() {
        ValidationErrorKind::Type { .. } => {
            let text = error.instance().as_str()?;
            let wanted = report::wanted_types(error);
            let value = literal(text, &wanted).or_else(|| container(text, &wanted, path.len()))?;
            Some(vec![Repair { path, change: RepairKind::Replace(text.trim_ascii().to_owned(), value) }])
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let takes_strings =
                error.instance().as_str().is_some() && context.iter().any(|branch| takes_strings(branch));
            let mut found = context.iter().filter_map(|branch| repairs_of_all(branch, arguments));
            found.find(|repairs| !takes_strings || !repairs.iter().any(Repair::opens))
        }
        _ => None,
    }
}

/// Splits errors into what can be repaired and what can't. An error about a value that another error's repair
/// changes (its enum, beside its type) counts as repaired; the next validation decides.
pub fn split<'e, 'v>(
    errors: &'e [ValidationError<'v>],
    arguments: &Value,
) -> (Vec<Repair>, Vec<&'e ValidationError<'v>>) {
    let (mut found, mut changed, mut left) = (Vec::new(), HashSet::new(), Vec::new());
    for error in errors {
        match repairs(error, arguments) {
            Some(repairs) => {
                changed.insert(error.instance_path().as_str());
                found.extend(repairs);
            }
            None => left.push(error),
        }
    }
    left.retain(|error| !changed.contains(error.instance_path().as_str()));
    (found, left)
}

fn repairs_of_all(errors: &[ValidationError<'_>], arguments: &Value) -> Option<Vec<Repair>> {
    let (found, left) = split(errors, arguments);
    (left.is_empty() && !found.is_empty()).then_some(found)
}

/// Makes the changes to `arguments`, and notes them for the text in `edits`.
pub fn apply(repairs: &[Repair], arguments: &mut Value, edits: &mut Edits) {
    for Repair { path, change } in repairs {
        match change {
            RepairKind::Replace(json, value) => {
                if let Some(place) = value_at(arguments, path) {
                    *place = value.clone();
                    edits.replace(path, json.clone());
                }
            }
            RepairKind::Remove => {
                let Some((PathSegment::Key(key), parent)) = path.split_last() else { continue };
                if let Some(Value::Object(members)) = value_at(arguments, parent) {
                    members.shift_remove(key);
                    edits.remove(path);
                }
            }
        }
    }
}

/// Whether the repair takes out a member that is among the `lacking`.
pub fn is_regretted(repair: &Repair, lacking: &HashSet<Vec<PathSegment>>) -> bool {
    matches!(repair.change, RepairKind::Remove) && lacking.contains(&repair.path)
}

/// The paths of required members that `errors` say are not there, alternatives of unions included.
pub fn lacking(errors: &[ValidationError<'_>], arguments: &Value) -> HashSet<Vec<PathSegment>> {
    let mut lacking = HashSet::new();
    let mut unread: Vec<&ValidationError<'_>> = errors.iter().collect();
    while let Some(error) = unread.pop() {
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default().to_owned();
                let mut path = report::path(error, arguments);
                path.push(PathSegment::Key(key));
                lacking.insert(path);
            }
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                unread.extend(context.iter().flatten());
            }
            _ => {}
        }
    }
    lacking
}

fn value_at<'v>(root: &'v mut Value, path: &[PathSegment]) -> Option<&'v mut Value> {
    path.iter().try_fold(root, |value, segment| match segment {
        PathSegment::Key(key) => value.get_mut(key),
        PathSegment::Index(index) => value.get_mut(index),
    })
}

/// Whether the alternative that `errors` are of takes strings, though not the one that it was given: none of them says
/// that it wants another type.
fn takes_strings(errors: &[ValidationError<'_>]) -> bool {
    use ValidationErrorKind as Kind;
    !errors.iter().any(|error| match error.kind() {
        Kind::Type { .. } => error.instance().is_string(),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            !context.iter().any(|branch| takes_strings(branch))
        }
        _ => false,
    })
}

/// The list or object that `text` is the JSON of, white space around it or not, when it is wanted `depth` levels down.
fn container(text: &str, wanted: &[JsonType], depth: usize) -> Option<Value> {
    let text = text.trim_ascii();
    let kind = match text.as_bytes().first()? {
        b'[' => JsonType::Array,
        b'{' => JsonType::Object,
        _ => return None,
    };
    if !wanted.contains(&kind) {
        return None;
    }
    spend(text.len() as u64 / budget::TREE_BYTES_A_STEP);
    let size = weigh(text.as_bytes()).ok()?.bytes;
    spend(size as u64 / budget::TREE_BYTES_A_STEP);
    let value = serde_json::from_str(text).ok()?;
    // Together no deeper than a body may be.
    (depth + levels(&value) <= budget::DEEPEST).then_some(value)
}

/// How many lists and objects stand inside one another.
fn levels(value: &Value) -> usize {
    let inside = match value {
        Value::Array(elements) => elements.iter().map(levels).max(),
        Value::Object(members) => members.values().map(levels).max(),
        _ => return 0,
    };
    1 + inside.unwrap_or_default()
}

/// The value that `text` is the exact JSON of, when one of the wanted types has it.
fn literal(text: &str, wanted: &[JsonType]) -> Option<Value> {
    // A parser would skip white space around the value, which the caller meant as part of the string.
    let exact = text.bytes().all(|byte| !byte.is_ascii_whitespace());
    let value: Value = serde_json::from_str(text).ok().filter(|_| exact)?;
    let fits = match &value {
        Value::Bool(_) => wanted.contains(&JsonType::Boolean),
        Value::Number(number) => {
            let whole = number.as_f64().is_some_and(|number| number.fract() == 0.0);
            wanted.contains(&JsonType::Number) || wanted.contains(&JsonType::Integer) && whole
        }
        _ => false,
    };
    fits.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::{JsonType, literal};

    #[test]
    fn only_the_exact_text_of_a_wanted_type_is_taken() {
        use JsonType::{Boolean, Integer, Number};
        for (text, wanted) in [
            ("5", Integer),
            ("-0", Integer),
            ("5.0", Integer),
            ("1e3", Integer),
            ("2.5", Number),
            ("5", Number),
            ("true", Boolean),
        ] {
            assert!(literal(text, &[wanted]).is_some(), "{text} as {wanted}");
        }
        for (text, wanted) in [
            ("2.5", Integer),
            (" 5", Integer),
            ("5\n", Integer),
            ("05", Integer),
            ("+5", Integer),
            ("0x5", Integer),
            ("true", Integer),
            ("1", Boolean),
            ("yes", Boolean),
            ("True", Boolean),
            ("null", Boolean),
            ("NaN", Number),
            ("", Number),
            ("[5]", Number),
            ("\"5\"", Number),
        ] {
            assert!(literal(text, &[wanted]).is_none(), "{text} as {wanted}");
        }
    }
}
