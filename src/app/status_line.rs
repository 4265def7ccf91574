//! The one line of `systemctl status`: the servers that are ready, and the reasons of the others. Pure.

use std::fmt;
use std::sync::Arc;

use crate::upstream::{Phase, Upstream, UpstreamState};

/// The longest line, in characters: it fits into a terminal beside systemd's own words.
const LONGEST: usize = 200;
/// The longest note in it, so that the first reason has room.
const LONGEST_NOTE: usize = 120;

/// How many servers are ready, and why the others are not. `Display` gives the line, at most 200
/// characters: `12 of 13 servers ready; athena: it cannot be reached`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusLine {
    pub ready: usize,
    /// Servers that should be ready: all but the disabled ones.
    pub total: usize,
    /// Name and short reason of each server that is not ready, in the order of the configuration.
    pub troubles: Vec<(String, String)>,
    /// A reload under way, or why the last one failed.
    pub note: Option<String>,
}

impl StatusLine {
    /// The line for `upstreams` as they are now, with reasons that every user of the machine may read.
    pub fn of(upstreams: &[Arc<Upstream>], note: Option<String>) -> Self {
        let mut line = Self { note, ..Self::default() };
        for upstream in upstreams {
            line.add(upstream.name().as_str(), &upstream.state());
        }
        line
    }

    fn add(&mut self, name: &str, state: &UpstreamState) {
        let trouble = match &state.phase {
            Phase::Disabled | Phase::Retired => return,
            Phase::Ready => None,
            Phase::Starting { last: None } => Some("starting".to_owned()),
            Phase::Starting { last: Some(reason) } | Phase::Unavailable { reason, .. } => {
                Some(reason.public())
            }
        };
        self.total += 1;
        match trouble {
            None => self.ready += 1,
            Some(reason) => self.troubles.push((name.to_owned(), reason)),
        }
    }
}

impl fmt::Display for StatusLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = match self.total {
            0 => "no servers configured".to_owned(),
            total => format!("{} of {total} servers ready", self.ready),
        };
        if let Some(note) = &self.note {
            line.push_str("; ");
            line.push_str(&cut(note, LONGEST_NOTE));
        }
        let mut left = self.troubles.len();
        for (name, reason) in &self.troubles {
            left -= 1;
            let part = format!("; {name}: {reason}");
            let rest = more(left);
            if length(&line) + length(&part) + length(&rest) > LONGEST {
                line.push_str(&more(left + 1));
                break;
            }
            line.push_str(&part);
        }
        formatter.write_str(&line)
    }
}

fn more(count: usize) -> String {
    match count {
        0 => String::new(),
        count => format!("; {count} more"),
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::upstream::CloseReason;

    fn line(ready: usize, total: usize, troubles: &[(&str, &str)], note: Option<&str>) -> String {
        let owned = |(name, reason): &(&str, &str)| ((*name).to_owned(), (*reason).to_owned());
        let troubles = troubles.iter().map(owned).collect();
        StatusLine { ready, total, troubles, note: note.map(str::to_owned) }.to_string()
    }

    #[test]
    fn the_line_counts_names_and_notes() {
        let athena = ("athena", "it cannot be reached");
        for (told, expected) in [
            (line(13, 13, &[], None), "13 of 13 servers ready"),
            (line(12, 13, &[athena], None), "12 of 13 servers ready; athena: it cannot be reached"),
            (line(0, 0, &[], None), "no servers configured"),
            (line(0, 1, &[("time", "starting")], None), "0 of 1 servers ready; time: starting"),
            (
                line(12, 13, &[athena], Some("reloading")),
                "12 of 13 servers ready; reloading; athena: it cannot be reached",
            ),
        ] {
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn the_line_is_bounded_and_says_how_many_it_leaves_out() {
        let long = "ü".repeat(60);
        let troubles: Vec<(&str, &str)> = vec![("server", &long); 13];
        let told = line(0, 13, &troubles, None);
        assert!(length(&told) <= LONGEST && told.ends_with(&format!("; server: {long}; 11 more")), "{told}");
        let note = "x".repeat(500);
        let told = line(0, 13, &troubles, Some(&note));
        assert!(length(&told) <= LONGEST && told.ends_with("…; 13 more"), "{told}");
        let endless = "y".repeat(500);
        assert_eq!(line(0, 1, &[("server", &endless)], None), "0 of 1 servers ready; 1 more");
        // The last one fits where no `more` has to follow.
        let exact = "z".repeat(LONGEST - length("0 of 1 servers ready; s: "));
        assert_eq!(length(&line(0, 1, &[("s", &exact)], None)), LONGEST);
    }

    #[test]
    fn states_are_told_by_their_public_reason_and_disabled_servers_are_not_counted() {
        let reason = Arc::new(CloseReason::Connect { address: "10.0.0.1:9".into(), error: "refused".into() });
        let now = Instant::now();
        let unavailable = Phase::Unavailable { reason: reason.clone(), tried_at: now, retry_at: now };
        let mut line = StatusLine::default();
        for (name, phase) in [
            ("a", Phase::Ready),
            ("b", unavailable),
            ("c", Phase::Starting { last: Some(reason) }),
            ("d", Phase::Starting { last: None }),
            ("e", Phase::Disabled),
        ] {
            line.add(name, &UpstreamState::new(phase, 0));
        }
        assert_eq!(
            line.to_string(),
            "1 of 4 servers ready; b: it cannot be reached; c: it cannot be reached; d: starting"
        );
    }
}
