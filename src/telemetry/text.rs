//! The readable form of an event: its message says it all, and the fields are for programs.
//!
//! Messages can carry words of servers and callers, so nothing in them may forge a line of its own or write
//! to the operator's terminal: further lines are indented, and other control characters become spaces.

use std::fmt::{self, Write};

use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

/// Formats the message, and the error where there is one.
pub fn message_only() -> impl for<'writer> FormatFields<'writer> + 'static {
    debug_fn(|out, field, value| {
        if field.name() == "message" || field.name() == "error" {
            write!(Tame(out), "{value:?} ")?;
        }
        Ok(())
    })
}

/// Passes text on without its control characters.
struct Tame<'a, W>(&'a mut W);

impl<W: Write> Write for Tame<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Nearly all is, and needs no look at each character.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        for piece in text.split_inclusive(char::is_control) {
            let mut characters = piece.chars();
            match characters.next_back() {
                Some('\n') => write!(self.0, "{}\n    ", characters.as_str())?,
                Some(last) if last.is_control() => write!(self.0, "{} ", characters.as_str())?,
                _ => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tamed(text: &str) -> String {
        let mut out = String::new();
        write!(Tame(&mut out), "{text}").unwrap();
        out
    }

    #[test]
    fn no_word_of_a_server_forges_a_line_or_reaches_the_terminal() {
        assert_eq!(tamed("plain ünï, \"quoted\""), "plain ünï, \"quoted\"");
        assert_eq!(tamed("a\n2026 INFO forged\r\n"), "a\n    2026 INFO forged \n    ");
        assert_eq!(tamed("\u{1b}[2Jgone\u{7}\u{9b}31m"), " [2Jgone  31m");
        assert_eq!(tamed(""), "");
    }
}
