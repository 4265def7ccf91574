//! JSON that strangers write: lists, read up to a number of items with the rest only counted, and texts on one line.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

/// The first `MOST` items of a list, and how many there are. An item may be a hundredth of the memory that it takes.
#[derive(Debug, PartialEq, Eq)]
pub struct First<T, const MOST: usize> {
    pub items: Vec<T>,
    /// Of the whole list.
    pub count: usize,
}

impl<T, const MOST: usize> Default for First<T, MOST> {
    fn default() -> Self {
        Self { items: Vec::new(), count: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for First<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Reader<T, MOST> {
            type Value = First<T, MOST>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
                let mut first = First::default();
                while first.count < MOST
                    && let Some(item) = list.next_element()?
                {
                    first.items.push(item);
                    first.count += 1;
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    first.count += 1;
                }
                Ok(first)
            }
        }
        deserializer.deserialize_seq(Reader(PhantomData))
    }
}

/// Reads JSON from `bytes`. What is borrowed from a text is not checked again to be UTF-8, piece by piece.
pub fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        // Tells where; what is not kept may be anything.
        Err(_) => serde_json::from_slice(bytes),
    }
}

/// The JSON `text` on one line: a line break would end an event, or a message over stdio.
///
/// Where JSON allows line breaks they mean nothing.
pub fn one_line(text: Bytes) -> Bytes {
    if is_on_one_line(&text) {
        return text;
    }
    text.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

/// The same of a `String`.
pub fn one_line_text(text: String) -> String {
    if is_on_one_line(text.as_bytes()) { text } else { text.replace(['\n', '\r'], " ") }
}

/// Whether there is nothing to replace, as in nearly all texts; some have megabytes.
fn is_on_one_line(text: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', text).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_as_text_where_they_are_one_and_else_as_far_as_it_matters() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Borrowing<'a> {
            a: &'a str,
        }
        for bytes in [&b"{\"a\":\"x\",\"b\":\"\xc3\xbc\"}"[..], b"{\"b\":\"\xff\",\"a\":\"x\"}"] {
            assert_eq!(read::<Borrowing<'_>>(bytes).unwrap(), Borrowing { a: "x" });
        }
        let error = read::<Borrowing<'_>>(b"{\"a\":\n\"\xff\"}").unwrap_err();
        assert!(error.is_syntax() && error.line() == 2, "{error}");
        assert!(read::<Borrowing<'_>>(b"{\"a\":").unwrap_err().is_eof());
    }

    #[test]
    fn line_breaks_become_blanks() {
        for (text, line) in [("{\r\n\"a\":\n1}", "{  \"a\": 1}"), ("{\"a\":1}", "{\"a\":1}")] {
            assert_eq!(one_line_text(text.to_owned()), line);
            assert_eq!(one_line(Bytes::from_static(text.as_bytes())), line);
        }
    }

    #[test]
    fn what_is_over_the_number_is_counted_and_not_kept() {
        let read = |text: &str| serde_json::from_str::<First<u8, 3>>(text);
        assert_eq!(read("[]").unwrap(), First::default());
        assert_eq!(read("[1,2,3]").unwrap(), First { items: vec![1, 2, 3], count: 3 });
        assert_eq!(read(r#"[1,2,3,{"a":[]},"x"]"#).unwrap(), First { items: vec![1, 2, 3], count: 5 });
        assert!(read("[1,\"x\"]").is_err() && read("{}").is_err() && read("[1,2,3,}").is_err());
    }
}
