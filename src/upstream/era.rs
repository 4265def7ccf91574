//! Which of the two eras a server is of, as far as it is known: found by asking it once, remembered while its entry
//! stays the same.

use std::sync::atomic::{AtomicU8, Ordering};

use super::request::{Manner, STATELESS};

/// What is known of one server.
#[derive(Debug, Default)]
pub struct Era(AtomicU8);

/// How a connection is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approach {
    /// In the manner that the server is known or said to have.
    Known(Manner),
    /// By asking.
    Probe,
}

const UNKNOWN: u8 = 0;
const SESSIONS: u8 = 1;
const NO_SESSIONS: u8 = 2;

impl Era {
    /// The approach to a server whose entry pins `revision`, if it does.
    pub fn approach(&self, pin: Option<&str>) -> Approach {
        match (pin, self.0.load(Ordering::Relaxed)) {
            (Some(STATELESS), _) | (None, NO_SESSIONS) => Approach::Known(Manner::Stateless),
            (Some(_), _) | (None, SESSIONS) => Approach::Known(Manner::Sessions),
            (None, _) => Approach::Probe,
        }
    }

    /// What is known, or that of sessions.
    pub fn manner(&self) -> Manner {
        if self.0.load(Ordering::Relaxed) == NO_SESSIONS { Manner::Stateless } else { Manner::Sessions }
    }

    pub fn learn(&self, manner: Manner) {
        let known = if manner == Manner::Stateless { NO_SESSIONS } else { SESSIONS };
        self.0.store(known, Ordering::Relaxed);
    }

    /// Learns from the revision that was agreed on in an earlier run.
    pub fn learn_from(&self, revision: &str) {
        if !revision.is_empty() {
            self.learn(if revision == STATELESS { Manner::Stateless } else { Manner::Sessions });
        }
    }

    /// What was known has failed: the server is asked anew next time.
    pub fn forget(&self) {
        self.0.store(UNKNOWN, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_wins_over_what_was_learnt_and_that_over_asking() {
        let era = Era::default();
        assert_eq!(era.approach(None), Approach::Probe);
        era.learn_from("2025-06-18");
        assert_eq!(era.approach(None), Approach::Known(Manner::Sessions));
        era.learn_from(STATELESS);
        assert_eq!(era.approach(None), Approach::Known(Manner::Stateless));
        assert_eq!(era.approach(Some("2025-06-18")), Approach::Known(Manner::Sessions));
        era.forget();
        era.learn_from("");
        assert_eq!(era.approach(None), Approach::Probe);
        assert_eq!(era.approach(Some(STATELESS)), Approach::Known(Manner::Stateless));
    }
}
