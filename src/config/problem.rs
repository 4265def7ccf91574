//! What is wrong with a configuration, said so that it can be mended: where, why, and what to do.
//!
//! Loading collects every problem instead of stopping at the first; [`Problems`] is the list that the
//! readers write into, [`Place`] is where in the sources a reader stands. No problem quotes a value that
//! may be a secret; keys, names and words from a fixed list are quoted.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Purpose;
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

impl Problem {
    /// The block line by line, for a log that has one line for each event.
    pub fn lines(&self) -> Vec<String> {
        self.to_string().lines().map(str::to_owned).collect()
    }
}

impl fmt::Display for Problem {
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

/// How like a candidate must be.
const LIKE_ENOUGH: f64 = 0.82;
/// What [`nearest`] may compare, in pairs of characters: both sides may be a stranger's, and each pair of names costs the
/// product of their lengths.
const MOST_PAIRS: usize = 4 << 20;

/// The candidate most like `word`, when one is like enough to be what was meant. Candidates that cannot be are told by the
/// letters that they have; of those that are left over when [`MOST_PAIRS`] are compared none is named.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lowered = word.to_lowercase();
    let letters = Letters::of(&lowered);
    let mut pairs = MOST_PAIRS;
    candidates
        .into_iter()
        .filter(|candidate| letters.may_be_like(candidate))
        .map_while(|candidate| {
            pairs = pairs.checked_sub(lowered.len() * candidate.len())?;
            Some((strsim::jaro_winkler(&lowered, &candidate.to_lowercase()), candidate))
        })
        .filter(|(likeness, _)| *likeness > LIKE_ENOUGH)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// How often each byte stands in a word, in lower case; all that are not ASCII count as one.
struct Letters {
    counts: [u16; 128],
    length: usize,
}

impl Letters {
    fn of(word: &str) -> Self {
        let mut counts = [0_u16; 128];
        for byte in word.bytes() {
            let count = &mut counts[Self::position(byte)];
            *count = count.saturating_add(1);
        }
        Self { counts, length: word.len() }
    }

    fn position(byte: u8) -> usize {
        usize::from(byte.to_ascii_lowercase().min(127))
    }

    /// Whether the two have enough bytes in common for a likeness that counts: more than 0.7 by Jaro, as Winkler adds at
    /// most four tenths of the rest to that.
    fn may_be_like(&self, other: &str) -> bool {
        const LEAST_JARO: f64 = 0.7;
        let (shorter, longer) = (self.length.min(other.len()), self.length.max(other.len()));
        if longer > 10 * shorter {
            return false;
        }
        let mut left = self.counts;
        let mut common = 0_u32;
        for byte in other.bytes() {
            let count = &mut left[Self::position(byte)];
            common += u32::from(*count > 0);
            *count = count.saturating_sub(1);
        }
        let part = |length: usize| f64::from(common) / length as f64;
        (part(self.length) + part(other.len()) + 1.0) / 3.0 > LEAST_JARO
    }
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
    fn a_key_of_a_file_adds_no_line_to_the_block() {
        let mut problems = Problems::new(Purpose::Serve);
        problems.error(&Place::outside_files("a\u{9b}"), "`x\nerror: forged` is wrong\u{202e}", "mend\nit");
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
        assert_eq!(nearest("", known), None);
        assert_eq!(nearest("GRÖSSE", ["grosse", "größe"]), Some("grosse"));
    }

    #[test]
    fn what_cannot_be_meant_is_told_by_its_letters_and_costs_no_comparison() {
        let far: Vec<String> = (0..50_000).map(|number| format!("{}_{number}", "xyz".repeat(21))).collect();
        let word = "abcdefghij".repeat(12);
        let candidates = far.iter().map(String::as_str).chain([&*word]);
        assert_eq!(nearest(&word, candidates), Some(&*word), "the others are not compared");
    }

    #[test]
    fn alike_names_are_compared_up_to_a_bound_whatever_their_number() {
        let word = "some_rather_usual_tool_name".repeat(4);
        let mut compared = 0;
        let alike = format!("{word}_");
        let candidates = std::iter::repeat_n(&*alike, 1_000_000).inspect(|_| compared += 1);
        assert_eq!(nearest(&word, candidates), Some(&*alike));
        assert!(compared <= MOST_PAIRS / (word.len() * word.len()) + 1, "{compared}");
    }
}
