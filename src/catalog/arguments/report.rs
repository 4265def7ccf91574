//! Turns the validator's errors into [`ArgumentFault`]s.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::budget;
use super::fault::{ArgumentFault, FaultKind, WrongCount};
use crate::json::PathSegment;

/// Faults that one refusal names; each carries a part of the caller's body.
pub const MOST_FAULTS: usize = 50;

/// The faults behind `errors`, found in `arguments`.
pub fn faults<'e, 'v: 'e>(
    errors: impl IntoIterator<Item = &'e ValidationError<'v>>,
    arguments: &Value,
) -> Vec<ArgumentFault> {
    let mut faults: Vec<ArgumentFault> = Vec::new();
    for error in errors {
        add(error, arguments, &mut faults);
        let text: usize = faults.iter().map(|fault| fault.message.len()).sum();
        if faults.len() >= MOST_FAULTS || text >= budget::EXPLANATION_BYTES {
            break;
        }
    }
    faults.truncate(MOST_FAULTS);
    faults
}

/// Whether the validator gave up on a regular expression, which is no fault of the caller.
pub fn is_undecided(error: &ValidationError<'_>) -> bool {
    use ValidationErrorKind as Kind;
    matches!(error.kind(), Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. })
}

/// The types that an error wants; empty for an error of another kind.
pub fn wanted_types(error: &ValidationError<'_>) -> Vec<JsonType> {
    match error.kind() {
        ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => vec![*kind],
        ValidationErrorKind::Type { kind: TypeKind::Multiple(kinds) } => kinds.iter().collect(),
        _ => Vec::new(),
    }
}

/// The path to the value at fault. `arguments` decides between array positions and keys that look like numbers.
pub fn path(error: &ValidationError<'_>, arguments: &Value) -> Vec<PathSegment> {
    let mut at = Some(arguments);
    let mut path = Vec::new();
    for part in error.instance_path().as_str().split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if let (Some(Value::Array(elements)), Ok(index)) = (at, part.parse::<usize>()) {
            at = elements.get(index);
            path.push(PathSegment::Index(index));
        } else {
            at = at.and_then(|value| value.get(&part));
            path.push(PathSegment::Key(part));
        }
    }
    path
}

/// The bytes of the longest path to a value: each error has a copy of its path.
///
/// `None` for arguments of too many values to explain their errors.
pub fn longest_path(arguments: &Value) -> Option<u64> {
    fn below(value: &Value, values: &mut usize) -> Option<u64> {
        *values += 1;
        if *values > budget::EXPLAINED_VALUES {
            return None;
        }
        let mut longest = 0;
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    longest = longest.max(key.len() as u64 + below(member, values)?);
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    longest = longest.max(below(element, values)?);
                }
            }
            _ => {}
        }
        Some(longest)
    }
    below(arguments, &mut 0)
}

fn add(error: &ValidationError<'_>, arguments: &Value, faults: &mut Vec<ArgumentFault>) {
    use ValidationErrorKind as Kind;
    // An alternative may have thousands of errors, each of which would be compared with all before it.
    if faults.len() >= MOST_FAULTS {
        return;
    }
    let mut path = path(error, arguments);
    let instance = error.instance().as_ref();
    let kind = match error.kind() {
        Kind::Required { property } => {
            path.push(PathSegment::Key(property.as_str().unwrap_or_default().to_owned()));
            FaultKind::Missing
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            for key in unexpected.iter().take(MOST_FAULTS) {
                let input = instance.get(key).cloned().unwrap_or_default();
                let place = path.iter().cloned().chain([PathSegment::Key(key.clone())]).collect();
                faults.push(ArgumentFault::new(place, FaultKind::Unexpected, input));
            }
            return;
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let kind = match union(context, error) {
                Union::Branch(branch) => {
                    return branch.iter().for_each(|error| add(error, arguments, faults));
                }
                Union::Types(types) => FaultKind::Type(without_null(types)),
                Union::Values(options) => FaultKind::Enum(options),
                Union::Many => FaultKind::Keyword(error.kind().keyword().into()),
            };
            faults.push(ArgumentFault::new(path, kind, instance.clone()));
            return;
        }
        other => plain(other, error),
    };
    let fault = ArgumentFault::new(path, kind, instance.clone());
    // allOf and references can say the same thing twice.
    if !faults.contains(&fault) {
        faults.push(fault);
    }
}

fn plain(kind: &ValidationErrorKind, error: &ValidationError<'_>) -> FaultKind {
    use ValidationErrorKind as Kind;
    let of_list = |limit| {
        let actual = error.instance().as_array().map_or(0, Vec::len);
        WrongCount { container: "List", limit, actual }
    };
    let of_object = |limit| {
        let actual = error.instance().as_object().map_or(0, serde_json::Map::len);
        WrongCount { container: "Dictionary", limit, actual }
    };
    match kind {
        Kind::Type { .. } => FaultKind::Type(without_null(wanted_types(error))),
        Kind::Enum { options } => FaultKind::Enum(options.as_array().cloned().unwrap_or_default()),
        Kind::Constant { expected_value } => FaultKind::Constant(expected_value.as_ref().clone()),
        Kind::MinLength { limit } => FaultKind::StringTooShort(*limit),
        Kind::MaxLength { limit } => FaultKind::StringTooLong(*limit),
        Kind::Pattern { pattern } => FaultKind::Pattern(pattern.clone()),
        Kind::Minimum { limit } => FaultKind::Minimum(limit.clone()),
        Kind::ExclusiveMinimum { limit } => FaultKind::ExclusiveMinimum(limit.clone()),
        Kind::Maximum { limit } => FaultKind::Maximum(limit.clone()),
        Kind::ExclusiveMaximum { limit } => FaultKind::ExclusiveMaximum(limit.clone()),
        Kind::MultipleOf { multiple_of } => FaultKind::MultipleOf(number(*multiple_of)),
        Kind::MinItems { limit } => FaultKind::TooFew(of_list(*limit)),
        Kind::MaxItems { limit } => FaultKind::TooMany(of_list(*limit)),
        Kind::AdditionalItems { limit } => FaultKind::TooMany(of_list(*limit as u64)),
        Kind::MinProperties { limit } => FaultKind::TooFew(of_object(*limit)),
        Kind::MaxProperties { limit } => FaultKind::TooMany(of_object(*limit)),
        Kind::UniqueItems => FaultKind::NotUnique,
        Kind::FalseSchema => FaultKind::Unexpected,
        other => FaultKind::Keyword(other.keyword().into()),
    }
}

/// A factor as the schema most likely had it: the validator keeps only a double.
fn number(factor: f64) -> Value {
    let text = factor.to_string();
    serde_json::from_str(&text).unwrap_or_else(|_| Value::from(factor))
}

fn without_null(mut types: Vec<JsonType>) -> Vec<JsonType> {
    if types.len() > 1 {
        types.retain(|kind| *kind != JsonType::Null);
    }
    types
}

/// The report on a value that fits no alternative.
enum Union<'c> {
    /// It has the type of just one alternative: that one's errors say more than "none fits".
    Branch(&'c [ValidationError<'static>]),
    /// It has the type of none.
    Types(Vec<JsonType>),
    /// The alternatives are single values.
    Values(Vec<Value>),
    Many,
}

fn union<'c>(context: &'c [Vec<ValidationError<'static>>], error: &ValidationError<'_>) -> Union<'c> {
    let here = |inner: &ValidationError<'_>| inner.instance_path() == error.instance_path();
    let (mut types, mut values, mut branches) = (Vec::new(), Vec::new(), Vec::new());
    for branch in context {
        let of_branch: Vec<JsonType> =
            branch.iter().filter(|inner| here(inner)).flat_map(wanted_types).collect();
        if !of_branch.is_empty() {
            for kind in of_branch {
                if !types.contains(&kind) {
                    types.push(kind);
                }
            }
            continue;
        }
        if let [only] = branch.as_slice()
            && let ValidationErrorKind::Constant { expected_value } = only.kind()
            && here(only)
        {
            values.push(expected_value.as_ref().clone());
        }
        branches.push(branch.as_slice());
    }
    match branches.as_slice() {
        [] => Union::Types(types),
        [only] => Union::Branch(only),
        _ if values.len() == branches.len() => Union::Values(values),
        _ => Union::Many,
    }
}
