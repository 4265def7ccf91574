//! Limits of calls: a rate and a concurrency for each API key and user, a concurrency for all, and a rate for each server.
//!
//! Every call is checked here, so that no lock is taken: a rate is one atomic word (GCRA), calls in flight are another.
//! Counts outlive a reload where the limit stays the same.
//!
//! With a shared store, rates and concurrency count over all replicas: a call with a limit asks the store once, for its
//! caller and its server together. While the store is away, and within each process, the counts here hold.

mod allowance;
mod limited;
mod permit;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::catalog::{Caller, CallerLimits};
use crate::config::Config;
use crate::json::hex;
use crate::shared_store::{Admission, AdmissionVerdict, CountState, SharedStore};
use crate::shares::{Bounds, Exceeded, Principal, Thing};
use allowance::Allowance;
use limited::LimitKind;
pub use limited::Limited;
use permit::CountedAhead;
pub use permit::{EarlyPermit, Permit};

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
    /// Counts for all replicas.
    store: Option<Arc<SharedStore>>,
}

impl Limits {
    /// The limits of `config`. Counts of `before` continue where the limit is the same. `store` counts for all replicas.
    pub fn new(config: &Config, before: Option<&Self>, store: Option<Arc<SharedStore>>) -> Self {
        let keys = config.auth.keys.iter().map(|key| {
            let known = before.and_then(|before| before.keys.get(&*key.name));
            let shared = store.as_deref().map(|store| (store, format!("key:{}", key.name)));
            (key.name.as_str().into(), Allowance::new(key.rights.rate, key.rights.concurrency, known, shared))
        });
        let servers = config.servers.iter().filter(|server| server.rate.is_some()).map(|server| {
            let known = before.and_then(|before| before.servers.get(server.name.as_str()));
            let shared = store.as_deref().map(|store| (store, format!("server:{}", server.name)));
            (server.name.as_str().into(), Allowance::new(server.rate, None, known, shared))
        });
        Self {
            calls: config.shares().calls(),
            in_flight: before.map(|before| before.in_flight.clone()).unwrap_or_default(),
            keys: keys.collect(),
            users: before.map(|before| before.users.clone()).unwrap_or_default(),
            servers: servers.collect(),
            store,
        }
    }

    /// Permits one call of `caller`. To be asked before the arguments are read. A `server` that is known already has the
    /// call counted under its rate in the same round trip, for [`Limits::admit_to`].
    ///
    /// # Errors
    ///
    /// [`Limited`], which counted nothing against the limit that it names.
    pub async fn admit(&self, caller: &Caller, server: Option<&str>) -> Result<Permit, Limited> {
        let principal = &caller.principal;
        let of_user = principal.user().map(|_| self.of_user(caller));
        let of_key = || self.keys.get(principal.key_name()?);
        let limit = match &of_user {
            Some(of_user) => Some(&**of_user),
            None => of_key(),
        };
        let (mut permit, state) = self.take_place(principal, limit)?;
        if let Some(store) = &self.store {
            let server = server.and_then(|server| Some((server, self.servers.get(server)?)));
            let is_limited = limit.is_some_and(|limit| limit.rate.is_some() || limit.concurrency.is_some());
            if is_limited || server.is_some() {
                let asking = self.ask(store, principal, limit.map(|limit| (limit, state)), server);
                if Box::pin(asking).await? {
                    let rate = server.and_then(|(_, limit)| limit.rate.clone());
                    permit.ahead = rate.map(|rate| Box::new(CountedAhead { store: store.clone(), rate }));
                    return Ok(permit);
                }
            }
        }
        if let Some(limit) = limit {
            limit.take_call(shown(principal), LimitKind::rate_of(principal))?;
        }
        Ok(permit)
    }

    /// Asks the store for a call of `principal`, and for one to `server`; `false` while the store is away.
    async fn ask(
        &self,
        store: &SharedStore,
        principal: &Principal,
        limit: Option<(&Allowance, CountState)>,
        server: Option<(&str, &Allowance)>,
    ) -> Result<bool, Limited> {
        let own = limit.and_then(|(limit, _)| limit.rate.as_ref());
        let of_server = server.and_then(|(_, limit)| limit.rate.as_ref());
        let place = limit.and_then(|(limit, state)| Some((&*limit.in_flight, state, limit.concurrency?)));
        let rates = [own, of_server].map(|rate| rate.and_then(|rate| rate.shared.as_deref()));
        let Ok(verdict) = store.admit(&Admission { place, rates }).await else { return Ok(false) };
        if let (Some(own), AdmissionVerdict::Admitted | AdmissionVerdict::OverRate(1, _)) = (own, verdict) {
            own.note_call();
        }
        let (bound, name, retry_after) = match (verdict, place, own, server.zip(of_server)) {
            (AdmissionVerdict::NoPlace, Some((.., most)), ..) => {
                (LimitKind::concurrency_of(principal)(most), shown(principal), TRY_AGAIN)
            }
            (AdmissionVerdict::OverRate(0, wait), _, Some(own), _) => {
                (LimitKind::rate_of(principal)(own.config), shown(principal), wait)
            }
            (AdmissionVerdict::OverRate(_, wait), .., Some(((name, _), rate))) => {
                (LimitKind::ServerRate(rate.config), name, wait)
            }
            _ => return Ok(true),
        };
        Err(Limited { bound, name: name.into(), retry_after })
    }

    fn of_user(&self, caller: &Caller) -> Arc<Allowance> {
        let CallerLimits { rate, concurrency } = caller.limits;
        let users = self.users.pin();
        let known = users.get(&caller.principal);
        if let Some(known) = known.filter(|known| known.is_of(rate, concurrency)) {
            return known.clone();
        }
        if users.len() >= MOST_USERS {
            users.retain(|_, allowance| allowance.in_flight.now() > 0);
        }
        let shared = self.store.as_deref().zip(caller.principal.id());
        // Names of users are theirs, and may be long.
        let shared = shared.map(|(store, id)| (store, format!("user:{}", hex(&Sha256::digest(id)))));
        let made = Arc::new(Allowance::new(rate, concurrency, known.map(|known| &**known), shared));
        users.insert(caller.principal.clone(), made.clone());
        made
    }

    fn take_place(
        &self,
        principal: &Principal,
        limit: Option<&Allowance>,
    ) -> Result<(Permit, CountState), Limited> {
        // Counted first, and given back when the permit is dropped, so that concurrent calls never pass a bound.
        let of_key = limit.map(|limit| limit.in_flight.clone());
        let of_all = self.in_flight.clone();
        let taken = of_all.fetch_add(1, Ordering::Relaxed);
        let state = of_key.as_ref().map(|of_key| of_key.begin()).unwrap_or_default();
        let held = usize::try_from(state.count).unwrap_or(usize::MAX).saturating_sub(1);
        let permit = Permit { of_all, of_key, ahead: None };
        let limited = |bound| Limited { bound, name: shown(principal).into(), retry_after: TRY_AGAIN };
        if let Some(most) = limit.and_then(|limit| limit.concurrency).filter(|most| held >= *most) {
            return Err(limited(LimitKind::concurrency_of(principal)(most)));
        }
        match self.calls.check(held, taken) {
            Ok(()) => Ok((permit, state)),
            Err(bound) => {
                let principal = principal.clone();
                let exceeded = Exceeded { principal, thing: CALLS, bound, bounds: self.calls };
                Err(limited(LimitKind::Calls(exceeded)))
            }
        }
    }

    /// Permits the call of `permit` to `server`.
    ///
    /// To be asked after [`Limits::admit`], so that a key over its own rate uses up nothing of the server's.
    ///
    /// # Errors
    ///
    /// As [`Limits::admit`].
    pub async fn admit_to(&self, server: &str, permit: &mut Permit) -> Result<(), Limited> {
        let Some(limit) = self.servers.get(server) else { return Ok(()) };
        if let (Some(store), Some(rate)) = (&self.store, &limit.rate) {
            if let Some(counted) = permit.ahead.take_if(|ahead| Arc::ptr_eq(&ahead.rate, rate)) {
                counted.rate.note_call();
                return Ok(());
            }
            let asking = self.ask(store, Principal::ANONYMOUS, None, Some((server, limit)));
            if Box::pin(asking).await? {
                rate.note_call();
                return Ok(());
            }
        }
        limit.take_call(server, LimitKind::ServerRate)
    }
}

/// The name in the words of a refusal.
fn shown(principal: &Principal) -> &str {
    principal.user().or(principal.key_name()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
