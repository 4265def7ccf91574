//! Which of the two eras a server is of, as far as it is known: found by asking it once, remembered while its entry
//! stays the same.

use std::sync::atomic::{AtomicU8, Ordering};

use super::error::EndReason;
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

    /// While the server is spoken to in the manner that is known: when that comes to nothing, it is asked anew next time.
    pub fn doubt(&self) -> Doubt<'_> {
        Doubt { era: self, known: self.0.load(Ordering::Relaxed) }
    }

    fn forget(&self) {
        self.0.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// Forgets what was known of a server when it is dropped, unless it was dispelled before.
#[derive(Debug)]
pub struct Doubt<'a> {
    era: &'a Era,
    known: u8,
}

impl Doubt<'_> {
    /// Whether a try that failed so may have failed for the manner in which the server was spoken to.
    pub fn is_raised_by(&self, reason: &EndReason) -> bool {
        match reason {
            // The question for its era is more than some servers with sessions bear.
            EndReason::Exited { .. } | EndReason::OutputClosed { .. } => self.known == NO_SESSIONS,
            EndReason::Status(_) | EndReason::Handshake { .. } | EndReason::SessionLost => {
                self.known != UNKNOWN
            }
            _ => false,
        }
    }

    /// What is known holds.
    pub fn dispel(self) {
        std::mem::forget(self);
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.era.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        drop(era.doubt());
        era.learn_from("");
        assert_eq!(era.approach(None), Approach::Probe);
        assert_eq!(era.approach(Some(STATELESS)), Approach::Known(Manner::Stateless));
    }

    #[test]
    fn a_server_that_ends_is_doubted_only_where_the_question_may_have_ended_it() {
        let ended = EndReason::Exited { status: String::new(), stderr: Arc::default() };
        let refused =
            EndReason::Handshake { step: "initialize", error: String::new(), stderr: Arc::default() };
        let away = EndReason::Connect { address: String::new(), error: String::new() };
        let era = Era::default();
        for (manner, doubted) in
            [(Manner::Sessions, [false, true, false]), (Manner::Stateless, [true, true, false])]
        {
            era.learn(manner);
            let doubt = era.doubt();
            assert_eq!([&ended, &refused, &away].map(|reason| doubt.is_raised_by(reason)), doubted);
            doubt.dispel();
            assert_eq!(era.approach(None), Approach::Known(manner));
        }
    }
}
