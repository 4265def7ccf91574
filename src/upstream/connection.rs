//! A live connection to one server, over any transport: each request gets the server's own bytes as its answer, and
//! all other messages go to an inbox.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::config::ServerName;
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::message::{FIRST_ID, LAST_ID, Reply};
use crate::upstream::message_queue::{self, Receiver, Sender};
use crate::upstream::progress::Progress;
use crate::upstream::request::Request;

/// Messages beside answers that may wait. A server that floods us with notifications loses the surplus.
const INBOX: usize = 256;
/// Bytes of them.
const INBOX_BYTES: usize = 4 << 20;

/// The way of messages beside answers.
pub fn inbox() -> (Sender, Receiver) {
    message_queue::channel(INBOX, INBOX_BYTES)
}

/// A larger message that answers no request is dropped: only the answer to `initialize` and small notifications are
/// of use.
const LARGEST: usize = 1 << 20;

/// The id of `initialize`, which is below all of [`Connection::request`].
pub const INITIALIZE_ID: u32 = 0;

/// Hands on a message that answers no request, or drops it when too many are waiting.
pub fn offer(server: &ServerName, inbox: &Sender, message: Bytes) {
    if message.len() > LARGEST {
        let bytes = message.len();
        tracing::debug!(mcp_server = %server, bytes, "{server}: a message was dropped: it answers nothing and is large");
    } else if !inbox.offer(message) {
        tracing::debug!(mcp_server = %server, "{server}: a message was dropped: too many are waiting");
    }
}

/// One connection. Dropping the future of [`Connection::request`] cancels the request at the server.
pub trait Connection: Send + Sync + 'static {
    /// Sends one message (JSON text without newline). The server's answer goes to the inbox.
    fn send(&self, message: OutgoingMessage) -> BoxFuture<'static, Result<(), RequestError>>;

    /// Sends the answer to a request of the server's, without waiting until it is taken: nothing may wait where a question
    /// is dropped. It is lost when too many are under way already, or the server does not take it in time.
    fn respond(&self, answer: Bytes);

    /// Sends one of our requests and waits for its answer. `progress` gets each progress notification that belongs to
    /// it.
    fn request<'a>(
        &'a self,
        request: Request<'a>,
        progress: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, RequestError>>;

    /// Ends the connection in an orderly way and waits until nothing of it is left.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// When and why the connection ended.
    fn end(&self) -> &CloseSignal;

    /// The era in which requests are written.
    fn era(&self) -> &EraCache;

    /// The first line of the server that was not a message, as one of its last words.
    fn first_malformed_line(&self) -> Option<String> {
        None
    }

    /// Whether the server may want arguments in headers, too ([`crate::upstream::tools::header_params`]).
    fn mirrors_arguments(&self) -> bool {
        false
    }
}

impl std::fmt::Debug for dyn Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Connection")
    }
}

/// A message beside our own requests on its way out.
#[derive(Debug)]
pub struct OutgoingMessage {
    pub message: Bytes,
    pub step: HandshakeStep,
}

/// The step of a handshake that a message is; transports with sessions act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeStep {
    /// `initialize`: its answer opens the session.
    Initialize,
    /// `notifications/initialized`: the session is open, the server may be listened to.
    Initialized,
    Other,
}

/// A connection that was just made, before the handshake.
pub struct Opened {
    pub connection: Arc<dyn Connection>,
    /// Everything that is not the answer to one of our own requests.
    pub inbox: Receiver,
}

/// The one-time end of a connection.
#[derive(Debug, Default)]
pub struct CloseSignal {
    reason: OnceLock<CloseReason>,
    token: CancellationToken,
}

impl CloseSignal {
    /// Records why the connection ended; only the first reason counts.
    pub fn set(&self, reason: CloseReason) {
        let _first_reason_wins = self.reason.set(reason);
        self.token.cancel();
    }

    pub fn is_set(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits for the end.
    pub async fn wait(&self) -> CloseReason {
        self.token.cancelled().await;
        self.reason()
    }

    /// The reason, once there is one.
    pub fn reason(&self) -> CloseReason {
        self.reason.get().cloned().unwrap_or_else(|| CloseReason::Broken("it was closed".into()))
    }

    /// A token that is cancelled at the end.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }
}

/// Hands out the ids of our own requests.
#[derive(Debug, Default)]
pub struct RequestIds(AtomicU32);

impl RequestIds {
    pub fn next(&self) -> u32 {
        FIRST_ID + self.0.fetch_add(1, Ordering::Relaxed) % (LAST_ID - FIRST_ID + 1)
    }
}

#[cfg(test)]
pub mod fake;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_within_thirty_two_signed_bits_for_ever() {
        let ids = RequestIds(AtomicU32::new(LAST_ID));
        assert_eq!([ids.next(), ids.next()], [LAST_ID, FIRST_ID]);
        let ids = RequestIds(AtomicU32::new(u32::MAX));
        for _ in 0..3 {
            assert!((FIRST_ID..=LAST_ID).contains(&ids.next()));
        }
    }

    #[tokio::test]
    async fn the_first_reason_of_an_end_counts() {
        let end = CloseSignal::default();
        end.set(CloseReason::SessionLost);
        end.set(CloseReason::Stopping);
        assert_eq!(end.wait().await, CloseReason::SessionLost);
    }
}
