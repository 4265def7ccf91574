//! The members of one object, taken out by name and type; everything that is odd becomes a problem.

use std::collections::HashMap;
use std::time::Duration;

use super::json_tree::{JsonMember, JsonNode, JsonValue};
use super::location::Location;
use super::nearest::nearest;
use super::problem::Problems;
use super::secret::SecretText;

/// The longest time that a setting may name, in seconds: a year. More is a slip, and overflows clocks.
pub(super) const LONGEST_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

/// An object of the configuration, with its place.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    members: &'a [JsonMember],
    /// Where each name stands first and last.
    named: HashMap<&'a str, (usize, usize)>,
    pub location: Location,
}

impl<'a> Fields<'a> {
    /// `node` as an object; duplicate names are reported and the last one counts, as in every JSON reader.
    pub fn new(node: &'a JsonNode, location: Location, problems: &mut Problems) -> Option<Self> {
        let JsonValue::Object(members) = &node.value else {
            return mismatch(&location, "an object", node, problems);
        };
        let mut named: HashMap<&str, (usize, usize)> = HashMap::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            let (first, last) = named.entry(&member.name).or_insert((index, index));
            *last = index;
            if *first != index {
                let first = &members[*first];
                problems.slip(
                    &location.member(&member.name, member.position),
                    format!(
                        "`{}` stands here twice; the first is in line {}",
                        member.name, first.position.line
                    ),
                    "rename or remove one of the two; without that the last one counts",
                );
            }
        }
        Some(Self { members, named, location })
    }

    /// Every name once, in the order of the file, with the value that counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a JsonNode, Location)> {
        let members = self.members.iter().enumerate();
        members.filter_map(|(index, member)| {
            let (first, last) = self.named[member.name.as_str()];
            let last = &self.members[last];
            let found = (last.name.as_str(), &last.value, self.location.member(&last.name, last.position));
            (first == index).then_some(found)
        })
    }

    /// The values that a later one of the same name replaces; they are read for their problems alone.
    pub fn replaced(&self) -> impl Iterator<Item = (&'a str, &'a JsonNode, Location)> {
        let members = self.members.iter().enumerate();
        let replaced = members.filter(|(index, member)| self.named[member.name.as_str()].1 != *index);
        replaced.map(|(_, member)| {
            (member.name.as_str(), &member.value, self.location.member(&member.name, member.position))
        })
    }

    /// The value of `name`; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<(&'a JsonNode, Location)> {
        let member = &self.members[self.named.get(name)?.1];
        if matches!(member.value.value, JsonValue::Null) {
            return None;
        }
        Some((&member.value, self.location.member(name, member.position)))
    }

    pub fn text(&self, name: &str, problems: &mut Problems) -> Option<(&'a str, Location)> {
        let (node, location) = self.get(name)?;
        match &node.value {
            JsonValue::Text(text) => Some((text, location)),
            _ => mismatch(&location, "a string", node, problems),
        }
    }

    pub fn boolean(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        let (node, location) = self.get(name)?;
        match &node.value {
            JsonValue::Boolean(value) => Some(*value),
            _ => mismatch(&location, "true or false", node, problems),
        }
    }

    /// A time in seconds, more than nothing.
    pub fn seconds(&self, name: &str, problems: &mut Problems) -> Option<Duration> {
        let (node, location) = self.get(name)?;
        let JsonValue::Number(number) = &node.value else {
            return mismatch(&location, "a number of seconds", node, problems);
        };
        seconds(number.parse().unwrap_or(f64::NAN), &location, problems)
    }

    /// A whole number of at least one.
    pub fn count(&self, name: &str, problems: &mut Problems) -> Option<usize> {
        let (node, location) = self.get(name)?;
        let JsonValue::Number(number) = &node.value else {
            return mismatch(&location, "a whole number", node, problems);
        };
        match number.parse() {
            Ok(count) if count > 0 => Some(count),
            _ => {
                problems.error(&location, "this must be a whole number of at least 1", "write such a number");
                None
            }
        }
    }

    /// A list of strings.
    pub fn texts(&self, name: &str, problems: &mut Problems) -> Option<Vec<(String, Location)>> {
        let (node, location) = self.get(name)?;
        let JsonValue::List(elements) = &node.value else {
            return mismatch(&location, "a list of strings", node, problems);
        };
        let mut texts = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let location = location.element(index, element.position);
            match &element.value {
                JsonValue::Text(text) => texts.push((text.clone(), location)),
                _ => {
                    mismatch::<()>(&location, "a string", element, problems);
                }
            }
        }
        Some(texts)
    }

    /// Reports every name that is neither in `known` nor in `ignored`. Names that begin with `_`, `$` or
    /// `/` are the comments of people whose client has none.
    pub fn report_unknown(&self, owner: &str, known: &[&str], ignored: &[&str], problems: &mut Problems) {
        for (name, _, location) in self.iter() {
            if known.contains(&name) || ignored.contains(&name) || name.starts_with(['_', '$', '/']) {
                continue;
            }
            let fix = match nearest(name, known.iter().copied()) {
                Some(candidate) => format!("write `{candidate}` if that was meant, or remove it"),
                None => format!("remove it; the settings of {owner} are {}", known.join(", ")),
            };
            problems.slip(&location, format!("`{name}` is not a setting of {owner} and is ignored"), fix);
        }
    }
}

/// A string, or a number or boolean in its written form: other clients accept those, so they are taken
/// with a warning.
pub(super) fn lenient_text(node: &JsonNode, location: &Location, problems: &mut Problems) -> Option<String> {
    let text = match &node.value {
        JsonValue::Text(text) => return Some(text.clone()),
        JsonValue::Number(number) => number.clone(),
        JsonValue::Boolean(value) => value.to_string(),
        _ => return mismatch(location, "a string", node, problems),
    };
    problems.warning(
        location,
        format!("this is {} and is passed on as the text that stands here", node.kind()),
        "put it in double quotes",
    );
    Some(text)
}

/// Reports that `node` is not what `expected` says, and gives nothing.
pub(super) fn mismatch<T>(
    location: &Location,
    expected: &str,
    node: &JsonNode,
    problems: &mut Problems,
) -> Option<T> {
    let fix = match (&node.value, expected) {
        (JsonValue::Text(_), "a list of strings") => {
            "put the string in square brackets: [\"...\"]".to_owned()
        }
        (JsonValue::List(_), "a string") => {
            "write one string (for `command`, the rest of the list belongs into `args`)".to_owned()
        }
        (JsonValue::Text(_), _) => format!("write {expected}, without quotes around it"),
        _ => format!("write {expected}"),
    };
    problems.error(location, format!("this must be {expected}, but it is {}", node.kind()), fix);
    None
}

/// A time of `value` seconds, when that makes sense.
pub(super) fn seconds(value: f64, location: &Location, problems: &mut Problems) -> Option<Duration> {
    if !(value > 0.0 && value <= LONGEST_SECONDS) {
        problems.error(
            location,
            format!("this must be more than 0 and at most {LONGEST_SECONDS} seconds"),
            "write a number of seconds; leave the setting out for the default",
        );
        return None;
    }
    if value > 24.0 * 3600.0 {
        problems.warning(
            location,
            "this is more than a day, which looks like milliseconds",
            "write the time in seconds",
        );
    }
    Some(Duration::from_secs_f64(value))
}

/// Reads the references in `text`; relative files are relative to the file of `location`.
pub(super) fn secret(text: &str, location: &Location, problems: &mut Problems) -> Option<SecretText> {
    match SecretText::parse_in(text, location.directory()) {
        Ok(secret) => Some(secret),
        Err(error) => {
            problems.error(location, error.to_string(), error.fix());
            None
        }
    }
}
