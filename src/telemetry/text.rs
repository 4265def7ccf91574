//! Shows untrusted text: characters that a terminal or a viewer obeys or hides become their numbers.
//!
//! Messages carry words of servers and callers, so nothing in them may begin a line of its own, write to the operator's
//! terminal, turn the direction of what follows, or hide. Every form of the log passes through here, and so do reasons, the pages
//! and the command line.

use std::borrow::Cow;
use std::fmt::{self, Write};

use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

/// Whether `character` is obeyed or hidden instead of shown.
///
/// These are the controls (C0, DEL, C1), separators of lines, marks of direction, and characters without width: a byte order
/// mark, joiners, soft hyphens, tags and the supplementary variation selectors.
pub fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// `text` on one line, with each unseen character as its escape (`\n`, `\u{9b}`); a tab is a space.
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    escaped(text, |unseen, shown| match unseen {
        '\t' => shown.push(' '),
        _ => shown.extend(unseen.escape_default()),
    })
}

/// Escapes each unseen character of a JSON text; its value stays the same.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    escaped(json, |unseen, shown| match unseen {
        // JSON has these between its tokens alone.
        '\n' => shown.push('\n'),
        '\r' | '\t' => shown.push(' '),
        _ => {
            for unit in unseen.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("writing into a String cannot fail");
            }
        }
    })
}

fn escaped(text: &str, escape: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unseen(character) { escape(character, &mut shown) } else { shown.push(character) }
    }
    Cow::Owned(shown)
}

/// Whether all of it is printable ASCII, as nearly all text.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    // All of them are looked at, several at one time, which costs less than to stop at the first.
    bytes.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

/// Formats the message of an event, and the error where there is one: the other fields are for programs.
pub(super) fn message_only() -> impl for<'writer> FormatFields<'writer> + 'static {
    debug_fn(|out, field, value| {
        if field.name() == "message" || field.name() == "error" {
            let mut text = String::with_capacity(256);
            push_visible(&mut text, value);
            write!(out, "{text} ")?;
        }
        Ok(())
    })
}

/// Adds `value` to `text` as [`visible`] shows it.
pub(super) fn push_visible(text: &mut String, value: &dyn fmt::Debug) {
    let start = text.len();
    write!(text, "{value:?}").expect("writing into a String cannot fail");
    // All of it at one time: a message is written in many pieces, most of a few letters.
    if let Cow::Owned(shown) = visible(&text[start..]) {
        text.truncate(start);
        text.push_str(&shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_server_forges_a_line_or_reaches_the_terminal() {
        for (text, shown) in [
            ("plain ünï, \"quoted\"", "plain ünï, \"quoted\""),
            ("a\n2026 INFO forged\r\n", "a\\n2026 INFO forged\\r\\n"),
            ("\u{1b}[2Jgone\u{7}\u{9b}31m\u{7f}", "\\u{1b}[2Jgone\\u{7}\\u{9b}31m\\u{7f}"),
            ("a\u{2028}b\u{2029}c\u{85}d", "a\\u{2028}b\\u{2029}c\\u{85}d"),
            ("\u{202e}txt.exe\u{2069}\u{200f}\u{61c}", "\\u{202e}txt.exe\\u{2069}\\u{200f}\\u{61c}"),
            ("\u{feff}a\u{200b}b\u{e0041}", "\\u{feff}a\\u{200b}b\\u{e0041}"),
            ("\tat line 3", " at line 3"),
            ("हिन्दी e\u{301} 世界 🦀", "हिन्दी e\u{301} 世界 🦀"),
            ("", ""),
        ] {
            assert_eq!(visible(text), shown);
            let mut piecewise = "\t".to_owned();
            push_visible(&mut piecewise, &format_args!("{}{text}", 1));
            assert_eq!(piecewise, format!("\t1{shown}"));
        }
    }

    #[test]
    fn json_stays_the_value_that_it_was() {
        let value =
            serde_json::json!({ "a\u{9b}": "\u{7f}\u{202e}\u{e0041}\u{1b}\n", "b": ["\u{2028}", 1.50] });
        let json = format!("{value}\r\n");
        let shown = visible_json(&json);
        assert!(!shown.contains(|character| is_unseen(character) && character != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(matches!(visible_json("{\"a\":1}"), Cow::Borrowed(_)));
    }
}
