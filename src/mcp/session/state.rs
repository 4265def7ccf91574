//! One session of a client (revisions 2024-11-05 to 2025-11-25).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::clock::now;
use super::event_log::EventLogs;
use super::holder::Holder;
use super::in_flight::RequestsInFlight;
use super::interest::UntoldInterests;
use super::resource_subscription::ResourceSubscription;
use crate::mcp::input::client::{ClientRoute, SessionClient};
use crate::protocol::revision::POLLING_SINCE;
use crate::sync::lock;
use crate::upstream::message_queue::Receiver;

/// A session: its client, its requests in flight, its subscriptions and its last use.
#[derive(Debug)]
pub struct Session {
    /// A [`SealedSession`](super::sealed::SealedSession), in visible characters.
    pub id: Arc<[u8]>,
    /// The key, profile and endpoint of the session.
    pub holder: Holder,
    /// Its last use, by the [`clock`](super::clock).
    used: AtomicU64,
    /// The session's place in the table's order; changed only under the order's lock.
    marked: AtomicU64,
    serial: u64,
    streams: AtomicUsize,
    /// Requests that a `notifications/cancelled` may name.
    pub in_flight: Arc<RequestsInFlight>,
    /// The client that opened it.
    pub client: Arc<SessionClient>,
    revision: &'static str,
    /// The events of its responses.
    pub event_logs: Arc<EventLogs>,
    /// The resources that the client follows, by the client's names.
    followed: Mutex<HashMap<Box<str>, ResourceSubscription>>,
    /// Cancelled when the session was ended.
    pub ended: CancellationToken,
    /// Whether another process opened it first.
    pub is_of_other_process: bool,
    /// Whether the client is to be told that it may have missed changes.
    missed: AtomicBool,
    /// Interests of the client that the replicas are to be told, locked while they are.
    pub untold: tokio::sync::Mutex<UntoldInterests>,
    /// Whether the store may know interests that this process has not asked it for.
    lacks_interests: AtomicBool,
}

/// A place in the order in which sessions are to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The last use that the order knows of.
    pub used: u64,
    serial: u64,
}

/// The stream of a session that belongs to no request.
#[derive(Debug)]
pub struct Listening {
    pub session: Arc<Session>,
    _route: ClientRoute,
    messages: Receiver,
    _open: OpenStream,
}

/// A stream that is open; its session does not rest meanwhile.
#[derive(Debug)]
pub struct OpenStream(Arc<Session>);

impl Session {
    /// A session that is opened at `now`.
    pub fn new(
        id: Arc<[u8]>,
        holder: Holder,
        capabilities: Arc<str>,
        revision: &'static str,
        serial: u64,
        now: u64,
    ) -> Self {
        let ended = CancellationToken::new();
        let client = SessionClient::new(&id, holder.principal.clone(), capabilities, ended.clone());
        Self {
            event_logs: EventLogs::new(client.number_of_its_own(), ended.clone()),
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
            is_of_other_process: false,
            missed: AtomicBool::new(false),
            untold: tokio::sync::Mutex::default(),
            lacks_interests: AtomicBool::new(false),
        }
    }

    /// The same as a session of another process that is opened again at `now`.
    #[must_use]
    pub fn opened_again(mut self, now: u64) -> Self {
        // The client may still answer questions of that process.
        self.client.number_from(now);
        self.is_of_other_process = true;
        self.missed = AtomicBool::new(true);
        self.lacks_interests = AtomicBool::new(true);
        self
    }

    /// Whether the client may have missed changes, which it is told now.
    pub fn has_missed_changes(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }

    /// Whether the store may know interests that this process has not asked it for.
    pub fn lacks_interests(&self) -> bool {
        self.lacks_interests.load(Ordering::Acquire)
    }

    /// Notes that the store may know other interests by now.
    pub fn may_lack_interests(&self) {
        self.lacks_interests.store(true, Ordering::Release);
    }

    /// Notes that the store was asked for the interests.
    pub fn interests_are_taken_up(&self) {
        self.lacks_interests.store(false, Ordering::Release);
    }

    /// The time of its last use; after `now` while a stream is open or a request in flight.
    pub fn used(&self, now: u64) -> u64 {
        if self.is_busy() { now + 1 } else { self.used.load(Ordering::Relaxed) }
    }

    /// Whether it has rested for `idle` milliseconds at `now`.
    pub fn rests(&self, idle: u64, now: u64) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(idle) <= now && !self.is_busy()
    }

    fn is_busy(&self) -> bool {
        self.has_stream() || !self.in_flight.is_empty()
    }

    /// Notes a use at `now`.
    pub fn touch(&self, now: u64) {
        self.used.store(now, Ordering::Relaxed);
    }

    /// Its place in the order.
    pub fn mark(&self) -> Mark {
        Mark { used: self.marked.load(Ordering::Relaxed), serial: self.serial }
    }

    /// Moves its mark to its last use.
    pub fn mark_used(&self, now: u64) {
        self.marked.store(self.used(now), Ordering::Relaxed);
    }

    /// Closes its streams, cancels its requests, and drops its subscriptions and its own connections.
    pub fn end(&self) {
        self.followed().clear();
        self.client.leave();
        self.ended.cancel();
        self.in_flight.cancel_all();
    }

    /// Whether its client understands empty events, and reconnects to a stream that was closed early.
    pub fn is_primed(&self) -> bool {
        // Revisions are dates.
        self.revision >= POLLING_SINCE
    }

    /// The client's name for the resource `uri` of `server`, if the client follows it.
    pub fn followed_as(&self, server: &str, uri: &str) -> Option<String> {
        self.followed().values().find_map(|followed| followed.shown(server, uri))
    }

    /// The resources that the client follows, by the client's names.
    pub fn followed(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, ResourceSubscription>> {
        lock(&self.followed)
    }

    /// Opens the stream that belongs to no request, in place of an earlier one.
    pub fn listen(self: &Arc<Self>) -> Listening {
        let (route, messages) = self.client.stream();
        Listening { session: self.clone(), _route: route, messages, _open: self.stream() }
    }

    /// Whether a stream of its client is open.
    pub fn has_stream(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// Counts an open stream until the value is dropped.
    pub fn stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }
}

impl Listening {
    /// The next message for the client; `None` at the end.
    ///
    /// That is the end of the session, or another stream in place of this one.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.session.ended.run_until_cancelled(self.messages.recv()).await.flatten()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Connections may hold the client for longer.
        self.client.leave();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.touch(now());
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
