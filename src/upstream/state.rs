//! What is known of a server at one moment.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::TRY_AGAIN;
use super::error::EndReason;

/// The state of one server, with when it began.
#[derive(Debug, Clone)]
pub struct UpstreamState {
    pub phase: Phase,
    pub since: SystemTime,
    /// Tries that failed since the server last lived long enough to count as healthy.
    pub failures: u32,
}

/// The four states of product section 5, and the end.
#[derive(Debug, Clone)]
pub enum Phase {
    /// A try is under way. `last` is why an earlier one failed.
    Starting {
        last: Option<Arc<EndReason>>,
    },
    Ready,
    Unavailable {
        reason: Arc<EndReason>,
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
    pub fn reason(&self) -> Option<&Arc<EndReason>> {
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
    pub reason: Option<Arc<EndReason>>,
    /// When the supervisor tries next by itself.
    pub retry_after: Duration,
}

impl Unavailable {
    /// The server was taken out of service by a reload, or the gateway ends.
    pub(super) fn retired() -> Self {
        Self { reason: Some(Arc::new(EndReason::Stopping)), retry_after: TRY_AGAIN }
    }
}
