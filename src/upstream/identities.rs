//! The connections of one server that each serve one identity: opened by the first call that needs one,
//! ended when nobody has called over it for a while, or to make room for another.
//!
//! No supervisor stands behind these. A try that fails is told to the calls that waited for it, says nothing
//! about the shared connection, and is repeated by a later call, at most once a second.

mod place;

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
use super::{TRY_AGAIN, Unavailable};
use crate::config::DedicatedConfig;
use place::{Place, tend};

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
    /// Set when the server is started; calls wait for that.
    opener: SetOnce<Arc<dyn Opener>>,
    entries: Mutex<Entries>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Entries {
    limit: usize,
    idle: Duration,
    by_key: HashMap<IdentityKey, Entry>,
    serials: u64,
    closed: bool,
}

struct Entry {
    /// Tells this connection from an earlier one of the same identity.
    serial: u64,
    /// Calls that use it or wait for it.
    users: usize,
    /// When the last of them left, or came.
    used_at: Instant,
    outcome: watch::Receiver<Outcome>,
    /// Ends the connection.
    closing: CancellationToken,
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
    /// None yet. Calls wait until [`Identities::start`].
    pub fn new(bounds: DedicatedConfig) -> Self {
        let this = Self(Arc::new(Pool {
            opener: SetOnce::new(),
            entries: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        this.adopt(bounds);
        this
    }

    /// Takes up new bounds. Connections beyond them end once they are not used.
    pub fn adopt(&self, bounds: DedicatedConfig) {
        let mut entries = self.0.entries();
        entries.limit = bounds.most;
        entries.idle = bounds.idle;
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
            if entry.is_good() {
                entry.users += 1;
                let in_use = Use { pool: self.clone(), key, serial: entry.serial };
                return Ok((in_use, entry.outcome.clone()));
            }
            entry.closing.cancel();
            entries.by_key.remove(&key);
        }
        // Those that are just ending count too, so that a caller who changes his headers with each call
        // cannot make ever more of them.
        let limit = entries.limit;
        let crowded = self.tasks.len() >= limit.saturating_mul(2);
        if crowded || !entries.make_room() {
            let reason = Arc::new(EndReason::AllInUse { limit });
            let unavailable = Unavailable { reason: Some(reason), retry_after: TRY_AGAIN };
            return Err(NoConnection::Unavailable(unavailable));
        }
        entries.serials += 1;
        let serial = entries.serials;
        let (tell, outcome) = watch::channel(Outcome::Opening);
        let closing = self.stop.child_token();
        let entry = Entry {
            serial,
            users: 1,
            used_at: Instant::now(),
            outcome: outcome.clone(),
            closing: closing.clone(),
        };
        entries.by_key.insert(key, entry);
        let place = Place { pool: self.clone(), key, serial };
        self.tasks.spawn(tend(place, opener.clone(), identity.clone(), tell, closing));
        Ok((Use { pool: self.clone(), key, serial }, outcome))
    }
}

impl Entries {
    /// Whether one more fits, after the end of the one that was unused for longest if need be.
    fn make_room(&mut self) -> bool {
        if self.by_key.len() < self.limit {
            return true;
        }
        let unused = self.by_key.iter().filter(|(_, entry)| entry.users == 0);
        let Some((&key, _)) = unused.min_by_key(|(_, entry)| entry.used_at) else { return false };
        if let Some(entry) = self.by_key.remove(&key) {
            entry.closing.cancel();
        }
        true
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
struct Use {
    pool: Arc<Pool>,
    key: IdentityKey,
    serial: u64,
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut entries = self.pool.entries();
        if let Some(entry) = entries.by_key.get_mut(&self.key).filter(|entry| entry.serial == self.serial) {
            entry.users -= 1;
            entry.used_at = Instant::now();
        }
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
