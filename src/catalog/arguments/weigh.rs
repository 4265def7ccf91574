//! The memory that a JSON text would take as a tree of values, counted without building the tree.
//!
//! A list of small numbers becomes sixty times its text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// A list grows by doubling.
const GROWTH: usize = 2;
const OF_ELEMENT: usize = GROWTH * size_of::<Value>();
/// With the hash and the place in the index.
const OF_MEMBER: usize = GROWTH * (size_of::<Value>() + size_of::<String>() + 2 * size_of::<usize>());

/// A text that was read through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    pub kind: JsonKind,
    /// Memory of the tree in bytes, rather more than less.
    pub bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    Null,
    Object,
    Other,
}

/// Reads `text` through, to its end.
///
/// # Errors
///
/// Those of the parser that would make the tree.
pub fn weigh(text: &[u8]) -> serde_json::Result<Weighed> {
    let mut bytes = 0;
    let mut parser = serde_json::Deserializer::from_slice(text);
    let kind = Scale(&mut bytes).deserialize(&mut parser)?;
    parser.end()?;
    Ok(Weighed { kind, bytes })
}

/// Counts the bytes of one value, without its own place in its parent.
struct Scale<'b>(&'b mut usize);

impl Scale<'_> {
    fn add(&mut self, bytes: usize) {
        *self.0 = self.0.saturating_add(bytes);
    }
}

impl<'de> DeserializeSeed<'de> for Scale<'_> {
    type Value = JsonKind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonKind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scale<'_> {
    type Value = JsonKind;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<JsonKind, E> {
        Ok(JsonKind::Null)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<JsonKind, E> {
        Ok(JsonKind::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<JsonKind, E> {
        Ok(JsonKind::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<JsonKind, E> {
        Ok(JsonKind::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<JsonKind, E> {
        Ok(JsonKind::Other)
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<JsonKind, E> {
        self.add(text.len());
        Ok(JsonKind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<JsonKind, A::Error> {
        while elements.next_element_seed(Scale(self.0))?.is_some() {
            self.add(OF_ELEMENT);
        }
        Ok(JsonKind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<JsonKind, A::Error> {
        while members.next_key_seed(Scale(self.0))?.is_some() {
            self.add(OF_MEMBER);
            members.next_value_seed(Scale(self.0))?;
        }
        Ok(JsonKind::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_told_apart_and_its_faults_are_the_parsers() {
        for (text, kind) in
            [("null", JsonKind::Null), (" {\"a\":[1]} ", JsonKind::Object), ("[{}]", JsonKind::Other)]
        {
            assert_eq!(weigh(text.as_bytes()).unwrap().kind, kind, "{text}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in
            ["", "{bad", "{} {}", "[1e999]", "{\"a\":01}", r#"["\ud800"]"#, "{\"a\":1,}", deep.as_str()]
        {
            let parser = serde_json::from_str::<Value>(text).unwrap_err();
            assert_eq!(weigh(text.as_bytes()).unwrap_err().to_string(), parser.to_string(), "{text}");
        }
        assert!(weigh(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn many_small_values_weigh_more_than_a_long_text() {
        let numbers = format!("[{}1]", "1,".repeat(50_000));
        let text = format!("{:?}", "x".repeat(100_000));
        assert!(weigh(numbers.as_bytes()).unwrap().bytes > 60 * numbers.len());
        assert_eq!(weigh(text.as_bytes()).unwrap().bytes, 100_000);
    }
}
