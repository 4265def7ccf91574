//! The members of one object, taken out by name and type; everything that is odd becomes a problem.

use std::collections::HashMap;
use std::time::Duration;

use super::document::{Member, Node, NodeValue};
use super::problem::{Place, Problems, nearest};

/// The longest time that a setting may name, in seconds: a year. More is a slip, and overflows clocks.
pub(super) const LONGEST_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

/// An object of the configuration, with its place.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    members: &'a [Member],
    /// Where each name stands first and last.
    named: HashMap<&'a str, (usize, usize)>,
    pub place: Place,
}

impl<'a> Fields<'a> {
    /// `node` as an object; duplicate names are reported and the last one counts, as in every JSON reader.
    pub fn new(node: &'a Node, place: Place, problems: &mut Problems) -> Option<Self> {
        let NodeValue::Object(members) = &node.value else {
            return mismatch(&place, "an object", node, problems);
        };
        let mut named: HashMap<&str, (usize, usize)> = HashMap::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            let (first, last) = named.entry(&member.name).or_insert((index, index));
            *last = index;
            if *first != index {
                let first = &members[*first];
                problems.slip(
                    &place.member(&member.name, member.position),
                    format!(
                        "`{}` stands here twice; the first is in line {}",
                        member.name, first.position.line
                    ),
                    "rename or remove one of the two; without that the last one counts",
                );
            }
        }
        Some(Self { members, named, place })
    }

    /// Every name once, in the order of the file, with the value that counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Node, Place)> {
        let members = self.members.iter().enumerate();
        members.filter_map(|(index, member)| {
            let (first, last) = self.named[member.name.as_str()];
            let last = &self.members[last];
            let found = (last.name.as_str(), &last.value, self.place.member(&last.name, last.position));
            (first == index).then_some(found)
        })
    }

    /// The values that a later one of the same name replaces; they are read for their problems alone.
    pub fn replaced(&self) -> impl Iterator<Item = (&'a str, &'a Node, Place)> {
        let members = self.members.iter().enumerate();
        let replaced = members.filter(|(index, member)| self.named[member.name.as_str()].1 != *index);
        replaced.map(|(_, member)| {
            (member.name.as_str(), &member.value, self.place.member(&member.name, member.position))
        })
    }

    /// The value of `name`; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<(&'a Node, Place)> {
        let member = &self.members[self.named.get(name)?.1];
        if matches!(member.value.value, NodeValue::Null) {
            return None;
        }
        Some((&member.value, self.place.member(name, member.position)))
    }

    pub fn text(&self, name: &str, problems: &mut Problems) -> Option<(&'a str, Place)> {
        let (node, place) = self.get(name)?;
        match &node.value {
            NodeValue::Text(text) => Some((text, place)),
            _ => mismatch(&place, "a string", node, problems),
        }
    }

    pub fn boolean(&self, name: &str, problems: &mut Problems) -> Option<bool> {
        let (node, place) = self.get(name)?;
        match &node.value {
            NodeValue::Boolean(value) => Some(*value),
            _ => mismatch(&place, "true or false", node, problems),
        }
    }

    /// A time in seconds, more than nothing.
    pub fn seconds(&self, name: &str, problems: &mut Problems) -> Option<Duration> {
        let (node, place) = self.get(name)?;
        let NodeValue::Number(number) = &node.value else {
            return mismatch(&place, "a number of seconds", node, problems);
        };
        seconds(number.parse().unwrap_or(f64::NAN), &place, problems)
    }

    /// A whole number of at least one.
    pub fn count(&self, name: &str, problems: &mut Problems) -> Option<usize> {
        let (node, place) = self.get(name)?;
        let NodeValue::Number(number) = &node.value else {
            return mismatch(&place, "a whole number", node, problems);
        };
        match number.parse() {
            Ok(count) if count > 0 => Some(count),
            _ => {
                problems.error(&place, "this must be a whole number of at least 1", "write such a number");
                None
            }
        }
    }

    /// A list of strings.
    pub fn texts(&self, name: &str, problems: &mut Problems) -> Option<Vec<(String, Place)>> {
        let (node, place) = self.get(name)?;
        let NodeValue::List(elements) = &node.value else {
            return mismatch(&place, "a list of strings", node, problems);
        };
        let mut texts = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let place = place.element(index, element.position);
            match &element.value {
                NodeValue::Text(text) => texts.push((text.clone(), place)),
                _ => {
                    mismatch::<()>(&place, "a string", element, problems);
                }
            }
        }
        Some(texts)
    }

    /// Reports every name that is neither in `known` nor in `ignored`. Names that begin with `_`, `$` or
    /// `/` are the comments of people whose client has none.
    pub fn report_unknown(&self, owner: &str, known: &[&str], ignored: &[&str], problems: &mut Problems) {
        for (name, _, place) in self.iter() {
            if known.contains(&name) || ignored.contains(&name) || name.starts_with(['_', '$', '/']) {
                continue;
            }
            let fix = match nearest(name, known.iter().copied()) {
                Some(candidate) => format!("write `{candidate}` if that was meant, or remove it"),
                None => format!("remove it; the keys of {owner} are {}", known.join(", ")),
            };
            problems.slip(&place, format!("`{name}` is not a key of {owner} and is ignored"), fix);
        }
    }
}

/// A string, or a number or boolean in its written form: other clients accept those, so they are taken
/// with a warning.
pub(super) fn lenient_text(node: &Node, place: &Place, problems: &mut Problems) -> Option<String> {
    let text = match &node.value {
        NodeValue::Text(text) => return Some(text.clone()),
        NodeValue::Number(number) => number.clone(),
        NodeValue::Boolean(value) => value.to_string(),
        _ => return mismatch(place, "a string", node, problems),
    };
    problems.warning(
        place,
        format!("this is {} and is passed on as the text that stands here", node.kind()),
        "put it in double quotes",
    );
    Some(text)
}

/// Reports that `node` is not what `expected` says, and gives nothing.
pub(super) fn mismatch<T>(place: &Place, expected: &str, node: &Node, problems: &mut Problems) -> Option<T> {
    let fix = match (&node.value, expected) {
        (NodeValue::Text(_), "a list of strings") => {
            "put the string in square brackets: [\"...\"]".to_owned()
        }
        (NodeValue::List(_), "a string") => {
            "write one string (for `command`, the rest of the list belongs into `args`)".to_owned()
        }
        (NodeValue::Text(_), _) => format!("write {expected}, without quotes around it"),
        _ => format!("write {expected}"),
    };
    problems.error(place, format!("this must be {expected}, but it is {}", node.kind()), fix);
    None
}

/// A time of `value` seconds, when that makes sense.
pub(super) fn seconds(value: f64, place: &Place, problems: &mut Problems) -> Option<Duration> {
    if !(value > 0.0 && value <= LONGEST_SECONDS) {
        problems.error(
            place,
            format!("this must be more than 0 and at most {LONGEST_SECONDS} seconds"),
            "write a number of seconds; leave the key out for the default",
        );
        return None;
    }
    if value > 24.0 * 3600.0 {
        problems.warning(
            place,
            "this is more than a day, which looks like milliseconds",
            "write the time in seconds",
        );
    }
    Some(Duration::from_secs_f64(value))
}
