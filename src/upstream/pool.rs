//! The connections of one server that each serve one identity. The first call that needs one opens it. It ends when
//! it was unused for a while, or to make room for another; the caller with the most connections gives way first.
//!
//! No supervisor watches these. A failed try is reported to the calls that waited for it, says nothing about the
//! shared connection, and is repeated by a later call, at most once a second.

pub mod connect;
mod entries;
mod header_churn;
mod lifecycle;
pub mod processes;
pub mod usage;

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use tokio::sync::{SetOnce, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{DedicatedConfig, ServerName};
use crate::shares::{Bounds, Exceeded, LogThrottle, Principal};
use crate::upstream::availability::{NoConnection, TRY_AGAIN, Unavailable};
use crate::upstream::connection::Connection;
use crate::upstream::error::CloseReason;
use crate::upstream::identity::Identity;
use crate::upstream::pool::connect::Connect;
use crate::upstream::pool::entries::{
    ConnectOutcome, IDENTITIES, LeasedConnection, PoolEntries, PoolEntry, PoolState,
};
use crate::upstream::pool::header_churn::HeaderChurn;
use crate::upstream::pool::lifecycle::{Member, keep_connection};
use crate::upstream::pool::processes::Processes;
use crate::upstream::pool::usage::Usage;
use crate::upstream::server_messages::Relay;

/// All dedicated connections of one server.
pub struct ConnectionPool(Arc<PoolState>);

/// The open connections that serve one caller of an isolated server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerHolding {
    /// What `${caller}` stands for.
    pub caller: Arc<str>,
    /// The party that one of them was opened for.
    pub principal: Principal,
    pub connections: usize,
}

/// The use of a dedicated connection by one call. While it lives, the connection is not ended for want of use.
#[derive(Debug)]
pub struct Lease {
    open: LeasedConnection,
    _use: UseGuard,
}

impl Lease {
    /// Relays the messages that the server sends over the connection by itself.
    pub fn relay(&self) -> &Arc<Relay> {
        &self.open.relay
    }

    /// Asks the server for log messages of `level`, if it was not yet.
    pub async fn ask_for_log(&self, level: &Arc<str>) {
        self.open.log.ask(&*self.open.connection, level).await;
    }
}

impl ConnectionPool {
    /// An empty pool for `server`; each connection is one of `processes`, if there are some. Calls wait until
    /// [`ConnectionPool::start`].
    pub fn new(server: ServerName, config: DedicatedConfig, processes: Option<Arc<Processes>>) -> Self {
        let entries = PoolEntries {
            bounds: Bounds::undivided(config.most),
            idle: config.idle,
            tended: HashMap::new(),
            by_key: HashMap::new(),
            churn: HeaderChurn::default(),
            serials: 0,
            closed: false,
        };
        Self(Arc::new(PoolState {
            server,
            processes,
            connector: SetOnce::new(),
            entries: Mutex::new(entries),
            evictions: LogThrottle::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Takes up how long a connection is kept unused.
    pub fn adopt(&self, config: DedicatedConfig) {
        self.0.entries().idle = config.idle;
    }

    /// Takes up new bounds, for connections that are still to open.
    pub fn share(&self, bounds: Bounds) {
        self.0.entries().bounds = bounds;
    }

    /// Lets connections be made by `connector`. Only the first one counts.
    pub fn start(&self, connector: Arc<dyn Connect>) {
        let _first_opener_stays = self.0.connector.set(connector);
    }

    /// The connection of `identity`: the open one, or a new one. All callers of that moment wait for a new one
    /// together; the caller bounds the wait with its deadline.
    ///
    /// # Errors
    ///
    /// [`NoConnection`]: the server could not be connected to or refused, or as many callers as are allowed
    /// have calls in flight.
    pub async fn lease(&self, identity: &Identity) -> Result<Lease, NoConnection> {
        let pool = &self.0;
        let connector = pool
            .stop
            .run_until_cancelled(pool.connector.wait())
            .await
            .ok_or_else(|| unavailable(CloseReason::Stopping))?;
        let (in_use, mut outcome) = self.enter(identity, connector)?;
        let settled = outcome.wait_for(|outcome| !matches!(outcome, ConnectOutcome::Opening)).await;
        let settled = settled.map(|outcome| outcome.clone());
        match settled {
            Ok(ConnectOutcome::Open(open)) => Ok(Lease { open, _use: in_use }),
            Ok(ConnectOutcome::Failed { reason, at }) => Err(failed(reason, at)),
            Ok(ConnectOutcome::Opening) | Err(_) => Err(unavailable(CloseReason::Stopping)),
        }
    }

    /// Joins the connection of `identity`, or begins one.
    fn enter(
        &self,
        identity: &Identity,
        connector: &Arc<dyn Connect>,
    ) -> Result<(UseGuard, watch::Receiver<ConnectOutcome>), NoConnection> {
        let key = identity.key();
        let pool = &self.0;
        let mut entries = pool.entries();
        if entries.closed {
            return Err(unavailable(CloseReason::Stopping));
        }
        if let Some(entry) = entries.by_key.get_mut(&key) {
            if entry.is_good() && entry.usage.join() {
                let joined = (UseGuard(entry.usage.clone()), entry.outcome.clone());
                entries.churn.reused(identity.principal());
                return Ok(joined);
            }
            entry.usage.cut();
            entries.by_key.remove(&key);
        }
        let principal = identity.principal();
        pool.make_room(&mut entries, principal).map_err(|bound| {
            let (principal, bounds) = (principal.clone(), entries.bounds);
            unavailable(CloseReason::AllInUse(Box::new(Exceeded {
                principal,
                thing: IDENTITIES,
                bound,
                bounds,
            })))
        })?;
        entries.note_opening(&pool.server, identity);
        entries.serials += 1;
        let serial = entries.serials;
        let (tell, outcome) = watch::channel(ConnectOutcome::Opening);
        let closing = pool.stop.child_token();
        let usage = Usage::new(closing.clone());
        let entry = PoolEntry {
            serial,
            principal: principal.clone(),
            caller: identity.caller().map(|caller| caller.name.clone()),
            usage: usage.clone(),
            outcome: outcome.clone(),
        };
        entries.by_key.insert(key, entry);
        *entries.tended.entry(principal.clone()).or_default() += 1;
        let member =
            Member { pool: pool.clone(), key, serial, principal: principal.clone(), usage: usage.clone() };
        pool.tasks.spawn(keep_connection(member, connector.clone(), identity.clone(), tell, closing));
        Ok((UseGuard(usage), outcome))
    }

    /// The callers of an isolated server that have open connections, sorted by their names.
    pub fn holders(&self) -> Vec<CallerHolding> {
        let mut holders: BTreeMap<Arc<str>, CallerHolding> = BTreeMap::new();
        for entry in self.0.entries().by_key.values().filter(|entry| entry.is_open()) {
            let Some(caller) = &entry.caller else { continue };
            let (caller, principal) = (caller.clone(), entry.principal.clone());
            let new = CallerHolding { caller: caller.clone(), principal, connections: 0 };
            holders.entry(caller).or_insert(new).connections += 1;
        }
        holders.into_values().collect()
    }

    /// The relay of the connection of `identity`, if that is open now. Opens none.
    pub fn relay(&self, identity: &Identity) -> Option<Arc<Relay>> {
        let entries = self.0.entries();
        match &*entries.by_key.get(&identity.key())?.outcome.borrow() {
            ConnectOutcome::Open(open) if !open.connection.end().is_set() => Some(open.relay.clone()),
            _ => None,
        }
    }

    /// Ends all connections and their sessions, lets no new ones be made, and waits until nothing is left.
    pub async fn close(&self) {
        self.0.entries().closed = true;
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

fn unavailable(reason: CloseReason) -> NoConnection {
    NoConnection::Unavailable(Unavailable::because(reason))
}

fn failed(reason: Arc<CloseReason>, at: Instant) -> NoConnection {
    match &*reason {
        CloseReason::Status(status) => NoConnection::Refused(status.clone()),
        _ => {
            let retry_after = TRY_AGAIN.saturating_sub(at.elapsed());
            NoConnection::Unavailable(Unavailable { reason: Some(reason), retry_after })
        }
    }
}

/// One call that uses a connection or waits for it.
#[derive(Debug)]
struct UseGuard(Arc<Usage>);

impl Drop for UseGuard {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Deref for Lease {
    type Target = dyn Connection;

    fn deref(&self) -> &Self::Target {
        &*self.open.connection
    }
}

#[cfg(test)]
mod tests;
