//! One session of a client (revisions 2024-11-05 to 2025-11-25): what it follows, what of it is under way, and when it was
//! used last.

mod in_flight;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::replay::Replay;
use super::sessions::Holder;
use super::wishes::Followed;
use crate::json::hex;
use crate::protocol::revision::POLLING_SINCE;
pub use in_flight::InFlight;
use in_flight::Requests;

/// One session.
#[derive(Debug)]
pub struct Session {
    /// See [`new_id`].
    pub id: Box<str>,
    holder: Holder,
    /// Milliseconds since the table was made.
    used: AtomicU64,
    /// Where it stands in the table's order; changed under the lock of that alone.
    marked: AtomicU64,
    serial: u64,
    streams: AtomicUsize,
    /// Requests that a `notifications/cancelled` may name.
    in_flight: Arc<Requests>,
    client: Arc<Client>,
    revision: &'static str,
    replay: Replay,
    /// By the names that the client has for them.
    followed: Mutex<HashMap<Box<str>, Followed>>,
    ended: CancellationToken,
}

/// A place in the order in which sessions are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Milliseconds since the table was made.
    pub used: u64,
    serial: u64,
}

/// A stream that is open; its session does not rest meanwhile.
#[derive(Debug)]
pub struct OpenStream(Arc<Session>);

impl Session {
    /// A session that is opened at `now`, in milliseconds since the table was made.
    pub fn new(
        id: Box<str>,
        holder: Holder,
        capabilities: Option<&RawValue>,
        revision: &'static str,
        serial: u64,
        now: u64,
    ) -> Self {
        let ended = CancellationToken::new();
        let client = Client::new(&id, holder.principal.clone(), capabilities, ended.clone());
        Self {
            replay: Replay::new(client.number_of_its_own()),
            client,
            revision,
            id,
            followed: Mutex::default(),
            holder,
            used: AtomicU64::new(now),
            marked: AtomicU64::new(now),
            serial,
            streams: AtomicUsize::new(0),
            in_flight: Arc::default(),
            ended,
        }
    }

    /// Whose it is.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// When it was used last; after `now` while a stream is open or a request under way.
    pub fn used(&self, now: u64) -> u64 {
        if self.is_busy() { now + 1 } else { self.used.load(Ordering::Relaxed) }
    }

    /// Whether it has rested for `idle` milliseconds at `now`.
    pub fn rests(&self, idle: u64, now: u64) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(idle) <= now && !self.is_busy()
    }

    fn is_busy(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0 || !self.in_flight.is_empty()
    }

    /// It is used at `now`.
    pub fn touch(&self, now: u64) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// Where it stands in the order.
    pub fn mark(&self) -> Mark {
        Mark { used: self.marked.load(Ordering::Relaxed), serial: self.serial }
    }

    /// Moves its mark to when it was used last.
    pub fn mark_used(&self, now: u64) {
        self.marked.store(self.used(now), Ordering::Relaxed);
    }

    /// Closes its streams, cancels its requests, and gives up what it followed and the connections that are its own.
    pub fn end(&self) {
        self.followed().clear();
        self.client.leave();
        self.ended.cancel();
        self.in_flight.cancel_all();
    }

    /// Cancelled when the session was ended.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// The client that opened it.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// What the answers to its requests have said.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Whether its client understands events that say nothing, and comes back to a stream that was closed early.
    pub fn is_primed(&self) -> bool {
        // Revisions are dates.
        self.revision >= POLLING_SINCE
    }

    /// Takes note of a resource that the client follows.
    pub fn follow(&self, uri: &str, followed: Followed) {
        self.followed().insert(uri.into(), followed);
    }

    /// Whether the client followed it until now.
    pub fn unfollow(&self, uri: &str) -> bool {
        self.followed().remove(uri).is_some()
    }

    /// How many resources the client follows.
    pub fn follows(&self) -> usize {
        self.followed().len()
    }

    /// The names of the resources that the client follows.
    pub fn names_followed(&self) -> Vec<Box<str>> {
        self.followed().keys().cloned().collect()
    }

    /// The name that the client has for the resource `uri` of `server`, if it follows it.
    pub fn followed_as(&self, server: &str, uri: &str) -> Option<String> {
        self.followed().values().find_map(|followed| followed.shown(server, uri))
    }

    fn followed(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an open stream.
    pub fn stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }

    /// Takes note of the request `id` (JSON text).
    pub fn request(&self, id: &str) -> InFlight {
        self.in_flight.add(id)
    }

    /// Cancels the request `id`, if it is in flight.
    pub fn cancel(&self, id: &str) {
        self.in_flight.cancel(id);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Servers may know the client for longer.
        self.client.leave();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 32 hexadecimal digits from the kernel's random numbers.
///
/// # Errors
///
/// When it gives none.
pub fn new_id() -> Result<Box<str>, rustix::io::Errno> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(hex(&bytes).into())
}
