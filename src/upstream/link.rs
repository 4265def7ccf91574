//! A live connection to one server, whatever its transport: our requests are answered with the server's own bytes, and what
//! else it sends comes in beside them.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::era_cache::EraCache;
use super::error::{EndReason, LinkError};
use super::message::{FIRST_ID, LAST_ID, Reply};
use super::messages::{self, Receiver, Sender};
use super::progress::Progress;
use super::request::Request;
use crate::config::ServerName;

/// Messages beside answers that may wait. A server that floods us with notifications loses the surplus.
const INBOX: usize = 256;
/// Bytes of them.
const INBOX_BYTES: usize = 4 << 20;

/// The way of messages beside answers.
pub fn inbox() -> (Sender, Receiver) {
    messages::channel(INBOX, INBOX_BYTES)
}

/// A larger message that is no answer to one of our requests is dropped: there is a use for the answer to `initialize` and
/// for small notifications only.
const LARGEST: usize = 1 << 20;

/// Our answers to a server's own requests that may be under way at one time; further ones are dropped. Without this a
/// server that asks and does not read would fill the memory.
pub const ANSWERS: usize = 64;
/// How long such an answer may wait for a server that does not take it.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The answers to a server's own requests that are under way over HTTP.
#[derive(Debug)]
pub struct Answers(Arc<Semaphore>);

impl Default for Answers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ANSWERS)))
    }
}

impl Answers {
    /// See [`Link::tell`]; `telling` is one of `tasks` of the connection that lasts until `end`.
    pub fn tell(
        &self,
        server: &ServerName,
        tasks: &TaskTracker,
        end: Arc<End>,
        telling: impl Future<Output = Result<(), LinkError>> + Send + 'static,
    ) {
        if end.is_set() {
            return;
        }
        let Ok(place) = self.0.clone().try_acquire_owned() else {
            return tracing::debug!(mcp_server = %server, "{server}: an answer to a request of its own was dropped: too many are under way");
        };
        let server = server.clone();
        tasks.spawn(async move {
            let _place = place;
            let told = end.token().run_until_cancelled(timeout(ANSWER_LIMIT, telling)).await;
            if let Some(Err(_) | Ok(Err(_))) = told {
                tracing::debug!(mcp_server = %server, "{server} did not take an answer to a request of its own");
            }
        });
    }
}

/// The id of `initialize`, which is below all of [`Link::request`].
pub const INITIALIZE_ID: u32 = 0;

/// Hands on a message beside answers, or drops it when too many are waiting already.
pub fn offer(server: &ServerName, inbox: &Sender, message: Bytes) {
    if message.len() > LARGEST {
        let bytes = message.len();
        tracing::debug!(mcp_server = %server, bytes, "{server}: a message was dropped: it answers nothing and is large");
    } else if !inbox.offer(message) {
        tracing::debug!(mcp_server = %server, "{server}: a message was dropped: too many are waiting");
    }
}

/// One connection. Dropping the future of [`Link::request`] tells the server that the request was given up.
pub trait Link: Send + Sync + 'static {
    /// Sends one message (JSON text without newline). What the server answers goes to the inbox.
    fn send(&self, message: Outgoing) -> BoxFuture<'static, Result<(), LinkError>>;

    /// Sends the answer to a request of the server's, without waiting until it is taken: nothing may wait where a question
    /// is dropped. It is lost when too many are under way already, or the server does not take it in time.
    fn tell(&self, answer: Bytes);

    /// Sends one of our own requests and waits for its answer. `progress` is told of each progress
    /// notification that belongs to it.
    fn request<'a>(
        &'a self,
        request: Request<'a>,
        progress: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, LinkError>>;

    /// Ends the connection in an orderly way and waits until nothing of it is left.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Tells when and why the connection ended.
    fn end(&self) -> &End;

    /// The era in which requests are written.
    fn era(&self) -> &EraCache;

    /// The first of what the server wrote in place of messages, as one of its last words.
    fn stray_words(&self) -> Option<String> {
        None
    }

    /// Whether the server may want arguments in headers, too ([`super::header_params`]).
    fn mirrors_arguments(&self) -> bool {
        false
    }
}

/// A message beside our own requests on its way out.
#[derive(Debug)]
pub struct Outgoing {
    pub message: Bytes,
    pub step: Step,
}

/// What a transport with sessions must know of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `initialize`: its answer opens the session.
    Initialize,
    /// `notifications/initialized`: the session is open, the server may be listened to.
    Initialized,
    Other,
}

/// A connection that was just made, before the handshake.
pub struct Opened {
    pub link: Arc<dyn Link>,
    /// Everything that is not the answer to one of our own requests.
    pub inbox: Receiver,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Opened").finish_non_exhaustive()
    }
}

/// The one-time end of a connection.
#[derive(Debug, Default)]
pub struct End {
    reason: OnceLock<EndReason>,
    token: CancellationToken,
}

impl End {
    /// Records why the connection ended; only the first reason counts.
    pub fn set(&self, reason: EndReason) {
        let _first_reason_wins = self.reason.set(reason);
        self.token.cancel();
    }

    pub fn is_set(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for the end.
    pub async fn wait(&self) -> EndReason {
        self.token.cancelled().await;
        self.reason()
    }

    /// The reason, once there is one.
    pub fn reason(&self) -> EndReason {
        self.reason.get().cloned().unwrap_or_else(|| EndReason::Broken("it was closed".into()))
    }

    /// A token that is cancelled at the end.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// Hands out the ids of our own requests.
#[derive(Debug)]
pub struct Ids(AtomicU32);

impl Default for Ids {
    fn default() -> Self {
        Self(AtomicU32::new(FIRST_ID))
    }
}

impl Ids {
    pub fn next(&self) -> u32 {
        let id = self.0.fetch_add(1, Ordering::Relaxed);
        FIRST_ID + (id.wrapping_sub(FIRST_ID)) % (LAST_ID - FIRST_ID + 1)
    }
}

#[cfg(test)]
pub mod fake;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_within_thirty_two_signed_bits_for_ever() {
        let ids = Ids(AtomicU32::new(LAST_ID));
        assert_eq!([ids.next(), ids.next()], [LAST_ID, FIRST_ID]);
        let ids = Ids(AtomicU32::new(u32::MAX));
        for _ in 0..3 {
            assert!((FIRST_ID..=LAST_ID).contains(&ids.next()));
        }
    }

    #[tokio::test]
    async fn the_first_reason_of_an_end_counts() {
        let end = End::default();
        end.set(EndReason::SessionLost);
        end.set(EndReason::Stopping);
        assert_eq!(end.wait().await, EndReason::SessionLost);
    }
}
