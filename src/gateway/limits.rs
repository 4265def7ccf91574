//! Limits of calls: a rate and a concurrency for each API key, a concurrency for all, and a rate for each server.
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

use crate::config::{Config, RateConfig};
use crate::shares::{Bounds, Exceeded, Principal, Thing};
use crate::sync::lock;

/// The `Retry-After` of a caller at its concurrency: the end of a call cannot be known.
const TRY_AGAIN: Duration = Duration::from_secs(1);

const CALLS: Thing = Thing { setting: "calls", plural: "calls" };

/// The limits of one configuration.
#[derive(Debug)]
pub struct Limits {
    calls: Bounds,
    in_flight: Arc<AtomicUsize>,
    keys: HashMap<Box<str>, Allowance>,
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
    /// The entry's name.
    name: Box<str>,
    /// When to try again.
    pub retry_after: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum LimitKind {
    Calls(Exceeded),
    KeyRate(RateConfig),
    KeyConcurrency(usize),
    ServerRate(RateConfig),
}

impl Limits {
    /// The limits of `config`. Counts of `before` continue where the limit is the same.
    pub fn new(config: &Config, before: Option<&Self>) -> Self {
        let keys = config.auth.keys.iter().map(|key| {
            let known = before.and_then(|before| before.keys.get(&*key.name));
            (key.name.as_str().into(), Allowance::new(key.rate, key.concurrency, known))
        });
        let servers = config.servers.iter().filter(|server| server.rate.is_some()).map(|server| {
            let known = before.and_then(|before| before.servers.get(server.name.as_str()));
            (server.name.as_str().into(), Allowance::new(server.rate, None, known))
        });
        Self {
            calls: config.shares().calls(),
            in_flight: before.map(|before| before.in_flight.clone()).unwrap_or_default(),
            keys: keys.collect(),
            servers: servers.collect(),
        }
    }

    /// Permits one call of `key`. To be asked before the arguments are read.
    ///
    /// # Errors
    ///
    /// [`Limited`], which counted nothing against the limit that it names.
    pub fn admit(&self, principal: &Principal) -> Result<Permit, Limited> {
        let Some((name, limit)) = principal.key_name().and_then(|key| Some((key, self.keys.get(key)?)))
        else {
            return self.take_place(principal, None);
        };
        let permit = self.take_place(principal, Some(limit))?;
        limit.take_call(name, LimitKind::KeyRate)?;
        Ok(permit)
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
            name: principal.key_name().unwrap_or_default().into(),
            retry_after: TRY_AGAIN,
        };
        if let Some(most) = limit.and_then(|limit| limit.concurrency).filter(|most| held >= *most) {
            return Err(limited(LimitKind::KeyConcurrency(most)));
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
            LimitKind::KeyRate(_) | LimitKind::ServerRate(_) => "rate_limited",
            LimitKind::KeyConcurrency(_) | LimitKind::Calls(_) => "concurrency_limited",
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
            LimitKind::ServerRate(rate) => write!(
                formatter,
                "it takes {rate} from all callers together (`mcpServers.{name}.rate`); the next one is free in \
                 {seconds:.1} s"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::config::{ApiKeyConfig, SecretText, ServerConfig, ServerName, TransportConfig};

    fn rate(calls: u32, per: u64) -> RateConfig {
        let calls = NonZeroU32::new(calls).unwrap();
        RateConfig::new(calls, Duration::from_secs(per), calls).unwrap()
    }

    fn config(key: Option<RateConfig>, concurrency: Option<usize>, server: Option<RateConfig>) -> Config {
        let mut config = Config::default();
        for name in ["busy", "calm"] {
            config.auth.keys.push(ApiKeyConfig {
                rate: key.filter(|_| name == "busy"),
                concurrency: concurrency.filter(|_| name == "busy"),
                ..ApiKeyConfig::new(name, SecretText::literal(name))
            });
        }
        let name = ServerName::new("s").unwrap();
        config.servers =
            vec![ServerConfig { rate: server, ..ServerConfig::new(name, TransportConfig::Gateway) }];
        config
    }

    fn admit(limits: &Limits, key: Option<&str>, server: &str) -> Result<Permit, Limited> {
        let permit = limits.admit(&key.map(Principal::of_key).unwrap_or_default())?;
        limits.admit_to(server)?;
        Ok(permit)
    }

    #[test]
    fn a_key_that_calls_too_often_is_told_when_to_come_again_and_others_are_not_touched() {
        let limits = Limits::new(&config(Some(rate(2, 3600)), None, None), None);
        for _ in 0..2 {
            admit(&limits, Some("busy"), "s").unwrap();
        }
        let limited = admit(&limits, Some("busy"), "s").unwrap_err();
        assert_eq!(limited.code(), "rate_limited");
        let wait = limited.retry_after.as_secs();
        assert!((1790..=1800).contains(&wait), "{wait}");
        let told = limited.to_string();
        assert!(told.contains("2 calls in 3600 s") && told.contains("`apiKeys.busy.rate`"), "{told}");
        for caller in [Some("calm"), Some("unknown"), None] {
            for _ in 0..10 {
                admit(&limits, caller, "s").unwrap();
            }
        }
    }

    #[test]
    fn a_servers_rate_is_for_all_callers_together_and_a_limited_key_uses_none_of_it() {
        let limits = Limits::new(&config(Some(rate(1, 3600)), None, Some(rate(2, 3600))), None);
        admit(&limits, Some("busy"), "s").unwrap();
        for _ in 0..5 {
            assert!(admit(&limits, Some("busy"), "s").unwrap_err().to_string().contains("apiKeys.busy"));
        }
        admit(&limits, Some("calm"), "s").unwrap();
        let told = admit(&limits, None, "s").unwrap_err().to_string();
        assert!(told.contains("`mcpServers.s.rate`"), "{told}");
        admit(&limits, Some("calm"), "other").unwrap();
    }

    #[test]
    fn calls_in_flight_are_counted_until_they_end() {
        let limits = Limits::new(&config(None, Some(2), None), None);
        let first = admit(&limits, Some("busy"), "s").unwrap();
        let _second = admit(&limits, Some("busy"), "s").unwrap();
        let limited = admit(&limits, Some("busy"), "s").unwrap_err();
        assert_eq!((limited.code(), limited.retry_after), ("concurrency_limited", TRY_AGAIN));
        assert!(limited.to_string().contains("`apiKeys.busy.concurrency`"), "{limited}");
        drop(first);
        admit(&limits, Some("busy"), "s").unwrap();
    }

    #[test]
    fn one_keys_calls_leave_room_for_those_of_others_and_all_have_a_bound() {
        let mut config = config(None, None, None);
        config.limits.calls = 8;
        let limits = Limits::new(&config, None);
        let mut held: Vec<Permit> = (0..4).map(|_| admit(&limits, Some("busy"), "s").unwrap()).collect();
        let limited = admit(&limits, Some("busy"), "s").unwrap_err();
        assert_eq!(limited.code(), "concurrency_limited");
        assert!(limited.to_string().contains("`limits.callsPerKey`"), "{limited}");
        while let Ok(permit) = admit(&limits, Some("calm"), "s") {
            held.push(permit);
        }
        assert_eq!(held.len(), 7, "the last ones are for those that have none");
        held.push(admit(&limits, None, "s").unwrap_or_else(|limited| panic!("{limited}")));
        let limited = admit(&limits, Some("calm"), "s").unwrap_err();
        assert!(limited.to_string().contains("`limits.calls`"), "{limited}");
        held.clear();
        admit(&limits, Some("busy"), "s").unwrap();
    }

    #[test]
    fn a_call_that_its_rate_refuses_holds_no_place() {
        let limits = Limits::new(&config(Some(rate(1, 3600)), Some(1), None), None);
        drop(admit(&limits, Some("busy"), "s").unwrap());
        for _ in 0..3 {
            assert_eq!(admit(&limits, Some("busy"), "s").unwrap_err().code(), "rate_limited");
        }
    }

    #[test]
    fn a_reload_keeps_what_was_counted_under_the_same_limit() {
        let same = config(Some(rate(1, 3600)), Some(1), None);
        let limits = Limits::new(&same, None);
        let held = admit(&limits, Some("busy"), "s").unwrap();
        let kept = Limits::new(&same, Some(&limits));
        assert_eq!(admit(&kept, Some("busy"), "s").unwrap_err().code(), "concurrency_limited");
        drop(held);
        assert_eq!(admit(&kept, Some("busy"), "s").unwrap_err().code(), "rate_limited");
        let other = Limits::new(&config(Some(rate(2, 3600)), Some(1), None), Some(&kept));
        admit(&other, Some("busy"), "s").unwrap();
    }
}
