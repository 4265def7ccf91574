//! What is told of odd definitions: each flaw once for a server, with the names of what has it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use super::{Flaw, Mended};
use crate::config::ServerName;

/// Flaws of one list that are told, each in a line; further ones are counted.
const MOST_TOLD: usize = 50;
/// Names in one line.
const MOST_NAMED: usize = 5;
/// Bytes of a name.
const LONGEST_NAME: usize = 128;
/// Lines that are remembered.
const MOST_REMEMBERED: usize = 4096;

/// The flaws of one list.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    untold: usize,
}

#[derive(Debug)]
struct Finding {
    flaw: Flaw,
    outcome: Outcome,
    names: Vec<String>,
    count: usize,
}

/// What became of that which has a flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Mended,
    LeftOut,
}

/// Lines that were told, so that a list that is asked for again and again tells them once.
#[derive(Debug, Default)]
pub struct Told(Mutex<HashSet<u64>>);

impl Findings {
    /// Takes note of what became of the definition called `name`.
    pub fn note(&mut self, name: &str, held: &Result<Option<Mended>, Flaw>) {
        match held {
            Ok(None) => {}
            Ok(Some(mended)) => mended.flaws.iter().for_each(|flaw| self.add(name, flaw, Outcome::Mended)),
            Err(flaw) => self.left_out(name, flaw),
        }
    }

    /// Takes note of a definition that cannot be mended.
    pub fn left_out(&mut self, name: &str, flaw: &Flaw) {
        self.add(name, flaw, Outcome::LeftOut);
    }

    fn add(&mut self, name: &str, flaw: &Flaw, outcome: Outcome) {
        let is_same = |finding: &Finding| finding.flaw == *flaw && finding.outcome == outcome;
        let place = self.list.iter().position(is_same).unwrap_or(self.list.len());
        if place == MOST_TOLD {
            self.untold += 1;
            return;
        }
        if place == self.list.len() {
            self.list.push(Finding { flaw: flaw.clone(), outcome, names: Vec::new(), count: 0 });
        }
        let finding = &mut self.list[place];
        finding.count += 1;
        if finding.names.len() < MOST_NAMED {
            finding.names.push(name[..name.floor_char_boundary(LONGEST_NAME)].to_owned());
        }
    }

    /// Says in the log what is wrong with the `kind` of `server` (`tool`, `prompt`, ...), unless that was `told`.
    pub fn tell(&self, server: &ServerName, kind: &'static str, told: Option<&Told>) {
        for Finding { flaw, outcome, names, count } in &self.list {
            let mut named = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            if *count > names.len() {
                named.push_str(&format!(" and {} more", count - names.len()));
            }
            let outcome = match outcome {
                Outcome::Mended => "clients get it without what is wrong",
                Outcome::LeftOut => "it is left out of lists",
            };
            let line = format!("{server}: {kind} {named}: {flaw}; {outcome}");
            if told.is_none_or(|told| told.is_news(&line)) {
                let name = names.first();
                tracing::warn!(mcp_server = %server, name, member = flaw.member, count, "{line}");
            }
        }
        if self.untold > 0 {
            let line = format!("{server}: {} further flaws of its {kind} definitions", self.untold);
            if told.is_none_or(|told| told.is_news(&line)) {
                tracing::warn!(mcp_server = %server, "{line}");
            }
        }
    }
}

impl Told {
    fn is_news(&self, line: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.len() < MOST_REMEMBERED && lines.insert(hasher.finish())
    }
}
