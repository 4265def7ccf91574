//! Routes a request's side messages: progress, which extends the request's deadline, and log messages. Both may be
//! passed on to the caller.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::protocol::notification;
use crate::upstream::message_queue::{self, Receiver, Sender};

/// Messages that may wait for a slow reader; the surplus is dropped. Each notification of progress replaces those
/// before it.
pub const WAITING: usize = 64;

/// Bytes of them. A client that does not read costs this much for each of its requests.
const WAITING_BYTES: usize = 256 << 10;

/// The way for messages beside one answer, or to one client.
pub fn queue() -> (Sender, Receiver) {
    message_queue::channel(WAITING, WAITING_BYTES)
}

/// The way of one request's progress.
#[derive(Debug)]
pub struct Progress {
    reported: Notify,
    paused: Notify,
    is_asked: bool,
    passed_on: Option<Sender>,
    passes_log: bool,
}

impl Default for Progress {
    /// Progress that only extends the deadline.
    fn default() -> Self {
        Self {
            reported: Notify::new(),
            paused: Notify::new(),
            is_asked: true,
            passed_on: None,
            passes_log: false,
        }
    }
}

impl Progress {
    /// Passes each message on to `to`, whole and in order. Progress goes on when it `is_asked` of the server, log
    /// messages when the answer's stream brings them and `passes_log`.
    pub fn passed_on(to: Sender, is_asked: bool, passes_log: bool) -> Self {
        Self { is_asked, passed_on: Some(to), passes_log, ..Self::default() }
    }

    /// Whether the server is asked for progress.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// A notification of progress has come.
    pub fn report(&self, message: &Bytes) {
        self.pass_on(message);
        self.reported.notify_one();
    }

    /// The server closed the stream before the answer, and the stream is resumed later.
    pub fn pause(&self) {
        self.paused.notify_one();
    }

    /// Waits until the server does so.
    pub async fn paused(&self) {
        self.paused.notified().await;
    }

    /// Takes a message that came between the request and its answer; `false` when it is of no use here.
    pub fn beside(&self, message: &Bytes) -> bool {
        let is_taken = self.passes_log && is_log(message);
        if is_taken {
            self.pass_on(message);
        }
        is_taken
    }

    /// Takes a message of an ordered connection, for the newest request that wants log messages. The client of that
    /// request has the connection to itself, so a message before an answer is passed on before it.
    pub fn beside_newest<'a>(open: impl Iterator<Item = (u32, &'a Self)>, message: &Bytes) -> bool {
        let wanting = open.filter(|(_, progress)| progress.passes_log);
        wanting.max_by_key(|(id, _)| *id).is_some_and(|(_, progress)| progress.beside(message))
    }

    /// Waits for the next sign of life.
    pub async fn reported(&self) {
        self.reported.notified().await;
    }

    fn pass_on(&self, message: &Bytes) {
        if let Some(to) = &self.passed_on {
            // A reader that is gone, or too slow for one more, misses it.
            let _surplus = to.offer(message.clone());
        }
    }
}

fn is_log(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        method: Option<Cow<'a, str>>,
    }
    // Hardly any message needs to be read.
    memchr::memmem::find(message, notification::MESSAGE.as_bytes()).is_some()
        && serde_json::from_slice::<Head<'_>>(message)
            .is_ok_and(|head| head.method.as_deref() == Some(notification::MESSAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_message_goes_to_the_newest_request_that_wants_it_and_nothing_else_does() {
        let log = Bytes::from_static(br#"{"method":"notifications/message","params":{}}"#);
        let quote =
            Bytes::from_static(br#"{"method":"elicitation/create","params":["notifications/message"]}"#);
        let (send, mut heard) = queue();
        let wanting = |number: u32| (number, Progress::passed_on(send.clone(), false, true));
        let requests = [wanting(1), wanting(2), (3, Progress::default())];
        let open = || requests.iter().map(|(id, progress)| (*id, progress));
        assert!(Progress::beside_newest(open(), &log));
        assert!(!Progress::beside_newest(open(), &quote));
        assert!(!Progress::beside_newest(open().skip(2), &log));
        assert_eq!(heard.try_recv(), Some(log));
        assert_eq!(heard.try_recv(), None);
    }
}
