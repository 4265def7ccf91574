//! Log lines about odd definitions: each flaw once a server, with the names that have it.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use super::flaw::Flaw;
use super::mended::Mended;
use crate::config::ServerName;
use crate::json::clip;

/// Flaws of one list that are logged, each in a line; further ones are counted.
const MOST_LOGGED: usize = 50;
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
    unlogged: usize,
    /// That the list is too long, once it was cut.
    cut: Option<String>,
}

#[derive(Debug)]
struct Finding {
    flaw: Flaw,
    outcome: Treatment,
    names: Vec<String>,
    count: usize,
}

/// The treatment of a definition with a flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Mended,
    LeftOut,
}

/// Lines that were logged, so that repeated requests for a list log them once.
#[derive(Debug, Default)]
pub struct LoggedLines(Mutex<HashSet<u64>>);

impl Findings {
    /// Notes the outcome of the definition called `name`.
    pub fn note(&mut self, name: &str, held: &Result<Option<Mended>, Flaw>) {
        match held {
            Ok(None) => {}
            Ok(Some(mended)) => mended.flaws.iter().for_each(|flaw| self.add(name, flaw, Treatment::Mended)),
            Err(flaw) => self.left_out(name, flaw),
        }
    }

    /// Notes a definition that cannot be mended.
    pub fn left_out(&mut self, name: &str, flaw: &Flaw) {
        self.add(name, flaw, Treatment::LeftOut);
    }

    fn add(&mut self, name: &str, flaw: &Flaw, outcome: Treatment) {
        let is_same = |finding: &Finding| finding.flaw == *flaw && finding.outcome == outcome;
        let place = self.list.iter().position(is_same).unwrap_or(self.list.len());
        if place == MOST_LOGGED {
            self.unlogged += 1;
            return;
        }
        if place == self.list.len() {
            self.list.push(Finding { flaw: flaw.clone(), outcome, names: Vec::new(), count: 0 });
        }
        let finding = &mut self.list[place];
        finding.count += 1;
        if finding.names.len() < MOST_NAMED {
            finding.names.push(clip(name, LONGEST_NAME).to_owned());
        }
    }

    /// Notes that a page of the list of `what` passed `bound` and was cut after `count` entries.
    pub fn cut(&mut self, what: &str, bound: impl Display, count: usize) {
        let cut = format!("a page of its list of {what} is longer than {bound} and is cut after {count}");
        self.cut.get_or_insert(cut);
    }

    /// Logs the flaws of the `kind` of `server` (`tool`, `prompt`, ...) that `logged` does not hold yet.
    pub fn log(&self, server: &ServerName, kind: &'static str, logged: Option<&LoggedLines>) {
        for (line, finding) in self.lines(server, kind) {
            if logged.is_none_or(|logged| logged.is_news(&line)) {
                let name = finding.and_then(|finding| finding.names.first());
                let (member, count) =
                    (finding.map(|finding| &*finding.flaw.member), finding.map(|finding| finding.count));
                tracing::warn!(mcp_server = %server, name, member, count, "{line}");
            }
        }
    }

    /// The lines about the `kind` of `server`.
    fn lines(&self, server: &ServerName, kind: &'static str) -> Vec<(String, Option<&Finding>)> {
        let flaws = self.list.iter().map(|finding| (format!("{server}: {kind} {finding}"), Some(finding)));
        let unlogged =
            (self.unlogged > 0).then(|| format!("{} further flaws of its {kind} definitions", self.unlogged));
        let others = unlogged.iter().chain(&self.cut).map(|line| (format!("{server}: {line}"), None));
        flaws.chain(others).collect()
    }
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flaw, outcome, names, count } = self;
        let named = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        formatter.write_str(&named)?;
        if *count > names.len() {
            write!(formatter, " and {} more", count - names.len())?;
        }
        let outcome = match outcome {
            Treatment::Mended => "clients get it without what is wrong",
            Treatment::LeftOut => "it is left out of lists",
        };
        write!(formatter, ": {flaw}; {outcome}")
    }
}

impl LoggedLines {
    fn is_news(&self, line: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.len() < MOST_REMEMBERED && lines.insert(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::definition::flaw::Wrong;

    #[test]
    fn each_flaw_has_a_line_and_a_list_that_was_cut_one_of_its_own() {
        let mut findings = Findings::default();
        let flaw = |member: &str| Flaw { member: member.to_owned(), wrong: Wrong::Missing };
        for place in 0..MOST_NAMED + 2 {
            findings.left_out(&format!("p{place}"), &flaw("name"));
        }
        findings.cut("prompts", "50000 entries", 49_993);
        let told = |findings: &Findings| {
            let lines = findings.lines(&ServerName::new("s").unwrap(), "prompt");
            lines.into_iter().map(|(line, _)| line).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&findings),
            [
                "s: prompt `p0`, `p1`, `p2`, `p3`, `p4` and 2 more: `name` is missing; it is left out of lists",
                "s: a page of its list of prompts is longer than 50000 entries and is cut after 49993",
            ]
        );
        for place in 0..=MOST_LOGGED {
            findings.left_out("p", &flaw(&place.to_string()));
        }
        assert_eq!(told(&findings)[MOST_LOGGED], "s: 2 further flaws of its prompt definitions");
    }
}
