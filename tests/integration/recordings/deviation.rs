//! The table of wanted deviations from the recordings.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::compare::{Observed, changes, merge};
use crate::support::provisioned::root;

/// One line: which recorded pairs it is about, and what holds there instead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// File name in `tests/oracle/recordings`.
    pub file: String,
    /// Label of the pair; `*` for every label.
    pub label: String,
    /// The request's path, where one label stands for several.
    pub path: Option<String>,
    /// The request's JSON body, where one label stands for several.
    pub request: Option<Value>,
    pub status: Option<u16>,
    /// The whole body, with the patterns of `compare::matches`.
    pub body: Option<Value>,
    /// What differs in the body, as a JSON merge patch on the recorded one.
    pub patch: Option<Value>,
    /// Headers that differ; null for one that is not there.
    #[serde(default)]
    pub headers: BTreeMap<String, Option<String>>,
    pub reason: String,
    pub source: String,
}

/// The pair that a line may be about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub file: &'a str,
    pub label: &'a str,
    pub path: &'a str,
    pub request: Option<&'a Value>,
}

impl Line {
    fn is_about(&self, subject: &Subject<'_>) -> bool {
        self.file == subject.file
            && (self.label == "*" || self.label == subject.label)
            && self.path.as_ref().is_none_or(|path| path == subject.path)
            && self.request.as_ref().is_none_or(|request| Some(request) == subject.request)
    }

    /// Puts what this line says in place of what was recorded; names what it says without a difference.
    fn apply(&self, recorded: &Observed, wanted: &mut Observed) -> Vec<&'static str> {
        let mut idle = Vec::new();
        if let Some(status) = self.status {
            wanted.status = status;
            if recorded.status == status {
                idle.push("status");
            }
        }
        if let Some(body) = self.body.clone() {
            wanted.body = body;
            if !changes(&wanted.body, &recorded.body) {
                idle.push("body");
            }
        }
        if let Some(patch) = &self.patch {
            merge(&mut wanted.body, patch);
            if !changes(&wanted.body, &recorded.body) {
                idle.push("patch");
            }
        }
        for (name, value) in &self.headers {
            if recorded.headers.get(name) == value.as_ref() {
                idle.push("headers");
            }
            match value {
                Some(value) => wanted.headers.insert(name.clone(), value.clone()),
                None => wanted.headers.remove(name),
            };
        }
        idle
    }
}

/// All lines, and which of them were of use.
#[derive(Debug)]
pub struct Table {
    lines: Vec<Line>,
    used: Vec<bool>,
    idle: Vec<String>,
}

impl Table {
    pub fn read() -> Self {
        let path = root().join("tests/oracle/deviations.json");
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Line> = serde_json::from_str(&text).unwrap();
        let used = vec![false; lines.len()];
        Self { lines, used, idle: Vec::new() }
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What must be observed in place of `recorded`.
    pub fn wanted(&mut self, subject: &Subject<'_>, recorded: &Observed) -> Observed {
        let mut wanted = recorded.clone();
        for (line, used) in self.lines.iter().zip(&mut self.used) {
            if line.is_about(subject) {
                *used = true;
                let idle = line.apply(recorded, &mut wanted);
                if !idle.is_empty() {
                    let (file, label) = (subject.file, subject.label);
                    self.idle
                        .push(format!("{file} {label}: a line of the table changes nothing in {idle:?}"));
                }
            }
        }
        wanted
    }

    /// What is wrong with the lines for `file` after all its pairs were looked at.
    pub fn faults(self, file: &str) -> Vec<String> {
        let unused = self.lines.iter().zip(&self.used).filter(|(line, used)| line.file == file && !**used);
        let unused =
            unused.map(|(line, _)| format!("{file} {}: a line of the table fits no pair", line.label));
        unused.chain(self.idle.iter().cloned()).collect()
    }
}
