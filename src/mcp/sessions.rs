//! The table of the sessions of clients. They outlive reloads, and end with the gateway.
//!
//! A session is its key's: under another key, in another profile, or at another endpoint, its id is unknown. Looking one
//! up takes no lock. Opening and ending one takes a short one, for a time that does not depend on how many there are.

mod order;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::place::Place;
use super::session::{Session, new_id};
use crate::catalog::Caller;
use crate::shares::{Bound, Bounds, Principal, Seldom, Thing};
use order::Order;

/// What callers share here.
const SESSIONS: Thing = Thing { setting: "sessions", plural: "sessions" };

/// The table of all sessions.
#[derive(Debug)]
pub struct Sessions {
    table: papaya::HashMap<Box<[u8]>, Arc<Session>>,
    order: Mutex<Order>,
    serials: AtomicU64,
    began: Instant,
    evictions: Seldom,
}

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub principal: Principal,
    /// The one that the requests ask for.
    profile: Option<Arc<str>>,
    /// The server of the endpoint, `None` for that of all.
    server: Option<Box<str>>,
}

/// How many sessions there may be, and how long each may rest.
#[derive(Debug, Clone, Copy)]
pub struct SessionBounds {
    pub shares: Bounds,
    pub idle: Duration,
}

impl Holder {
    /// Whoever calls as `caller` at `place`.
    pub fn of(caller: &Caller, place: &Place) -> Self {
        Self {
            principal: caller.principal(),
            profile: caller.profile.clone(),
            server: place.server().map(Box::from),
        }
    }

    fn is(&self, caller: &Caller, place: &Place) -> bool {
        self.principal.key_name() == caller.key_name.as_deref()
            && self.profile == caller.profile
            && self.server.as_deref() == place.server()
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            table: papaya::HashMap::new(),
            order: Mutex::default(),
            serials: AtomicU64::new(0),
            began: Instant::now(),
            evictions: Seldom::default(),
        }
    }
}

impl Sessions {
    /// Opens a session of `holder`. Those that have rested for too long end; when there are too many all the same, one of
    /// the caller that has most does, which rested longest.
    ///
    /// # Errors
    ///
    /// When the kernel gives no random numbers.
    pub fn open(
        &self,
        holder: Holder,
        bounds: SessionBounds,
        capabilities: Option<&RawValue>,
        revision: &'static str,
    ) -> Result<Arc<Session>, rustix::io::Errno> {
        let SessionBounds { shares, idle } = bounds;
        let (principal, now) = (holder.principal.clone(), self.now());
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(Session::new(new_id()?, holder, capabilities, revision, serial, now));
        let mut ended = Vec::new();
        let table = self.table.pin();
        table.insert(Box::from(session.id.as_bytes()), session.clone());
        {
            let mut order = self.order();
            while let Some(rested) = order.rested(millis(idle), now) {
                order.remove(&rested);
                ended.push(rested);
            }
            while order.count_of(&principal) >= shares.each.max(1) {
                let Some(evicted) = order.longest_rested(&principal, now) else { break };
                order.remove(&evicted);
                self.tell(&evicted, &principal, shares, Bound::Each);
                ended.push(evicted);
            }
            while order.count() >= shares.all.max(1) {
                let largest = order.largest().cloned();
                let evicted = largest.and_then(|largest| order.longest_rested(&largest, now));
                let Some(evicted) = evicted else { break };
                order.remove(&evicted);
                self.tell(&evicted, &principal, shares, Bound::All);
                ended.push(evicted);
            }
            order.insert(session.clone());
        }
        for ended in ended {
            table.remove(ended.id.as_bytes());
            ended.end();
        }
        Ok(session)
    }

    /// The session `id`, if `caller` opened it at `place` and it has not rested for `idle`.
    pub fn find(&self, id: &[u8], caller: &Caller, place: &Place, idle: Duration) -> Option<Arc<Session>> {
        let table = self.table.pin();
        let session = table.get(id)?;
        if !session.holder().is(caller, place) {
            return None;
        }
        let now = self.now();
        if session.rests(millis(idle), now) {
            self.end(session);
            return None;
        }
        session.touch(now);
        Some(session.clone())
    }

    /// Ends a session: its id is unknown from now on, its streams close, and what it followed is given up.
    pub fn end(&self, session: &Session) {
        self.order().remove(session);
        self.table.pin().remove(session.id.as_bytes());
        session.end();
    }

    /// Ends the sessions of the key `name`.
    pub fn end_of(&self, name: &str) {
        let own = self.order().all_of(&Principal::new(Some(name.into())));
        own.iter().for_each(|session| self.end(session));
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.order().count()
    }

    fn tell(&self, evicted: &Session, newcomer: &Principal, shares: Bounds, bound: Bound) {
        let Some(left_out) = self.evictions.may_tell() else { return };
        let (owner, why) = (&evicted.holder().principal, shares.eviction(bound, SESSIONS, left_out));
        tracing::info!("a session of {owner} has ended to make room for one of {newcomer} {why}");
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
