//! Halves of surrogate pairs in JSON text. Servers in JavaScript cut emojis in two and write the half as it is (`"\ud83d"`),
//! which strict readers of JSON refuse, and the whole message with it: each half becomes U+FFFD, as it does in browsers.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u"));
/// `\ud83d`.
const LENGTH: usize = 6;
const REPLACEMENT: &[u8; 4] = b"fffd";

/// The same text without halves; it is copied only where there is one and it is held elsewhere, too.
pub fn mended(text: Bytes) -> Bytes {
    if first_half(&text, 0).is_none() {
        return text;
    }
    let mut text = text.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    mend(&mut text);
    text.freeze()
}

/// Replaces each half where it stands.
pub fn mend(text: &mut [u8]) {
    let mut from = 0;
    while let Some(at) = first_half(text, from) {
        text[at + 2..at + LENGTH].copy_from_slice(REPLACEMENT);
        from = at + LENGTH;
    }
}

/// Where the first half from `from` on stands.
fn first_half(text: &[u8], mut from: usize) -> Option<usize> {
    while let Some(offset) = ESCAPE.find(&text[from..]) {
        let at = from + offset;
        let backslashes = text[from..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        // The second of two backslashes escapes nothing.
        if !backslashes.is_multiple_of(2) {
            from = at + 2;
            continue;
        }
        from = at + LENGTH;
        match surrogate(text, at) {
            None => {}
            Some(Surrogate::High) if surrogate(text, from) == Some(Surrogate::Low) => from += LENGTH,
            Some(_) => return Some(at),
        }
        if from > text.len() {
            return None;
        }
    }
    None
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surrogate {
    High,
    Low,
}

/// The surrogate that the escape at `at` is.
fn surrogate(text: &[u8], at: usize) -> Option<Surrogate> {
    let escape: &[u8; LENGTH] = text.get(at..)?.first_chunk()?;
    match escape {
        [b'\\', b'u', b'd' | b'D', kind, rest @ ..] if rest.iter().all(u8::is_ascii_hexdigit) => match kind {
            b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(Surrogate::High),
            b'c'..=b'f' | b'C'..=b'F' => Some(Surrogate::Low),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_the_replacement_character_and_all_else_stays() {
        for (sent, read) in [
            (r#""page \ud83d""#, r#""page \ufffd""#),
            (r#""\uD83D\uDE00 \uDE00\ud83d""#, r#""\uD83D\uDE00 \ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud83dx\ude00""#, r#""\ufffdx\ufffd""#),
            (r#""\\ud83d \\\ud83d""#, r#""\\ud83d \\\ufffd""#),
            (r#""\u00e9\n\ud7ff\ue000\uDBFF\uDFFF""#, r#""\u00e9\n\ud7ff\ue000\uDBFF\uDFFF""#),
            // What is cut off or no escape at all is the parser's to refuse.
            (r#""\ud83"#, r#""\ud83"#),
            (r#""\u"#, r#""\u"#),
            (r#""\ud8zz""#, r#""\ud8zz""#),
        ] {
            assert_eq!(mended(Bytes::copy_from_slice(sent.as_bytes())), read, "{sent}");
            let (whole, slice) = (Bytes::copy_from_slice(sent.as_bytes()), sent.len() / 2);
            let shared = whole.slice(slice..);
            assert_eq!(mended(whole), read, "a text that is held elsewhere, too");
            assert_eq!(shared, sent.as_bytes()[slice..]);
        }
    }

    #[test]
    fn what_is_mended_is_json_for_strict_readers_whatever_stands_in_it() {
        let parts = ["\\\\", "\\ud83d", "\\uDE00", "u", "\\\"", "d83d", "\\u0041", "é"];
        for number in 0..parts.len().pow(4) {
            let picks = (0..4).map(|digit| parts[number / parts.len().pow(digit) % parts.len()]);
            let text = format!("\"{}\"", picks.collect::<String>());
            let mended = mended(Bytes::from(text.clone()));
            serde_json::from_slice::<String>(&mended).unwrap_or_else(|error| panic!("{text}: {error}"));
            if serde_json::from_str::<String>(&text).is_ok() {
                assert_eq!(mended, text);
            }
        }
    }
}
