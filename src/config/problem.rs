//! What is wrong with a configuration, said so that it can be mended: where, why, and what to do.
//!
//! Loading collects every problem instead of stopping at the first; [`Problems`] is the list that the
//! readers write into, [`Place`] is where in the sources a reader stands. No problem quotes a value that
//! may be a secret; keys, names and words from a fixed list are quoted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Purpose;

/// Whether a configuration with this problem can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is served until this is mended.
    Error,
    /// The gateway starts, and says this in its log.
    Warning,
}

/// One thing that is wrong, with its place and its remedy. `Display` gives a readable block of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// The file as it was named on the command line; `None` for flags and environment variables.
    pub file: Option<PathBuf>,
    /// Counted from 1; `None` where a file as a whole is meant.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    /// `mcpServers.time.command`, or the flag or variable at fault; may be empty for a whole file.
    pub key_path: String,
    pub message: String,
    /// What the operator can do about it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })?;
        if let Some(file) = &self.file {
            write!(formatter, ": {}", file.display())?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(formatter, ":{line}:{column}")?;
            }
        }
        if !self.key_path.is_empty() {
            write!(formatter, ": {}", self.key_path)?;
        }
        write!(formatter, "\n  {}\n  fix: {}", self.message, self.fix)
    }
}

/// A point in a text; both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub line: usize,
    pub column: usize,
}

/// Where a reader stands: a value of a file, a flag, or an environment variable.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub file: Option<Arc<Path>>,
    pub position: Option<Position>,
    pub key_path: String,
}

impl Place {
    /// A file as a whole.
    pub fn file(path: &Path) -> Self {
        Self { file: Some(path.into()), position: None, key_path: String::new() }
    }

    /// A flag such as `--port`, or a variable such as `MCPO_PORT`.
    pub fn outside_files(name: &str) -> Self {
        Self { key_path: name.to_owned(), ..Self::default() }
    }

    /// The member `name` of the object here.
    pub fn member(&self, name: &str, position: Position) -> Self {
        let plain = |character: char| character.is_alphanumeric() || character == '_' || character == '-';
        let mut key_path = self.key_path.clone();
        if !key_path.is_empty() {
            key_path.push('.');
        }
        if !name.is_empty() && name.chars().all(plain) {
            key_path.push_str(name);
        } else {
            key_path.push_str(&format!("{name:?}"));
        }
        Self { file: self.file.clone(), position: Some(position), key_path }
    }

    /// The element `index` of the list here.
    pub fn element(&self, index: usize, position: Position) -> Self {
        let key_path = format!("{}[{index}]", self.key_path);
        Self { file: self.file.clone(), position: Some(position), key_path }
    }
}

/// The list that all readers write into.
#[derive(Debug)]
pub(super) struct Problems {
    purpose: Purpose,
    list: Vec<Problem>,
    /// Comparisons with names of the file that suggestions may still take.
    comparisons: usize,
}

/// Comparisons that suggestions may take in all: thousands of wrong names have one cause, and the first tell it.
const COMPARISONS: usize = 200_000;

impl Problems {
    pub fn new(purpose: Purpose) -> Self {
        Self { purpose, list: Vec::new(), comparisons: COMPARISONS }
    }

    /// Whether also what the configuration does not use in the end is to be looked at.
    pub fn is_check(&self) -> bool {
        self.purpose == Purpose::Check
    }

    pub fn error(&mut self, place: &Place, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Error, place, message.into(), fix.into());
    }

    pub fn warning(&mut self, place: &Place, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Warning, place, message.into(), fix.into());
    }

    /// Something that is surely a slip, but that mcpo starts with: an error for `mcpo check`, a warning
    /// for a gateway that has to come up.
    pub fn slip(&mut self, place: &Place, message: impl Into<String>, fix: impl Into<String>) {
        let severity = match self.purpose {
            Purpose::Check => Severity::Error,
            Purpose::Serve => Severity::Warning,
        };
        self.add(severity, place, message.into(), fix.into());
    }

    /// The one of `names` that was meant by `word`; they come from the file itself and may be many.
    pub fn nearest<'a>(
        &mut self,
        word: &str,
        names: impl ExactSizeIterator<Item = &'a str>,
    ) -> Option<&'a str> {
        self.comparisons = self.comparisons.checked_sub(names.len())?;
        nearest(word, names)
    }

    /// All problems, in the order in which a person reads the files.
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut list = self.list;
        list.sort_by(|left, right| {
            (&left.file, left.line, left.column).cmp(&(&right.file, right.line, right.column))
        });
        list
    }

    fn add(&mut self, severity: Severity, place: &Place, message: String, fix: String) {
        self.list.push(Problem {
            severity,
            file: place.file.as_deref().map(Path::to_path_buf),
            line: place.position.map(|position| position.line),
            column: place.position.map(|position| position.column),
            key_path: place.key_path.clone(),
            message,
            fix,
        });
    }
}

/// The candidate most like `word`, when one is like enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowered = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lowered, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_one_block_with_place_reason_and_fix() {
        let mut problems = Problems::new(Purpose::Serve);
        let place = Place::file(Path::new("c.json"))
            .member("mcpServers", Position { line: 1, column: 3 })
            .member("a b", Position { line: 4, column: 7 });
        problems.error(&place, "it is wrong", "mend it");
        insta::assert_snapshot!(problems.into_sorted()[0], @r#"
        error: c.json:4:7: mcpServers."a b"
          it is wrong
          fix: mend it
        "#);
    }

    #[test]
    fn a_slip_is_a_warning_when_serving_and_an_error_when_checking() {
        for (purpose, severity) in [(Purpose::Serve, Severity::Warning), (Purpose::Check, Severity::Error)] {
            let mut problems = Problems::new(purpose);
            problems.slip(&Place::default(), "odd", "mend it");
            assert_eq!(problems.into_sorted()[0].severity, severity);
        }
    }

    #[test]
    fn the_nearest_name_is_named_and_a_strange_one_is_not_guessed() {
        let known = ["command", "args", "url", "timeout"];
        assert_eq!(nearest("comand", known), Some("command"));
        assert_eq!(nearest("Timeout", known), Some("timeout"));
        assert_eq!(nearest("zebra", known), None);
    }
}
