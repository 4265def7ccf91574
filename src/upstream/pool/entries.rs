//! The dedicated connections that one server has, and what became of each.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{SetOnce, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::ServerName;
use crate::shares::{Bound, Bounds, LogThrottle, Principal, Thing};
use crate::sync::lock;
use crate::upstream::availability::TRY_AGAIN;
use crate::upstream::connection::Connection;
use crate::upstream::error::CloseReason;
use crate::upstream::identity::{Identity, IdentityKey};
use crate::upstream::pool::connect::{Connect, LogLevel};
use crate::upstream::pool::header_churn::HeaderChurn;
use crate::upstream::pool::processes::Processes;
use crate::upstream::pool::usage::{Usage, evictable};
use crate::upstream::server_messages::Relay;

/// The resource that callers share here.
pub(super) const IDENTITIES: Thing =
    Thing { setting: "identities", plural: "connections of their own to one server" };

pub(super) struct PoolState {
    pub(super) server: ServerName,
    /// Counts the processes of all servers, where each connection is one.
    pub(super) processes: Option<Arc<Processes>>,
    /// Set when the server is started; calls wait for that.
    pub(super) connector: SetOnce<Arc<dyn Connect>>,
    pub(super) entries: Mutex<PoolEntries>,
    pub(super) evictions: LogThrottle,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

pub(super) struct PoolEntries {
    pub(super) bounds: Bounds,
    pub(super) idle: Duration,
    /// Connections of each caller that have not ended yet.
    pub(super) tended: HashMap<Principal, usize>,
    pub(super) by_key: HashMap<IdentityKey, PoolEntry>,
    pub(super) churn: HeaderChurn,
    pub(super) serials: u64,
    pub(super) closed: bool,
}

pub(super) struct PoolEntry {
    /// Separates this connection from an earlier one of the same identity.
    pub(super) serial: u64,
    pub(super) principal: Principal,
    /// The name of the caller, of an isolated server.
    pub(super) caller: Option<Arc<str>>,
    pub(super) usage: Arc<Usage>,
    pub(super) outcome: watch::Receiver<ConnectOutcome>,
}

/// The outcome of a try to connect.
#[derive(Clone)]
pub(super) enum ConnectOutcome {
    Opening,
    Open(LeasedConnection),
    Failed { reason: Arc<CloseReason>, at: Instant },
}

/// The parts of a connection that calls need.
#[derive(Clone, Debug)]
pub(super) struct LeasedConnection {
    pub(super) connection: Arc<dyn Connection>,
    pub(super) relay: Arc<Relay>,
    pub(super) log: Arc<LogLevel>,
}

impl PoolState {
    pub(super) fn entries(&self) -> MutexGuard<'_, PoolEntries> {
        lock(&self.entries)
    }

    /// Lets one more of `newcomer` fit, after the end of another if need be.
    pub(super) fn make_room(&self, entries: &mut PoolEntries, newcomer: &Principal) -> Result<(), Bound> {
        let PoolEntries { bounds, tended, by_key, .. } = entries;
        // Connections that are just ending count, too, so that a caller that changes its headers with each call cannot make
        // ever more of them.
        if tended.get(newcomer).is_some_and(|count| *count >= bounds.each.saturating_mul(2)) {
            return Err(Bound::Each);
        }
        if self.tasks.len() >= bounds.all.saturating_mul(2) {
            return Err(Bound::All);
        }
        let own = by_key.values().filter(|entry| entry.principal == *newcomer).count();
        let Err(bound) = bounds.check(own, by_key.len()) else { return Ok(()) };
        let ended = by_key.iter().map(|(key, entry)| (*key, &entry.principal, &*entry.usage));
        let evicted = evictable(ended, bound, newcomer).first().and_then(|key| by_key.remove(key));
        let evicted = evicted.ok_or(bound)?;
        evicted.usage.cut();
        if let Some(left_out) = self.evictions.may_log() {
            let (name, owner) = (&self.server, &evicted.principal);
            let why = bounds.eviction(bound, IDENTITIES, left_out);
            tracing::info!(mcp_server = %name, "{name}: a connection of {owner} ends to make room for one of {newcomer} {why}");
        }
        Ok(())
    }
}

impl PoolEntries {
    /// Notes that a connection of `identity` is opened, and logs the headers that differ with each call.
    pub(super) fn note_opening(&mut self, server: &ServerName, identity: &Identity) {
        let principal = identity.principal();
        for header in self.churn.opened(principal, identity.headers()) {
            tracing::warn!(
                mcp_server = %server,
                "{server}: the header `{header}` differs with each call of {principal}, and each value opens a connection \
                 of its own; take it out of `forwardHeaders` of this server, unless it says who calls"
            );
        }
    }
}

impl PoolEntry {
    /// Whether its connection is open.
    pub(super) fn is_open(&self) -> bool {
        matches!(&*self.outcome.borrow(), ConnectOutcome::Open(open) if !open.connection.end().is_set())
    }

    /// Whether a call joins this connection, or gets the failure of its opening.
    pub(super) fn is_good(&self) -> bool {
        match &*self.outcome.borrow() {
            ConnectOutcome::Opening => true,
            ConnectOutcome::Open(open) => !open.connection.end().is_set(),
            ConnectOutcome::Failed { at, .. } => at.elapsed() < TRY_AGAIN,
        }
    }
}
