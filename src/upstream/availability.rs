//! Whether a server can take calls: its state at one moment, and why there is no connection.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::upstream::error::{CloseReason, StatusReason};

/// Calls to an unavailable server cause at most one try in this time.
pub const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The state of one server, with when it began.
#[derive(Debug, Clone)]
pub struct UpstreamState {
    pub phase: Phase,
    /// When the state began; of a server that is down, when that began, however often it was tried since.
    pub since: SystemTime,
    /// Tries that failed since the server last lived long enough to count as healthy.
    pub failures: u32,
}

/// The phases in the life of a server.
#[derive(Debug, Clone)]
pub enum Phase {
    /// A try is under way. `last` is why an earlier one failed.
    Starting {
        last: Option<Arc<CloseReason>>,
    },
    Ready,
    Unavailable {
        reason: Arc<CloseReason>,
        tried_at: Instant,
        /// When the supervisor tries next by itself.
        retry_at: Instant,
    },
    /// The configuration says `disabled`.
    Disabled,
    /// Taken out of service: nothing of the server is left.
    Retired,
}

impl UpstreamState {
    pub fn new(phase: Phase, failures: u32) -> Self {
        Self { phase, since: SystemTime::now(), failures }
    }

    /// The state that follows this one now.
    pub fn followed_by(&self, phase: Phase, failures: u32) -> Self {
        let next = Self::new(phase, failures);
        match self.is_down() && next.is_down() {
            true => Self { since: self.since, ..next },
            false => next,
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.phase, Phase::Unavailable { .. } | Phase::Starting { last: Some(_) })
    }

    /// The state's name as `/servers` has it.
    pub fn name(&self) -> &'static str {
        match self.phase {
            Phase::Starting { .. } => "starting",
            Phase::Ready => "ready",
            Phase::Unavailable { .. } => "unavailable",
            Phase::Disabled => "disabled",
            Phase::Retired => "retired",
        }
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    /// Whether the first try has ended, well or not.
    pub fn is_settled(&self) -> bool {
        !matches!(self.phase, Phase::Starting { last: None })
    }

    /// Why the server is not ready, where a reason is known.
    pub fn reason(&self) -> Option<&Arc<CloseReason>> {
        match &self.phase {
            Phase::Unavailable { reason, .. } => Some(reason),
            Phase::Starting { last } => last.as_ref(),
            Phase::Ready | Phase::Disabled | Phase::Retired => None,
        }
    }
}

/// A server that cannot take a call now.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// `None` when the configuration disables the server.
    pub reason: Option<Arc<CloseReason>>,
    /// When the supervisor tries next by itself.
    pub retry_after: Duration,
}

impl Unavailable {
    /// The server cannot take a call for this reason, and a call may cause the next try.
    pub(super) fn because(reason: CloseReason) -> Self {
        Self { reason: Some(Arc::new(reason)), retry_after: TRY_AGAIN }
    }
}

/// Why there is no connection for a call.
#[derive(Debug, Clone)]
pub enum NoConnection {
    Unavailable(Unavailable),
    /// The server answered the opening of a dedicated connection with this status: it refuses this caller, and
    /// may well serve others.
    Refused(StatusReason),
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn tries_of_a_server_that_is_down_do_not_hide_how_long_it_is() {
        let reason = Arc::new(CloseReason::Refused("no".to_owned()));
        let unavailable = || Phase::Unavailable {
            reason: reason.clone(),
            tried_at: Instant::now(),
            retry_at: Instant::now() + Duration::from_secs(1),
        };
        let trying = || Phase::Starting { last: Some(reason.clone()) };
        let at = |phase| UpstreamState { since: UNIX_EPOCH, ..UpstreamState::new(phase, 1) };
        for (before, after, is_one_outage) in [
            (unavailable(), trying(), true),
            (trying(), unavailable(), true),
            (Phase::Ready, trying(), false),
            (trying(), Phase::Ready, false),
            (Phase::Starting { last: None }, unavailable(), false),
        ] {
            let shown = format!("{before:?} then {after:?}");
            let next = at(before).followed_by(after, 2);
            assert_eq!((next.since == UNIX_EPOCH, next.failures), (is_one_outage, 2), "{shown}");
        }
    }
}
