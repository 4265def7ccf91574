//! Reading JSON from bytes, and bringing text onto one line, to a length, or into hexadecimal digits.

use bytes::Bytes;
use serde::Deserialize;

/// Reads JSON from `bytes`. The whole text is checked to be UTF-8 once, not each borrowed piece.
pub fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        // This error has the place. Parts that are not kept need not be UTF-8.
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

/// The beginning of `text`, at most `most` bytes and whole characters.
pub fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// `bytes` as lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
}
