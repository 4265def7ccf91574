//! The table of sessions, which outlives reloads.
//!
//! A session belongs to its key: under another key, in another profile, or at another endpoint, its id is unknown.
//! A look-up takes no lock. Opening and ending a session takes a short one, with any number of sessions.
//!
//! The id of a session that another process opened is sealed ([`super::sealed`]): its holder opens it again, unless it has
//! ended. A session of this process that is not in the table has ended.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clock::{millis, now};
use super::holder::Holder;
use super::journal::SessionJournal;
use super::order::Order;
use super::outlived::{Outlived, SessionEvent, record};
use super::sealed::{PURPOSE, SealedSession, ShortDigest, holder_digest, key_digest};
use super::shared::SharedSessions;
use super::state::Session;
use crate::catalog::Caller;
use crate::mcp::endpoint::Endpoint;
use crate::mcp::input::client::askable;
use crate::seal::{SealError, SealSecrets, Sealer};
use crate::shared_store::SharedStore;
use crate::shares::{Bound, Bounds, LogThrottle, Principal, Thing};
use crate::sync::lock;

/// The resource that callers share, for messages about its limit.
const SESSIONS: Thing = Thing { setting: "sessions", plural: "sessions" };
/// How often the last use of sessions is written.
pub(super) const USES_WRITTEN: Duration = Duration::from_secs(60);

/// The table of all sessions.
#[derive(Debug)]
pub struct Sessions {
    table: papaya::HashMap<Arc<[u8]>, Arc<Session>>,
    order: Mutex<Order>,
    /// Locked within the order.
    pub(super) outlived: Mutex<Outlived>,
    journal: Option<SessionJournal>,
    /// What replicas share.
    pub(super) shared: OnceLock<SharedSessions>,
    pub(super) sealer: Sealer,
    /// Another one in each process.
    pub(super) process: u64,
    serials: AtomicU64,
    /// How long a session may rest, in milliseconds.
    pub(super) idle: AtomicU64,
    /// When the last use of sessions was noted in the file, and told to the replicas.
    noted: AtomicU64,
    pub(super) told: AtomicU64,
    evictions: LogThrottle,
    /// Of the sessions that end with a sign-in; all end soon after `closing`.
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Sessions {
    /// The sessions of this process; `journal` keeps what outlives it. Its `tasks` end soon after `closing`.
    pub fn new(
        secrets: &SealSecrets,
        journal: Option<SessionJournal>,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Self {
        Self {
            table: papaya::HashMap::new(),
            order: Mutex::default(),
            outlived: Mutex::default(),
            journal,
            shared: OnceLock::new(),
            sealer: secrets.sealer(PURPOSE),
            process: RandomState::new().hash_one(std::process::id()),
            serials: AtomicU64::new(0),
            idle: AtomicU64::new(u64::MAX),
            noted: AtomicU64::new(now()),
            told: AtomicU64::new(now()),
            evictions: LogThrottle::default(),
            tasks,
            closing,
        }
    }

    /// The replicas that share `store` know of each other's sessions.
    pub fn share(&self, store: Arc<SharedStore>) {
        self.shared.get_or_init(|| SharedSessions::new(store));
    }

    /// Reads what earlier processes left, for sessions that may rest for `idle`.
    pub async fn restore(&self, idle: Duration) {
        let Some(journal) = &self.journal else { return };
        let outlived = journal.read(now().saturating_sub(millis(idle))).await;
        *lock(&self.outlived) = outlived;
    }

    /// Sessions may rest for `idle` from now on. Those of other keys than those with these digests have ended.
    pub fn configure(&self, idle: Duration, keys: &[ShortDigest]) {
        self.idle.store(millis(idle), Ordering::Relaxed);
        let now = now();
        let events = lock(&self.outlived).set_keys(keys, now);
        if let Some(journal) = &self.journal {
            events.iter().for_each(|(event, digest)| journal.push(&record(*event, digest, now)));
        }
    }

    /// Opens a session of `caller` at `endpoint`. Sessions that have rested for longer than `idle` end.
    ///
    /// When there are too many all the same, the longest-rested session of the caller with the most sessions ends.
    ///
    /// # Errors
    ///
    /// When the kernel has no random numbers.
    pub fn open(
        self: &Arc<Self>,
        caller: &Caller,
        endpoint: &Endpoint,
        shares: Bounds,
        idle: Duration,
        capabilities: Option<&RawValue>,
        revision: &'static str,
    ) -> Result<Arc<Session>, SealError> {
        let (capabilities, opened) = (askable(capabilities), now());
        let sealed = SealedSession {
            process: self.process,
            opened,
            holder: holder_digest(caller, endpoint),
            revision,
            capabilities: (&*capabilities).into(),
        };
        let (id, serial) = (sealed.id(&self.sealer)?, self.serial());
        let session =
            Session::new(id.into(), Holder::of(caller, endpoint), capabilities, revision, serial, opened);
        let session = Arc::new(session);
        let ended = self.insert(&mut lock(&self.order), &session, shares, idle);
        ended.iter().for_each(|ended| ended.end());
        self.end_with_sign_in(&session, caller);
        Ok(session)
    }

    /// The session `id`, if `caller` opened it at `endpoint` and it has not rested for `idle`.
    pub fn find(
        self: &Arc<Self>,
        id: &[u8],
        caller: &Caller,
        endpoint: &Endpoint,
        shares: Bounds,
        idle: Duration,
    ) -> Option<Arc<Session>> {
        let table = self.table.pin();
        let Some(session) = table.get(id) else {
            return self.open_again(id, caller, endpoint, shares, idle);
        };
        if !session.holder.is(caller, endpoint) {
            return None;
        }
        let now = now();
        if session.rests(millis(idle), now) {
            self.end(session);
            return None;
        }
        session.touch(now);
        Some(session.clone())
    }

    /// Opens the session `id` of another process again.
    #[cold]
    fn open_again(
        self: &Arc<Self>,
        id: &[u8],
        caller: &Caller,
        endpoint: &Endpoint,
        shares: Bounds,
        idle: Duration,
    ) -> Option<Arc<Session>> {
        let SealedSession { process, opened, holder, revision, capabilities } =
            SealedSession::open(id, &self.sealer)?;
        // With replicas it may have rested here and been used there.
        let is_over = process == self.process && self.shared.get().is_none();
        if is_over || holder != holder_digest(caller, endpoint) {
            return None;
        }
        let (now, serial) = (now(), self.serial());
        let holder = Holder::of(caller, endpoint);
        let session = Session::new(id.into(), holder, (&*capabilities).into(), revision, serial, now);
        let session = Arc::new(session.opened_again(now));
        // Two requests may open it at once, and a third end it meanwhile.
        let mut order = lock(&self.order);
        if let Some(known) = self.table.pin().get(id) {
            known.touch(now);
            return Some(known.clone());
        }
        let digest = session.client.digest();
        let mut outlived = lock(&self.outlived);
        let used = outlived.last_use(&digest, key_digest(caller).as_ref(), opened)?;
        if used.saturating_add(millis(idle)) <= now {
            return None;
        }
        outlived.is_open_again(&digest);
        drop(outlived);
        let ended = self.insert(&mut order, &session, shares, idle);
        drop(order);
        ended.iter().for_each(|ended| ended.end());
        self.end_with_sign_in(&session, caller);
        Some(session)
    }

    /// Has a session end when the sign-in of its `opener` does.
    fn end_with_sign_in(self: &Arc<Self>, session: &Arc<Session>, opener: &Caller) {
        let sign_in_end = opener.sign_in_end.clone();
        if !sign_in_end.can_come() {
            return;
        }
        let (sessions, session, closing) = (self.clone(), session.clone(), self.closing.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = sign_in_end.comes() => sessions.end(&session),
                () = session.ended.cancelled() => {}
                () = closing.cancelled() => {}
            }
        });
    }

    /// Ends a session: its id is unknown from now on, its streams close, and its subscriptions end.
    pub fn end(&self, session: &Session) {
        self.remove(&mut lock(&self.order), session);
        session.end();
    }

    /// Waits until sessions that have ended stay so, also when the process is killed.
    pub async fn ends_are_kept(&self) {
        self.tell_ends().await;
        if let Some(journal) = &self.journal {
            journal.is_written().await;
        }
    }

    /// Ends the sessions of the key `name`.
    pub fn end_of(&self, name: &str) {
        let own = lock(&self.order).all_of_key(name);
        own.iter().for_each(|session| self.end(session));
    }

    /// Keeps what outlives the process, until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(self.clone().keep_in_file(stop.clone()), self.keep_in_store(stop));
    }

    async fn keep_in_file(self: Arc<Self>, stop: CancellationToken) {
        let Some(journal) = &self.journal else { return };
        let mut minutes = interval_at(Instant::now() + USES_WRITTEN, USES_WRITTEN);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let notes_uses = tokio::select! {
                () = stop.cancelled() => break,
                () = journal.wanted() => false,
                _ = minutes.tick() => true,
            };
            let sessions = self.clone();
            journal.apart(move || sessions.write(notes_uses)).await;
        }
        let sessions = self.clone();
        journal.apart(move || sessions.write(true)).await;
    }

    fn write(&self, notes_uses: bool) {
        let Some(journal) = &self.journal else { return };
        if notes_uses {
            let now = now();
            let used = self.used_since(self.noted.swap(now, Ordering::Relaxed), now);
            let records = used.iter().flat_map(|(session, used)| record(SessionEvent::Used, session, *used));
            journal.push(&records.collect::<Vec<u8>>());
            self.forget_what_is_over();
        }
        journal.write(self.rested_before());
    }

    /// Forgets the sessions that could not open again any more.
    pub(super) fn forget_what_is_over(&self) {
        let mut outlived = lock(&self.outlived);
        outlived.drop_before(self.rested_before());
        if self.shared.get().is_some_and(|shared| shared.store.is_there()) {
            outlived.leave_ends_to_store();
        }
    }

    /// A session that was not used since then has rested for too long.
    fn rested_before(&self) -> u64 {
        now().saturating_sub(self.idle.load(Ordering::Relaxed))
    }

    /// The sessions that were used since then, and when.
    pub(super) fn used_since(&self, since: u64, now: u64) -> Vec<(ShortDigest, u64)> {
        let table = self.table.pin();
        let used = table.values().map(|session| (session.client.digest(), session.used(now).min(now)));
        used.filter(|(_, used)| *used >= since).collect()
    }

    /// The session in the table.
    pub(super) fn open_session(&self, id: &[u8]) -> Option<Arc<Session>> {
        self.table.pin().get(id).cloned()
    }

    /// The open sessions that are meant.
    pub(super) fn all(&self, is_meant: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let table = self.table.pin();
        table.values().filter(|session| is_meant(session)).cloned().collect()
    }

    /// Inserts `session`, and removes others that have rested or make room for it, which are to end.
    fn insert(
        &self,
        order: &mut Order,
        session: &Arc<Session>,
        shares: Bounds,
        idle: Duration,
    ) -> Vec<Arc<Session>> {
        let (principal, now) = (&session.holder.principal, now());
        let mut ended = Vec::new();
        while let Some(rested) = order.rested(millis(idle), now) {
            self.remove(order, &rested);
            ended.push(rested);
        }
        while order.count_of(principal) >= shares.each.max(1) {
            let Some(evicted) = order.longest_rested(principal, now) else { break };
            self.remove(order, &evicted);
            self.log_eviction(&evicted, principal, shares, Bound::Each);
            ended.push(evicted);
        }
        while order.count() >= shares.all.max(1) {
            let largest = order.largest().cloned();
            let evicted = largest.and_then(|largest| order.longest_rested(&largest, now));
            let Some(evicted) = evicted else { break };
            self.remove(order, &evicted);
            self.log_eviction(&evicted, principal, shares, Bound::All);
            ended.push(evicted);
        }
        self.table.pin().insert(session.id.clone(), session.clone());
        order.insert(session.clone());
        ended
    }

    /// Removes a session from the order and the table, for good.
    fn remove(&self, order: &mut Order, session: &Session) {
        let (digest, now) = (session.client.digest(), now());
        order.remove(session);
        if self.table.pin().remove(&*session.id).is_none() {
            return;
        }
        if let Some(shared) = self.shared.get() {
            if session.rests(self.idle.load(Ordering::Relaxed), now) {
                // It may be in use at another replica.
                return;
            }
            let mut outlived = lock(&self.outlived);
            if !outlived.has_ended(&digest) {
                shared.has_ended(digest);
            }
            outlived.note(SessionEvent::Ended, digest, now);
        } else if session.is_of_other_process {
            lock(&self.outlived).note(SessionEvent::Ended, digest, now);
        }
        if let Some(journal) = &self.journal {
            journal.push(&record(SessionEvent::Ended, &digest, now));
        }
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

    fn serial(&self) -> u64 {
        self.serials.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
