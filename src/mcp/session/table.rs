//! The table of sessions, which outlives reloads.
//!
//! A session belongs to its key: under another key, in another profile, or at another endpoint, its id is unknown.
//! A look-up takes no lock. Opening and ending a session takes a short one, with any number of sessions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::holder::Holder;
use super::id::new_id;
use super::order::Order;
use super::state::Session;
use crate::catalog::Caller;
use crate::mcp::endpoint::Endpoint;
use crate::shares::{Bound, Bounds, LogThrottle, Principal, Thing};
use crate::sync::lock;

/// The resource that callers share, for messages about its limit.
const SESSIONS: Thing = Thing { setting: "sessions", plural: "sessions" };

/// The table of all sessions.
#[derive(Debug)]
pub struct Sessions {
    table: papaya::HashMap<Box<[u8]>, Arc<Session>>,
    order: Mutex<Order>,
    serials: AtomicU64,
    began: Instant,
    evictions: LogThrottle,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            table: papaya::HashMap::new(),
            order: Mutex::default(),
            serials: AtomicU64::new(0),
            began: Instant::now(),
            evictions: LogThrottle::default(),
        }
    }
}

impl Sessions {
    /// Opens a session of `holder`, and ends sessions that have rested for longer than `idle`.
    ///
    /// When there are too many all the same, the longest-rested session of the caller with the most sessions ends.
    ///
    /// # Errors
    ///
    /// When the kernel has no random numbers.
    pub fn open(
        &self,
        holder: Holder,
        shares: Bounds,
        idle: Duration,
        capabilities: Option<&RawValue>,
        revision: &'static str,
    ) -> Result<Arc<Session>, rustix::io::Errno> {
        let (principal, now) = (holder.principal.clone(), self.now());
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(Session::new(new_id()?, holder, capabilities, revision, serial, now));
        let mut ended = Vec::new();
        let table = self.table.pin();
        table.insert(Box::from(session.id.as_bytes()), session.clone());
        {
            let mut order = lock(&self.order);
            while let Some(rested) = order.rested(millis(idle), now) {
                order.remove(&rested);
                ended.push(rested);
            }
            while order.count_of(&principal) >= shares.each.max(1) {
                let Some(evicted) = order.longest_rested(&principal, now) else { break };
                order.remove(&evicted);
                self.log_eviction(&evicted, &principal, shares, Bound::Each);
                ended.push(evicted);
            }
            while order.count() >= shares.all.max(1) {
                let largest = order.largest().cloned();
                let evicted = largest.and_then(|largest| order.longest_rested(&largest, now));
                let Some(evicted) = evicted else { break };
                order.remove(&evicted);
                self.log_eviction(&evicted, &principal, shares, Bound::All);
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

    /// The session `id`, if `caller` opened it at `endpoint` and it has not rested for `idle`.
    pub fn find(
        &self,
        id: &[u8],
        caller: &Caller,
        endpoint: &Endpoint,
        idle: Duration,
    ) -> Option<Arc<Session>> {
        let table = self.table.pin();
        let session = table.get(id)?;
        if !session.holder.is(caller, endpoint) {
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

    /// Ends a session: its id is unknown from now on, its streams close, and its subscriptions end.
    pub fn end(&self, session: &Session) {
        lock(&self.order).remove(session);
        self.table.pin().remove(session.id.as_bytes());
        session.end();
    }

    /// Ends the sessions of the key `name`.
    pub fn end_of(&self, name: &str) {
        let own = lock(&self.order).all_of_key(name);
        own.iter().for_each(|session| self.end(session));
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        lock(&self.order).count()
    }

    fn log_eviction(&self, evicted: &Session, newcomer: &Principal, shares: Bounds, bound: Bound) {
        let Some(left_out) = self.evictions.may_log() else { return };
        let (owner, why) = (&evicted.holder.principal, shares.eviction(bound, SESSIONS, left_out));
        tracing::info!("a session of {owner} has ended to make room for one of {newcomer} {why}");
    }

    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
