//! Parts of a JSON text exchanged for others, with every other byte as it was.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

/// Parts to exchange in one JSON text, in its order.
#[derive(Debug)]
pub struct Splices<'a> {
    text: &'a str,
    list: Vec<(Range<usize>, String)>,
}

impl<'a> Splices<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, list: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The unchanged text.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Puts the string `new` in the place of `value`, which is a part of the text.
    pub fn set(&mut self, value: &'a RawValue, new: &str) {
        self.set_json(value, serde_json::to_string(new).expect("a text is always written"));
    }

    /// Puts the JSON text `json` in the place of `value`.
    pub fn set_json(&mut self, value: &'a RawValue, json: String) {
        let start = value.get().as_ptr() as usize - self.text.as_ptr() as usize;
        self.list.push((start..start + value.get().len(), json));
    }

    /// The text with all of them.
    pub fn applied(&self) -> Cow<'a, str> {
        if self.list.is_empty() {
            return Cow::Borrowed(self.text);
        }
        let added: usize = self.list.iter().map(|(_, new)| new.len()).sum();
        let mut text = String::with_capacity(self.text.len() + added);
        let mut end = 0;
        for (range, new) in &self.list {
            text.push_str(&self.text[end..range.start]);
            text.push_str(new);
            end = range.end;
        }
        text.push_str(&self.text[end..]);
        Cow::Owned(text)
    }
}
