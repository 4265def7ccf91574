//! Problems of a configuration, each with its place, the reason and the fix.
//!
//! Loading collects every problem instead of stopping at the first; [`Problems`] is the list that the
//! readers write into, [`Location`] is where in the sources a reader stands. No problem quotes a value that
//! may be a secret; keys, names and words from a fixed list are quoted.

use std::fmt;
use std::path::{Path, PathBuf};

use super::location::Location;
use super::nearest::nearest;
use super::sources::Purpose;
use crate::telemetry::text::visible;

/// Whether a configuration with this problem can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is served until this is mended.
    Error,
    /// The gateway starts, and says this in its log.
    Warning,
}

/// One thing that is wrong, with its place and its remedy. `Display` gives a readable block of three lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
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
    /// The remedy, for the operator.
    pub fix: String,
}

impl ConfigProblem {
    /// The block line by line, for a log that has one line for each event.
    pub fn lines(&self) -> Vec<String> {
        self.to_string().lines().map(str::to_owned).collect()
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })?;
        if let Some(file) = &self.file {
            write!(formatter, ": {}", visible(&file.display().to_string()))?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(formatter, ":{line}:{column}")?;
            }
        }
        if !self.key_path.is_empty() {
            write!(formatter, ": {}", visible(&self.key_path))?;
        }
        write!(formatter, "\n  {}\n  fix: {}", visible(&self.message), visible(&self.fix))
    }
}

/// The list that all readers write into.
#[derive(Debug)]
pub(super) struct Problems {
    purpose: Purpose,
    list: Vec<ConfigProblem>,
    /// Comparisons with names of the file that suggestions may still take.
    comparisons: usize,
}

/// Comparisons that suggestions may take in all: thousands of wrong names have one cause, and the first ones show it.
const COMPARISONS: usize = 200_000;

impl Problems {
    pub fn new(purpose: Purpose) -> Self {
        Self { purpose, list: Vec::new(), comparisons: COMPARISONS }
    }

    /// Whether values that another one replaces are checked, too.
    pub fn is_check(&self) -> bool {
        self.purpose == Purpose::Check
    }

    pub fn error(&mut self, location: &Location, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Error, location, message.into(), fix.into());
    }

    pub fn warning(&mut self, location: &Location, message: impl Into<String>, fix: impl Into<String>) {
        self.add(Severity::Warning, location, message.into(), fix.into());
    }

    /// Something that is surely a slip, but that mcpo starts with. It is an error for `mcpo check`, and a warning for a
    /// gateway that has to come up.
    pub fn slip(&mut self, location: &Location, message: impl Into<String>, fix: impl Into<String>) {
        let severity = match self.purpose {
            Purpose::Check => Severity::Error,
            Purpose::Serve => Severity::Warning,
        };
        self.add(severity, location, message.into(), fix.into());
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
    pub fn into_sorted(self) -> Vec<ConfigProblem> {
        let mut list = self.list;
        list.sort_by(|left, right| {
            (&left.file, left.line, left.column).cmp(&(&right.file, right.line, right.column))
        });
        list
    }

    fn add(&mut self, severity: Severity, location: &Location, message: String, fix: String) {
        self.list.push(ConfigProblem {
            severity,
            file: location.file.as_deref().map(Path::to_path_buf),
            line: location.position.map(|position| position.line),
            column: location.position.map(|position| position.column),
            key_path: location.key_path.clone(),
            message,
            fix,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::location::Position;
    use super::*;

    #[test]
    fn a_problem_reads_as_one_block_with_place_reason_and_fix() {
        let mut problems = Problems::new(Purpose::Serve);
        let location = Location::file(Path::new("c.json"))
            .member("mcpServers", Position { line: 1, column: 3 })
            .member("a b", Position { line: 4, column: 7 });
        problems.error(&location, "it is wrong", "mend it");
        insta::assert_snapshot!(problems.into_sorted()[0], @r#"
        error: c.json:4:7: mcpServers."a b"
          it is wrong
          fix: mend it
        "#);
    }

    #[test]
    fn a_key_of_a_file_adds_no_line_to_the_block() {
        let mut problems = Problems::new(Purpose::Serve);
        problems.error(
            &Location::outside_files("a\u{9b}"),
            "`x\nerror: forged` is wrong\u{202e}",
            "mend\nit",
        );
        insta::assert_snapshot!(problems.into_sorted()[0], @r"
        error: a\u{9b}
          `x\nerror: forged` is wrong\u{202e}
          fix: mend\nit
        ");
    }

    #[test]
    fn a_slip_is_a_warning_when_serving_and_an_error_when_checking() {
        for (purpose, severity) in [(Purpose::Serve, Severity::Warning), (Purpose::Check, Severity::Error)] {
            let mut problems = Problems::new(purpose);
            problems.slip(&Location::default(), "odd", "mend it");
            assert_eq!(problems.into_sorted()[0].severity, severity);
        }
    }
}
