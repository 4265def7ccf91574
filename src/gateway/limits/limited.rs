//! The refusal of a call over a limit.

use std::fmt;
use std::time::Duration;

use crate::config::RateConfig;
use crate::shares::{Exceeded, Principal};

/// A call over a limit. `Display` names the setting to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    pub(super) bound: LimitKind,
    /// The entry's name, or the user's.
    pub(super) name: Box<str>,
    /// When to try again.
    pub retry_after: Duration,
}

/// The limit that was met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LimitKind {
    Calls(Exceeded),
    KeyRate(RateConfig),
    KeyConcurrency(usize),
    UserRate(RateConfig),
    UserConcurrency(usize),
    ServerRate(RateConfig),
}

impl LimitKind {
    /// The rate of `principal`: its user's, or its key's.
    pub fn rate_of(principal: &Principal) -> fn(RateConfig) -> Self {
        if principal.user().is_some() { Self::UserRate } else { Self::KeyRate }
    }

    /// The concurrency of `principal`: its user's, or its key's.
    pub fn concurrency_of(principal: &Principal) -> fn(usize) -> Self {
        if principal.user().is_some() { Self::UserConcurrency } else { Self::KeyConcurrency }
    }
}

impl Limited {
    /// The outcome's name in logs, and the stable code of the refusal.
    pub fn code(&self) -> &'static str {
        match &self.bound {
            LimitKind::KeyRate(_) | LimitKind::UserRate(_) | LimitKind::ServerRate(_) => "rate_limited",
            LimitKind::KeyConcurrency(_) | LimitKind::UserConcurrency(_) | LimitKind::Calls(_) => {
                "concurrency_limited"
            }
        }
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bound, name, retry_after } = self;
        let seconds = retry_after.as_secs_f64().max(0.1);
        match bound {
            LimitKind::Calls(exceeded) => exceeded.fmt(formatter),
            LimitKind::KeyRate(rate) => write!(
                formatter,
                "the API key `{name}` may make {rate} (`apiKeys.{name}.rate`); the next one is free in {seconds:.1} s"
            ),
            LimitKind::KeyConcurrency(limit) => write!(
                formatter,
                "the API key `{name}` may have {limit} {calls} in flight (`apiKeys.{name}.concurrency`), and has; try \
                 again when one has ended",
                calls = if *limit == 1 { "call" } else { "calls" }
            ),
            LimitKind::UserRate(rate) => write!(
                formatter,
                "the user `{name}` may make {rate} (`rate` of the entry in `users`); the next one is free in {seconds:.1} s"
            ),
            LimitKind::UserConcurrency(limit) => write!(
                formatter,
                "the user `{name}` may have {limit} {calls} in flight (`concurrency` of the entry in `users`), and has; \
                 try again when one has ended",
                calls = if *limit == 1 { "call" } else { "calls" }
            ),
            LimitKind::ServerRate(rate) => write!(
                formatter,
                "it takes {rate} from all callers together (`mcpServers.{name}.rate`); the next one is free in \
                 {seconds:.1} s"
            ),
        }
    }
}
