//! The output of commands, for people on a terminal and for programs behind a pipe.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::Members;
use crate::telemetry::text::{is_unseen, visible_json};

/// Where a command's own output goes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Columns of the terminal; `None` for a pipe or a file, which are given lines as they are.
    pub width: Option<usize>,
}

impl Output {
    /// The standard output.
    pub fn standard() -> Self {
        let stdout = io::stdout();
        let width = || rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
        // A terminal without a size is taken for the usual one.
        let width = stdout.is_terminal().then(|| width().filter(|columns| *columns >= 40).unwrap_or(80));
        Self { width }
    }

    /// Writes `text`, and a newline when it ends without.
    ///
    /// # Errors
    ///
    /// When the reader has gone, or the disk is full.
    pub fn text(&self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Writes JSON text: as it is to programs, indented to people.
    ///
    /// # Errors
    ///
    /// As [`Output::text`].
    pub fn json(&self, json: &[u8]) -> io::Result<()> {
        match self.width.and_then(|_| indented(json)) {
            Some(indented) => self.text(&indented),
            None => self.bytes(json),
        }
    }

    fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        if !bytes.ends_with(b"\n") {
            stdout.write_all(b"\n")?;
        }
        stdout.flush()
    }
}

/// The JSON text `json` with a line for each member, and digits of numbers as they were; `None` when it is not JSON.
fn indented(json: &[u8]) -> Option<String> {
    let value: Indented<'_> = serde_json::from_slice(json).ok()?;
    let mut text = String::with_capacity(json.len() * 2);
    value.write(0, &mut text)?;
    Some(text)
}

/// A JSON text read one level deep, so that numbers are never turned into a double and back.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Indented<'a>(#[serde(borrow)] &'a RawValue);

/// Deeper levels stay on one line: no reader follows them, and a stack has an end.
const DEEPEST: usize = 100;

impl Indented<'_> {
    fn write(&self, depth: usize, text: &mut String) -> Option<()> {
        let json = self.0.get();
        let list =
            |text: &mut String, open: char, close: char, items: Vec<(Option<Cow<'_, str>>, Indented<'_>)>| {
                text.push(open);
                for (index, (name, item)) in items.iter().enumerate() {
                    text.push_str(if index == 0 { "\n" } else { ",\n" });
                    text.push_str(&"  ".repeat(depth + 1));
                    if let Some(name) = name {
                        text.push_str(&visible_json(&Value::from(&**name).to_string()));
                        text.push_str(": ");
                    }
                    item.write(depth + 1, text)?;
                }
                text.push('\n');
                text.push_str(&"  ".repeat(depth));
                text.push(close);
                Some(())
            };
        match json.as_bytes().first() {
            Some(b'{') if depth < DEEPEST => {
                let members: Members<'_, { usize::MAX }> = serde_json::from_str(json).ok()?;
                if members.0.is_empty() {
                    text.push_str("{}");
                    return Some(());
                }
                let members = members.0.into_iter().map(|(name, item)| (Some(name), Indented(item)));
                list(text, '{', '}', members.collect())
            }
            Some(b'[') if depth < DEEPEST => {
                let items: Vec<Indented<'_>> = serde_json::from_str(json).ok()?;
                if items.is_empty() {
                    text.push_str("[]");
                    return Some(());
                }
                list(text, '[', ']', items.into_iter().map(|item| (None, item)).collect())
            }
            _ => {
                text.push_str(&visible_json(json));
                Some(())
            }
        }
    }
}

/// A text of a server or gateway for a terminal. Lines and tabs stay; other unseen characters become escapes.
pub fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(character),
            '\r' => {}
            unseen if is_unseen(unseen) => shown.extend(unseen.escape_unicode()),
            seen => shown.push(seen),
        }
    }
    shown
}

/// A number of things: `1 tool`, `2 tools`.
pub fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// As [`shown`], on one line.
pub fn on_one_line(text: &str) -> String {
    shown(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indenting_keeps_digits_order_and_double_names() {
        let json = br#"{"b":1.10,"a":[12345678901234567890123,{}, []],"b":"\u001b[31m"}"#;
        insta::assert_snapshot!(indented(json).unwrap(), @r#"
        {
          "b": 1.10,
          "a": [
            12345678901234567890123,
            {},
            []
          ],
          "b": "\u001b[31m"
        }
        "#);
        assert_eq!(indented(b"\"text\"").unwrap(), "\"text\"");
        assert_eq!(indented(b"no JSON"), None);
    }

    #[test]
    fn escape_sequences_never_reach_a_terminal() {
        assert_eq!(indented("[\"a\u{9b}31m\"]".as_bytes()).unwrap(), "[\n  \"a\\u009b31m\"\n]");
        assert_eq!(shown("a\x1b[31m\r\n\tb\u{9b}"), "a\\u{1b}[31m\n\tb\\u{9b}");
        assert_eq!(shown("\u{202e}fdp.exe\u{2028}"), "\\u{202e}fdp.exe\\u{2028}");
        assert_eq!(on_one_line(" a\n\n b\x07 "), "a b\\u{7}");
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        assert!(indented(deep.as_bytes()).unwrap().contains("[[[["));
    }
}
