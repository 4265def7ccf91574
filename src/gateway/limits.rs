//! Limits of calls: a rate and a concurrency for each API key and user, a concurrency for all, and a rate for each server.
//!
//! Every call is checked here, so that no lock is taken: a rate is one atomic word (GCRA), calls in flight are another.
//! Counts outlive a reload where the limit stays the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::catalog::{Caller, CallerLimits};
use crate::config::{Config, RateConfig};
use crate::shares::{Bounds, Exceeded, Principal, Thing};
use crate::sync::lock;

/// Users whose limits are kept. Beyond, those without a call in flight are forgotten.
const MOST_USERS: usize = 10_000;
/// The `Retry-After` of a caller at its concurrency: the end of a call cannot be known.
const TRY_AGAIN: Duration = Duration::from_secs(1);

const CALLS: Thing = Thing { setting: "calls", plural: "calls" };

/// The limits of one configuration.
#[derive(Debug)]
pub struct Limits {
    calls: Bounds,
    in_flight: Arc<AtomicUsize>,
    keys: HashMap<Box<str>, Allowance>,
    /// Made with a user's first call; one that rests is forgotten when there are many.
    users: papaya::HashMap<Principal, Arc<Allowance>>,
    servers: HashMap<Box<str>, Allowance>,
}

/// The limits of one key or one server.
#[derive(Debug, Default)]
struct Allowance {
    rate: Option<Arc<Rate>>,
    concurrency: Option<usize>,
    in_flight: Arc<AtomicUsize>,
}

type Limiter = RateLimiter<
    NotKeyed,
    InMemoryState,
    MonotonicClock,
    NoOpMiddleware<<MonotonicClock as governor::clock::Clock>::Instant>,
>;

#[derive(Debug)]
struct Rate {
    config: RateConfig,
    limiter: Limiter,
}

/// Permits one call; dropped, it frees its place among the calls of all and of its key.
#[derive(Debug)]
pub struct Permit {
    of_all: Arc<AtomicUsize>,
    of_key: Option<Arc<AtomicUsize>>,
}

/// A permit taken before its call is known; the first call takes it.
#[derive(Debug, Default)]
pub struct EarlyPermit(Option<Mutex<Option<Permit>>>);

/// A call over a limit. `Display` names the setting to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    bound: LimitKind,
    /// The entry's name, or the user's.
    name: Box<str>,
    /// When to try again.
    pub retry_after: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LimitKind {
    Calls(Exceeded),
    KeyRate(RateConfig),
    KeyConcurrency(usize),
    UserRate(RateConfig),
    UserConcurrency(usize),
    ServerRate(RateConfig),
}

impl Limits {
    /// The limits of `config`. Counts of `before` continue where the limit is the same.
    pub fn new(config: &Config, before: Option<&Self>) -> Self {
        let keys = config.auth.keys.iter().map(|key| {
            let known = before.and_then(|before| before.keys.get(&*key.name));
            (key.name.as_str().into(), Allowance::new(key.rights.rate, key.rights.concurrency, known))
        });
        let servers = config.servers.iter().filter(|server| server.rate.is_some()).map(|server| {
            let known = before.and_then(|before| before.servers.get(server.name.as_str()));
            (server.name.as_str().into(), Allowance::new(server.rate, None, known))
        });
        Self {
            calls: config.shares().calls(),
            in_flight: before.map(|before| before.in_flight.clone()).unwrap_or_default(),
            keys: keys.collect(),
            users: before.map(|before| before.users.clone()).unwrap_or_default(),
            servers: servers.collect(),
        }
    }

    /// Permits one call of `key`. To be asked before the arguments are read.
    ///
    /// # Errors
    ///
    /// [`Limited`], which counted nothing against the limit that it names.
    pub fn admit(&self, caller: &Caller) -> Result<Permit, Limited> {
        let principal = &caller.principal;
        if let Some(user) = principal.user() {
            let limit = self.of_user(caller);
            let permit = self.take_place(principal, Some(&limit))?;
            limit.take_call(user, LimitKind::UserRate)?;
            return Ok(permit);
        }
        let limit = principal.key_name().and_then(|key| Some((key, self.keys.get(key)?)));
        let permit = self.take_place(principal, limit.map(|(_, limit)| limit))?;
        if let Some((name, limit)) = limit {
            limit.take_call(name, LimitKind::KeyRate)?;
        }
        Ok(permit)
    }

    fn of_user(&self, caller: &Caller) -> Arc<Allowance> {
        let CallerLimits { rate, concurrency } = caller.limits;
        let users = self.users.pin();
        let known = users.get(&caller.principal);
        if let Some(known) = known.filter(|known| known.is_of(rate, concurrency)) {
            return known.clone();
        }
        if users.len() >= MOST_USERS {
            users.retain(|_, allowance| allowance.in_flight.load(Ordering::Relaxed) > 0);
        }
        let made = Arc::new(Allowance::new(rate, concurrency, known.map(|known| &**known)));
        users.insert(caller.principal.clone(), made.clone());
        made
    }

    fn take_place(&self, principal: &Principal, limit: Option<&Allowance>) -> Result<Permit, Limited> {
        // Counted first, and given back when the permit is dropped, so that concurrent calls never pass a bound.
        let of_key = limit.map(|limit| limit.in_flight.clone());
        let of_all = self.in_flight.clone();
        let taken = of_all.fetch_add(1, Ordering::Relaxed);
        let held = of_key.as_ref().map_or(0, |of_key| of_key.fetch_add(1, Ordering::Relaxed));
        let permit = Permit { of_all, of_key };
        let limited = |bound| Limited {
            bound,
            name: principal.user().or(principal.key_name()).unwrap_or_default().into(),
            retry_after: TRY_AGAIN,
        };
        let at_most =
            if principal.user().is_some() { LimitKind::UserConcurrency } else { LimitKind::KeyConcurrency };
        if let Some(most) = limit.and_then(|limit| limit.concurrency).filter(|most| held >= *most) {
            return Err(limited(at_most(most)));
        }
        match self.calls.check(held, taken) {
            Ok(()) => Ok(permit),
            Err(bound) => {
                let principal = principal.clone();
                let exceeded = Exceeded { principal, thing: CALLS, bound, bounds: self.calls };
                Err(limited(LimitKind::Calls(exceeded)))
            }
        }
    }

    /// Permits a call to `server`.
    ///
    /// To be asked after [`Limits::admit`], so that a key over its own rate uses up nothing of the server's.
    ///
    /// # Errors
    ///
    /// As [`Limits::admit`].
    pub fn admit_to(&self, server: &str) -> Result<(), Limited> {
        self.servers.get(server).map_or(Ok(()), |limit| limit.take_call(server, LimitKind::ServerRate))
    }
}

impl EarlyPermit {
    pub fn new(permit: Permit) -> Self {
        Self(Some(Mutex::new(Some(permit))))
    }

    /// The permit, unless there was none or a call took it.
    pub fn take(&self) -> Option<Permit> {
        lock(self.0.as_ref()?).take()
    }
}

impl Allowance {
    fn new(rate: Option<RateConfig>, concurrency: Option<usize>, before: Option<&Self>) -> Self {
        let known = before.and_then(|before| before.rate.clone());
        let rate = rate.map(|config| match known {
            Some(known) if known.config == config => known,
            _ => {
                let quota = Quota::with_period(config.interval()).expect("a rate's interval is not zero");
                let quota = quota.allow_burst(config.burst);
                Arc::new(Rate { config, limiter: RateLimiter::direct_with_clock(quota, MonotonicClock) })
            }
        });
        // Calls that are under way count under a new limit, too.
        let in_flight = before.map(|before| before.in_flight.clone()).unwrap_or_default();
        Self { rate, concurrency, in_flight }
    }

    fn is_of(&self, rate: Option<RateConfig>, concurrency: Option<usize>) -> bool {
        self.concurrency == concurrency && self.rate.as_ref().map(|rate| rate.config) == rate
    }

    fn take_call(&self, name: &str, bound: impl FnOnce(RateConfig) -> LimitKind) -> Result<(), Limited> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.limiter.check().map_err(|not_until| Limited {
            bound: bound(rate.config),
            name: name.into(),
            retry_after: not_until.wait_time_from(rate.limiter.clock().now()),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of_all.fetch_sub(1, Ordering::Relaxed);
        if let Some(of_key) = &self.of_key {
            of_key.fetch_sub(1, Ordering::Relaxed);
        }
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

#[cfg(test)]
mod tests;
