//! The limits of one key, one user or one server, and what was counted under them.

use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::limited::{LimitKind, Limited};
use crate::config::RateConfig;
use crate::shared_store::{CallCount, SharedRate, SharedStore};

/// The limits of one key, one user or one server.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    pub rate: Option<Arc<Rate>>,
    pub concurrency: Option<usize>,
    pub in_flight: Arc<CallCount>,
}

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as governor::clock::Clock>::Instant>,
>;

/// A rate, as this process counts it, and as all replicas do.
#[derive(Debug)]
pub(super) struct Rate {
    pub config: RateConfig,
    limiter: Limiter,
    /// `None` without a shared store.
    pub shared: Option<Arc<SharedRate>>,
}

impl Allowance {
    /// The limits of an entry. `shared` is the store that counts them for all replicas, and the entry's name there.
    pub fn new(
        rate: Option<RateConfig>,
        concurrency: Option<usize>,
        before: Option<&Self>,
        shared: Option<(&SharedStore, String)>,
    ) -> Self {
        let known = before.and_then(|before| before.rate.clone());
        let rate = rate.map(|config| match known {
            Some(known) if known.config == config => known,
            _ => {
                let quota = Quota::with_period(config.interval()).expect("a rate's interval is not zero");
                let quota = quota.allow_burst(config.burst);
                let limiter = RateLimiter::direct_with_clock(quota, MonotonicClock);
                let in_store = |(store, name): &(&SharedStore, String)| {
                    Arc::new(store.rate(name, config.interval(), config.burst.get()))
                };
                Arc::new(Rate { config, limiter, shared: shared.as_ref().map(in_store) })
            }
        });
        // Calls that are under way count under a new limit, too.
        let in_flight = before.map(|before| before.in_flight.clone()).unwrap_or_default();
        if let Some((store, name)) = shared.filter(|_| concurrency.is_some()) {
            store.share_count(&in_flight, &name);
        }
        Self { rate, concurrency, in_flight }
    }

    pub fn is_of(&self, rate: Option<RateConfig>, concurrency: Option<usize>) -> bool {
        self.concurrency == concurrency && self.rate.as_ref().map(|rate| rate.config) == rate
    }

    pub fn take_call(&self, name: &str, bound: impl FnOnce(RateConfig) -> LimitKind) -> Result<(), Limited> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.take_call().map_err(|retry_after| Limited {
            bound: bound(rate.config),
            name: name.into(),
            retry_after,
        })
    }
}

impl Rate {
    /// Counts a call in this process.
    ///
    /// # Errors
    ///
    /// When it comes too early: how long it has to wait.
    pub fn take_call(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|not_until| not_until.wait_time_from(self.limiter.clock().now()))
    }

    /// Counts a call that the store has let through: should the store go away, this count goes on.
    pub fn note_call(&self) {
        let _decided_by_the_store = self.limiter.check();
    }
}
