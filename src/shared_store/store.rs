//! The store as the gateway has it: a connection while there is one, and the state of it.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, ServerErrorKind};
use tokio::sync::{Notify, broadcast};

use super::address::StoreAddress;
use super::call_count::CountReports;
use crate::sync::lock;

/// How long an answer is waited for.
pub(super) const ANSWER: Duration = Duration::from_millis(500);
/// How long after an outage the replicas are back: longer than they wait and then take to connect again.
const SETTLED: Duration = Duration::from_secs(5);
/// Messages of other replicas that wait for a slow reader; it then misses the oldest.
const EVENTS: usize = 1024;

/// Gives the address for each connection, with its secrets as they are now.
pub type AddressSource = Box<dyn Fn() -> BoxFuture<'static, Result<StoreAddress, String>> + Send + Sync>;

/// The store is away, or does not answer in time. Its state says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared store is away")]
pub struct StoreAway;

/// Whether the store is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    /// When this state began.
    pub since: SystemTime,
    /// Why the store is away; `None` while it is there.
    pub reason: Option<Arc<str>>,
}

/// What the store brings by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// It is there, or there again; messages may have been missed, and what it held may be lost.
    Connected,
    /// A message of a replica to all.
    Told { topic: Box<str>, message: Vec<u8> },
}

/// The store that replicas share.
pub struct SharedStore {
    pub(super) address: AddressSource,
    pub(super) prefix: Box<str>,
    /// This process, among the replicas.
    pub(super) replica: Box<str>,
    link: ArcSwapOption<StoreLink>,
    status: Mutex<StoreStatus>,
    /// Signals that the connection is lost.
    pub(super) lost: Notify,
    pub(super) counts: Arc<CountReports>,
    pub(super) events: broadcast::Sender<StoreEvent>,
}

/// One connection.
pub(super) struct StoreLink {
    pub number: u64,
    pub connection: MultiplexedConnection,
}

/// Why a command has no result.
#[derive(Debug)]
pub(super) enum AskError {
    Away,
    NoScript,
}

impl AskError {
    pub fn is_no_script(&self) -> bool {
        matches!(self, Self::NoScript)
    }
}

impl From<AskError> for StoreAway {
    fn from(_: AskError) -> Self {
        Self
    }
}

impl SharedStore {
    pub(super) fn new(address: AddressSource, prefix: &str, replica: &str) -> Self {
        let status = StoreStatus { since: SystemTime::now(), reason: Some("it was not reached yet".into()) };
        Self {
            address,
            prefix: prefix.into(),
            replica: replica.into(),
            link: ArcSwapOption::empty(),
            status: Mutex::new(status),
            lost: Notify::new(),
            counts: Arc::default(),
            events: broadcast::Sender::new(EVENTS),
        }
    }

    /// Whether the store is there, since when, and why not.
    pub fn status(&self) -> StoreStatus {
        lock(&self.status).clone()
    }

    /// Whether the store is there now.
    pub fn is_there(&self) -> bool {
        self.link.load().is_some()
    }

    /// Waits after an outage until all replicas can be back, and have told what they did meanwhile.
    pub async fn settled(&self) {
        let is_back = self.link.load().as_ref().is_some_and(|link| link.number > 0);
        let since = self.status().since;
        let settling = SETTLED.checked_sub(since.elapsed().unwrap_or_default());
        if let (true, Some(settling)) = (is_back, settling) {
            tokio::time::sleep(settling).await;
        }
    }

    /// The name of a key, or of a channel.
    pub(super) fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.prefix)
    }

    /// Sends `command` and waits for its answer, at most [`ANSWER`] long.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, AskError> {
        let link = self.link.load_full().ok_or(AskError::Away)?;
        let mut connection = link.connection.clone();
        let answered = command.query_async(&mut connection).await;
        answered.map_err(|error| self.failed(link.number, &error))
    }

    /// A store that refuses a command (no memory, no right to it, a replica of Redis) is as good as away.
    fn failed(&self, number: u64, error: &RedisError) -> AskError {
        if error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) {
            return AskError::NoScript;
        }
        self.lose(number, &explain(error));
        AskError::Away
    }

    /// The connection `number` is of no use any more.
    pub(super) fn lose(&self, number: u64, reason: &str) {
        let current = self.link.load_full();
        let Some(lost) = current.filter(|link| link.number == number) else { return };
        let before = self.link.compare_and_swap(&lost, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &lost)) {
            self.is_away(reason);
            tracing::warn!(
                "the shared store is away: {reason}; until it is back limits count in this gateway alone, and clients cannot sign in at it"
            );
            self.lost.notify_one();
        }
    }

    /// Notes why the store is away.
    pub(super) fn is_away(&self, reason: &str) {
        let mut status = lock(&self.status);
        if status.reason.is_none() {
            status.since = SystemTime::now();
        }
        status.reason = Some(reason.into());
    }

    /// Everything goes over `link` from now on.
    pub(super) fn is_back(&self, link: StoreLink) {
        self.link.store(Some(Arc::new(link)));
        *lock(&self.status) = StoreStatus { since: SystemTime::now(), reason: None };
    }
}

/// The error in words that an operator can act on.
pub(super) fn explain(error: &RedisError) -> String {
    if error.is_timeout() {
        return format!("it gave no answer within {} ms", ANSWER.as_millis());
    }
    match error.code() {
        // Redis compares the pattern of a subscription as text: `&mcpo:*` does not allow `mcpo:events:*`.
        Some("NOPERM") => {
            format!(
                "{error}; its user needs `~mcpo:* resetchannels &mcpo:events:* +@all -@dangerous`, with `sharedPrefix` in place of `mcpo:`"
            )
        }
        _ => error.to_string(),
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
