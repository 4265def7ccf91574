//! The connections of one server that each serve one identity: opened by the first call that needs one,
//! ended when nobody has called over it for a while, or to make room for another, of the caller that has most.
//!
//! No supervisor stands behind these. A try that fails is told to the calls that waited for it, says nothing
//! about the shared connection, and is repeated by a later call, at most once a second.

mod place;
mod usage;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{SetOnce, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dedicated::{LogLevel, Opener};
use super::error::{EndReason, StatusReason};
use super::hearing::Relay;
use super::identity::{Identity, IdentityKey};
use super::link::Link;
use super::processes::Processes;
use super::{TRY_AGAIN, Unavailable};
use crate::config::{DedicatedConfig, ServerName};
use crate::shares::{Bound, Bounds, Exceeded, Principal, Seldom, Thing};
use place::{Place, tend};
pub use usage::Usage;

/// What callers share here.
const IDENTITIES: Thing = Thing { setting: "identities", plural: "connections of their own to one server" };

/// All dedicated connections of one server.
pub struct Identities(Arc<Pool>);

/// Why there is no connection for a call.
#[derive(Debug, Clone)]
pub enum NoConnection {
    Unavailable(Unavailable),
    /// The server answered the opening of a dedicated connection with this status: it refuses this caller, and
    /// may well serve others.
    Refused(StatusReason),
}

/// The use of a dedicated connection by one call. While it lives, the connection is not ended for want of use.
pub struct Lease {
    open: Open,
    _use: Use,
}

impl Lease {
    /// Hears what the server sends over the connection.
    pub fn relay(&self) -> &Arc<Relay> {
        &self.open.relay
    }

    /// Asks the server for log messages of `level`, if it was not yet.
    pub async fn ask_for_log(&self, level: &Arc<str>) {
        self.open.log.ask(&*self.open.link, level).await;
    }
}

struct Pool {
    server: ServerName,
    /// Counts the processes of all servers, where each connection is one.
    processes: Option<Arc<Processes>>,
    /// Set when the server is started; calls wait for that.
    opener: SetOnce<Arc<dyn Opener>>,
    entries: Mutex<Entries>,
    evictions: Seldom,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Entries {
    bounds: Bounds,
    idle: Duration,
    /// Connections of each caller that have not ended yet.
    tended: HashMap<Principal, usize>,
    by_key: HashMap<IdentityKey, Entry>,
    serials: u64,
    closed: bool,
}

struct Entry {
    /// Tells this connection from an earlier one of the same identity.
    serial: u64,
    principal: Principal,
    usage: Arc<Usage>,
    outcome: watch::Receiver<Outcome>,
}

/// What became of the try to connect.
#[derive(Clone)]
enum Outcome {
    Opening,
    Open(Open),
    Failed { reason: Arc<EndReason>, at: Instant },
}

/// What calls need of a connection.
#[derive(Clone)]
struct Open {
    link: Arc<dyn Link>,
    relay: Arc<Relay>,
    log: Arc<LogLevel>,
}

impl Identities {
    /// None yet to `server`; each is one of `processes`, if there are some. Calls wait until [`Identities::start`].
    pub fn new(server: ServerName, config: DedicatedConfig, processes: Option<Arc<Processes>>) -> Self {
        let entries = Entries {
            bounds: Bounds::undivided(config.most),
            idle: config.idle,
            tended: HashMap::new(),
            by_key: HashMap::new(),
            serials: 0,
            closed: false,
        };
        Self(Arc::new(Pool {
            server,
            processes,
            opener: SetOnce::new(),
            entries: Mutex::new(entries),
            evictions: Seldom::default(),
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

    /// Lets connections be made by `opener`. Only the first one counts.
    pub fn start(&self, opener: Arc<dyn Opener>) {
        let _first_opener_stays = self.0.opener.set(opener);
    }

    /// The connection of `identity`: the one that is there, or a new one that all callers of that moment wait
    /// for together. The caller bounds the wait with its deadline.
    ///
    /// # Errors
    ///
    /// [`NoConnection`]: the server could not be connected to or refused, or as many callers as are allowed
    /// have calls in flight.
    pub async fn lease(&self, identity: &Identity) -> Result<Lease, NoConnection> {
        let pool = &self.0;
        let opener = pool.stop.run_until_cancelled(pool.opener.wait()).await.ok_or_else(stopping)?;
        let (in_use, mut outcome) = pool.enter(identity, opener)?;
        let settled = outcome.wait_for(|outcome| !matches!(outcome, Outcome::Opening)).await;
        let settled = settled.map(|outcome| outcome.clone());
        match settled {
            Ok(Outcome::Open(open)) => Ok(Lease { open, _use: in_use }),
            Ok(Outcome::Failed { reason, at }) => Err(failed(reason, at)),
            Ok(Outcome::Opening) | Err(_) => Err(stopping()),
        }
    }

    /// Who hears the connection of `identity`, if it is open now. None is opened.
    pub fn relay(&self, identity: &Identity) -> Option<Arc<Relay>> {
        let entries = self.0.entries();
        match &*entries.by_key.get(&identity.key())?.outcome.borrow() {
            Outcome::Open(open) if !open.link.end().is_set() => Some(open.relay.clone()),
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

fn stopping() -> NoConnection {
    let reason = Some(Arc::new(EndReason::Stopping));
    NoConnection::Unavailable(Unavailable { reason, retry_after: TRY_AGAIN })
}

fn all_in_use(exceeded: Exceeded) -> NoConnection {
    let reason = Some(Arc::new(EndReason::AllInUse(Box::new(exceeded))));
    NoConnection::Unavailable(Unavailable { reason, retry_after: TRY_AGAIN })
}

fn failed(reason: Arc<EndReason>, at: Instant) -> NoConnection {
    match &*reason {
        EndReason::Status(status) => NoConnection::Refused(status.clone()),
        _ => {
            let retry_after = TRY_AGAIN.saturating_sub(at.elapsed());
            NoConnection::Unavailable(Unavailable { reason: Some(reason), retry_after })
        }
    }
}

impl Pool {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the connection of `identity`, or begins one.
    fn enter(
        self: &Arc<Self>,
        identity: &Identity,
        opener: &Arc<dyn Opener>,
    ) -> Result<(Use, watch::Receiver<Outcome>), NoConnection> {
        let key = identity.key();
        let mut entries = self.entries();
        if entries.closed {
            return Err(stopping());
        }
        if let Some(entry) = entries.by_key.get_mut(&key) {
            if entry.is_good() && entry.usage.join() {
                return Ok((Use(entry.usage.clone()), entry.outcome.clone()));
            }
            entry.usage.cut();
            entries.by_key.remove(&key);
        }
        let principal = identity.principal();
        self.make_room(&mut entries, principal).map_err(|bound| {
            let (principal, bounds) = (principal.clone(), entries.bounds);
            all_in_use(Exceeded { principal, thing: IDENTITIES, bound, bounds })
        })?;
        entries.serials += 1;
        let serial = entries.serials;
        let (tell, outcome) = watch::channel(Outcome::Opening);
        let closing = self.stop.child_token();
        let usage = Usage::new(closing.clone());
        let entry =
            Entry { serial, principal: principal.clone(), usage: usage.clone(), outcome: outcome.clone() };
        entries.by_key.insert(key, entry);
        *entries.tended.entry(principal.clone()).or_default() += 1;
        let place =
            Place { pool: self.clone(), key, serial, principal: principal.clone(), usage: usage.clone() };
        self.tasks.spawn(tend(place, opener.clone(), identity.clone(), tell, closing));
        Ok((Use(usage), outcome))
    }

    /// Lets one more of `newcomer` fit, after the end of another if need be.
    fn make_room(&self, entries: &mut Entries, newcomer: &Principal) -> Result<(), Bound> {
        let Entries { bounds, tended, by_key, .. } = entries;
        // Those that are just ending count too, so that a caller who changes his headers with each call
        // cannot make ever more of them.
        if tended.get(newcomer).is_some_and(|count| *count >= bounds.each.saturating_mul(2)) {
            return Err(Bound::Each);
        }
        if self.tasks.len() >= bounds.all.saturating_mul(2) {
            return Err(Bound::All);
        }
        let mut counts: HashMap<&Principal, usize> = HashMap::new();
        for entry in by_key.values() {
            *counts.entry(&entry.principal).or_default() += 1;
        }
        let own = counts.get(newcomer).copied().unwrap_or(0);
        let Err(bound) = bounds.check(own, by_key.len()) else { return Ok(()) };
        let unused = by_key.iter().filter_map(|(key, entry)| {
            let may_end = bound == Bound::All || entry.principal == *newcomer;
            let since = entry.usage.unused_since().filter(|_| may_end)?;
            Some((Reverse(counts[&entry.principal]), since, *key))
        });
        let (.., key) = unused.min().ok_or(bound)?;
        let Some(evicted) = by_key.remove(&key) else { return Err(bound) };
        evicted.usage.cut();
        if let Some(left_out) = self.evictions.may_tell() {
            let (name, owner) = (&self.server, &evicted.principal);
            let why = bounds.eviction(bound, IDENTITIES, left_out);
            tracing::info!(mcp_server = %name, "{name}: a connection of {owner} ends to make room for one of {newcomer} {why}");
        }
        Ok(())
    }
}

impl Entry {
    /// Whether a call may use this, or has to be told what became of it.
    fn is_good(&self) -> bool {
        match &*self.outcome.borrow() {
            Outcome::Opening => true,
            Outcome::Open(open) => !open.link.end().is_set(),
            Outcome::Failed { at, .. } => at.elapsed() < TRY_AGAIN,
        }
    }
}

/// One call that uses a connection or waits for it.
struct Use(Arc<Usage>);

impl Drop for Use {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Deref for Lease {
    type Target = dyn Link;

    fn deref(&self) -> &Self::Target {
        &*self.open.link
    }
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Lease").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.entries().by_key.len();
        formatter.debug_struct("Identities").field("connections", &count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
