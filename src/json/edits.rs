//! Changes to JSON text that leave every other byte of every value as the caller wrote it.
//!
//! A parse into [`serde_json::Value`] and back would round numbers beyond a double and lose the caller's spelling. So
//! changes are collected by path and applied to the text itself. Only objects and
//! arrays on the way to a change are put together anew, from the unchanged text of their members.

use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

use super::members::Members;

/// One step from a JSON value down to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathSegment {
    /// A member of an object.
    Key(String),
    /// An element of an array, from 0.
    Index(usize),
}

/// Changes to one JSON value, by path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits {
    replacement: Option<String>,
    removed: bool,
    added: Vec<(String, String)>,
    children: BTreeMap<PathSegment, Edits>,
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts `json` where the value at `path` was. Of equal keys the last is meant, as parsers do.
    pub fn replace(&mut self, path: &[PathSegment], json: String) {
        self.at(path).replacement = Some(json);
    }

    /// Takes the member at `path` out of its object, with all its duplicates.
    pub fn remove(&mut self, path: &[PathSegment]) {
        self.at(path).removed = true;
    }

    /// Appends a member to the object at `path`.
    pub fn add(&mut self, path: &[PathSegment], key: &str, json: &str) {
        self.at(path).added.push((key.to_owned(), json.to_owned()));
    }

    /// The text with all changes made.
    ///
    /// `text` must be JSON in which every path exists; paths that do not are passed over.
    pub fn apply(&self, text: &str) -> String {
        let mut changed = String::with_capacity(text.len() + 64);
        self.write(text.trim_ascii(), &mut changed);
        changed
    }

    fn at(&mut self, path: &[PathSegment]) -> &mut Edits {
        path.iter().fold(self, |edits, segment| edits.children.entry(segment.clone()).or_default())
    }

    fn write(&self, text: &str, changed: &mut String) {
        // A replacement may be changed itself.
        let text = self.replacement.as_deref().unwrap_or(text);
        if self.children.is_empty() && self.added.is_empty() {
            changed.push_str(text);
        } else if text.starts_with('{') {
            self.write_object(text, changed);
        } else if text.starts_with('[') {
            self.write_array(text, changed);
        } else {
            changed.push_str(text);
        }
    }

    fn write_object(&self, text: &str, changed: &mut String) {
        let members = read::<Members<'_, { usize::MAX }>>(text);
        // Where each key stands last, for objects in which something changes.
        let keys = || members.0.iter().enumerate().map(|(position, (key, _))| (&**key, position));
        let last: HashMap<&str, usize> =
            if self.children.is_empty() { HashMap::new() } else { keys().collect() };
        let mut end = 1;
        changed.push('{');
        for (position, (key, value)) in members.0.iter().enumerate() {
            let value = value.get();
            let start = offset(text, value);
            let before_value = text[end..start].trim_start_matches([' ', '\t', '\n', '\r', ',']);
            end = start + value.len();
            let child = self.children.get(&PathSegment::Key(key.clone().into_owned()));
            if child.is_some_and(|child| child.removed) {
                continue;
            }
            separate(changed);
            changed.push_str(before_value);
            match child {
                Some(child) if last[&**key] == position => child.write(value, changed),
                _ => changed.push_str(value),
            }
        }
        for (key, json) in &self.added {
            separate(changed);
            changed.push_str(&serde_json::Value::from(key.as_str()).to_string());
            changed.push(':');
            changed.push_str(json);
        }
        changed.push('}');
    }

    fn write_array(&self, text: &str, changed: &mut String) {
        changed.push('[');
        for (index, element) in read::<Vec<&RawValue>>(text).into_iter().map(RawValue::get).enumerate() {
            if index > 0 {
                changed.push(',');
            }
            match self.children.get(&PathSegment::Index(index)) {
                Some(child) => child.write(element, changed),
                None => changed.push_str(element),
            }
        }
        changed.push(']');
    }
}

/// A comma, unless the container has just been opened.
fn separate(changed: &mut String) {
    if !changed.ends_with('{') {
        changed.push(',');
    }
}

/// Where `part` begins in `whole`, of which it is a slice.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

fn read<'a, T: serde::Deserialize<'a>>(text: &'a str) -> T {
    serde_json::from_str(text).expect("the text was parsed before, and starts with the bracket of its kind")
}

#[cfg(test)]
mod tests {
    use super::{Edits, PathSegment};

    fn path(keys: &[&str]) -> Vec<PathSegment> {
        let segment = |key: &&str| match key.parse() {
            Ok(index) => PathSegment::Index(index),
            Err(_) => PathSegment::Key((*key).to_owned()),
        };
        keys.iter().map(segment).collect()
    }

    #[test]
    fn untouched_values_keep_every_byte() {
        let mut edits = Edits::default();
        edits.replace(&path(&["b", "1", "x"]), "7".into());
        let text = " { \"a\" : 123456789012345678901234567890.10 ,\n\"b\":[ {\"k\":1E5} , {\"x\" : \"7\", \"y\": \"\\u00e9\"}]} ";
        let expected =
            "{\"a\" : 123456789012345678901234567890.10,\"b\":[{\"k\":1E5},{\"x\" : 7,\"y\": \"\\u00e9\"}]}";
        assert_eq!(edits.apply(text), expected);
    }

    #[test]
    fn members_are_removed_at_every_position() {
        for (key, expected) in [
            ("a", r#"{"b":2,"c":3}"#),
            ("b", r#"{"a":1,"c":3}"#),
            ("c", r#"{"a":1,"b":2}"#),
            ("z", r#"{"a":1,"b":2,"c":3}"#),
        ] {
            let mut edits = Edits::default();
            edits.remove(&path(&[key]));
            assert_eq!(edits.apply(r#"{"a":1, "b":2 ,"c":3}"#), expected);
        }
    }

    #[test]
    fn members_are_added_to_empty_and_full_objects() {
        let mut edits = Edits::default();
        edits.add(&[], "k\"", "[1]");
        edits.add(&path(&["o"]), "d", "null");
        assert_eq!(edits.apply("{}"), r#"{"k\"":[1]}"#);
        assert_eq!(edits.apply(r#"{"o":{}}"#), r#"{"o":{"d":null},"k\"":[1]}"#);
        assert_eq!(edits.apply(r#"{"o":{"d{":"{"}}"#), r#"{"o":{"d{":"{","d":null},"k\"":[1]}"#);
    }

    #[test]
    fn of_equal_keys_the_last_is_replaced_and_all_are_removed() {
        let text = r#"{"a":"1","a":"2"}"#;
        let mut edits = Edits::default();
        edits.replace(&path(&["a"]), "2".into());
        assert_eq!(edits.apply(text), r#"{"a":"1","a":2}"#);
        let mut edits = Edits::default();
        edits.remove(&path(&["a"]));
        assert_eq!(edits.apply(text), "{}");
    }
}
