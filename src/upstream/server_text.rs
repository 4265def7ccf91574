//! Text that a server wrote, made fit for logs and error messages.

use crate::json::clip;
use crate::telemetry::text::visible;

/// The longest text of a server that is kept, in bytes.
const WORDS: usize = 1000;

/// A server's text on one line, cut to a length that a close reason may keep.
pub fn cut_words(message: &str) -> String {
    visible(clip(message, WORDS)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_characters() {
        assert_eq!(cut_words("short"), "short");
        assert_eq!(cut_words(&"ü".repeat(600)).len(), WORDS);
    }
}
