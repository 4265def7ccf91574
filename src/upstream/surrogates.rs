//! Halves of surrogate pairs in JSON text. Servers in JavaScript cut emojis in two and write the half as it is (`"\ud83d"`),
//! which strict readers of JSON refuse, and the whole message with it: each half becomes U+FFFD, as it does in browsers.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u"));
/// `\ud83d`.
const LENGTH: usize = 6;
const REPLACEMENT: &[u8; 4] = b"fffd";
/// The first halves of pairs; what begins with a `d` and is greater is a second half.
const HIGH_FIRST: u16 = 0xd800;
const HIGH_LAST: u16 = 0xdbff;

/// `text` without halves. It is copied only where it has one and is held elsewhere, too.
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
        match unit(text, at) {
            Some(HIGH_FIRST..=HIGH_LAST) if unit(text, from).is_some_and(|unit| unit > HIGH_LAST) => {
                from += LENGTH;
            }
            Some(_) => return Some(at),
            None => {}
        }
        if from > text.len() {
            return None;
        }
    }
    None
}

/// The code unit of the escape at `at`, if it is one of a surrogate.
fn unit(text: &[u8], at: usize) -> Option<u16> {
    let escape: &[u8; LENGTH] = text.get(at..)?.first_chunk()?;
    let [b'\\', b'u', digits @ ..] = escape else { return None };
    // Few escapes are read further.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.starts_with(['d', 'D']))?;
    u16::from_str_radix(digits, 16).ok().filter(|unit| *unit >= HIGH_FIRST)
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
            // The parser refuses an escape that is cut off or is wrong.
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
