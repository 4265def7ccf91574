//! Which of the two eras a server is of, as far as it is known: found by asking it once, remembered while its entry
//! stays the same.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::protocol::Era;
use crate::upstream::error::CloseReason;

/// The era of one server or connection, as far as it is known.
#[derive(Debug, Default)]
pub struct EraCache(AtomicU8);

const UNKNOWN: u8 = 0;
const SESSIONS: u8 = 1;
const NO_SESSIONS: u8 = 2;

impl EraCache {
    /// The era of a server whose entry may pin a revision; `None` when the server has to be probed.
    pub fn known(&self, pin: Option<&str>) -> Option<Era> {
        match (pin, self.0.load(Ordering::Relaxed)) {
            (Some(revision), _) => Some(Era::of(revision)),
            (None, NO_SESSIONS) => Some(Era::Stateless),
            (None, SESSIONS) => Some(Era::Sessions),
            (None, _) => None,
        }
    }

    /// The era of requests now: [`Era::Sessions`] until the server is known to be stateless.
    pub fn current(&self) -> Era {
        if self.0.load(Ordering::Relaxed) == NO_SESSIONS { Era::Stateless } else { Era::Sessions }
    }

    pub fn learn(&self, era: Era) {
        let known = if era == Era::Stateless { NO_SESSIONS } else { SESSIONS };
        self.0.store(known, Ordering::Relaxed);
    }

    /// Learns from the revision that was agreed on in an earlier run.
    pub fn learn_from(&self, revision: &str) {
        if !revision.is_empty() {
            self.learn(Era::of(revision));
        }
    }

    /// Guards the known era while a connection is tried. When that fails, the server is probed next time.
    pub fn guard(&self) -> EraGuard<'_> {
        EraGuard { era: self, known: self.0.load(Ordering::Relaxed) }
    }

    fn forget(&self) {
        self.0.store(UNKNOWN, Ordering::Relaxed);
    }
}

/// Forgets the known era of a server when it is dropped, unless [`EraGuard::keep`] was called.
#[derive(Debug)]
pub struct EraGuard<'a> {
    era: &'a EraCache,
    known: u8,
}

impl EraGuard<'_> {
    /// Whether a try that ended for this reason may have failed for its era.
    pub fn may_concern_era(&self, reason: &CloseReason) -> bool {
        match reason {
            // The question for its era is more than some servers with sessions bear.
            CloseReason::Exited { .. } | CloseReason::OutputClosed { .. } => self.known == NO_SESSIONS,
            CloseReason::Status(_) | CloseReason::Handshake { .. } | CloseReason::SessionLost => {
                self.known != UNKNOWN
            }
            _ => false,
        }
    }

    /// Keeps the known era.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for EraGuard<'_> {
    fn drop(&mut self) {
        self.era.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::protocol::revision::STATELESS;

    #[test]
    fn a_pin_wins_over_what_was_learnt_and_that_over_asking() {
        let era = EraCache::default();
        assert_eq!(era.known(None), None);
        era.learn_from("2025-06-18");
        assert_eq!(era.known(None), Some(Era::Sessions));
        era.learn_from(STATELESS);
        assert_eq!(era.known(None), Some(Era::Stateless));
        assert_eq!(era.known(Some("2025-06-18")), Some(Era::Sessions));
        drop(era.guard());
        era.learn_from("");
        assert_eq!(era.known(None), None);
        assert_eq!(era.known(Some(STATELESS)), Some(Era::Stateless));
    }

    #[test]
    fn a_server_that_ends_is_doubted_only_where_the_question_may_have_ended_it() {
        let ended = CloseReason::Exited { status: String::new(), stderr: Arc::default() };
        let refused =
            CloseReason::Handshake { step: "initialize", error: String::new(), stderr: Arc::default() };
        let away = CloseReason::Connect { address: String::new(), error: String::new() };
        let era = EraCache::default();
        for (known, doubted) in [(Era::Sessions, [false, true, false]), (Era::Stateless, [true, true, false])]
        {
            era.learn(known);
            let guard = era.guard();
            assert_eq!([&ended, &refused, &away].map(|reason| guard.may_concern_era(reason)), doubted);
            guard.keep();
            assert_eq!(era.known(None), Some(known));
        }
    }
}
