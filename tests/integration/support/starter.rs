//! A program under a path without blanks that starts another one: the conformance suite splits its client's command at
//! them, and a clone may lie anywhere.

use std::path::Path;

use tempfile::TempDir;

/// The folder of the script; it ends with the value.
#[derive(Debug)]
pub struct Starter(TempDir);

impl Starter {
    /// For these words, to which come those that the script is started with.
    pub fn of(words: &[&Path]) -> Self {
        let folder = TempDir::with_prefix("mcpo-start-").unwrap();
        let quoted = |word: &&Path| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"));
        let words: Vec<String> = words.iter().map(quoted).collect();
        std::fs::write(folder.path().join("start"), format!("exec {} \"$@\"\n", words.join(" "))).unwrap();
        Self(folder)
    }

    /// The words that start it, with one blank between them. The shell reads the script: a file that was just written
    /// cannot always be executed.
    pub fn command(&self) -> String {
        let command = format!("sh {}", self.0.path().join("start").display());
        assert_eq!(command.split_whitespace().count(), 2, "TMPDIR has blanks: {command}");
        command
    }
}
