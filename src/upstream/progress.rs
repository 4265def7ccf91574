//! Where goes what comes beside the answer to one request: its progress, which puts off the request's deadline, and the
//! log messages that belong to it. Both may be passed on to who asked.

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

/// Messages that may wait for a slow reader; the surplus is dropped: each notification of progress replaces those
/// before it.
pub const WAITING: usize = 64;

/// What stands in every log message.
const LOG: &[u8] = b"\"notifications/message\"";

/// The way of one request's progress.
#[derive(Debug)]
pub struct Progress {
    told: Notify,
    paused: Notify,
    is_asked: bool,
    passed_on: Option<mpsc::Sender<Bytes>>,
    passes_log: bool,
}

impl Default for Progress {
    /// Progress that only the deadline hears of.
    fn default() -> Self {
        Self {
            told: Notify::new(),
            paused: Notify::new(),
            is_asked: true,
            passed_on: None,
            passes_log: false,
        }
    }
}

impl Progress {
    /// Each message goes to `to` whole, as the server sent it, in order: progress when it `is_asked` of the server, log
    /// messages when the answer's stream brings them and `passes_log`.
    pub fn passed_on(to: mpsc::Sender<Bytes>, is_asked: bool, passes_log: bool) -> Self {
        Self { is_asked, passed_on: Some(to), passes_log, ..Self::default() }
    }

    /// Whether the server is to tell its progress.
    pub fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// A notification of progress has come.
    pub fn tell(&self, message: &Bytes) {
        self.pass_on(message);
        self.touch();
    }

    /// Something else shows that the request goes on, such as an answer of the user's.
    pub fn touch(&self) {
        self.told.notify_one();
    }

    /// The server has closed the stream of its answer before the answer, and is asked again later.
    pub fn pause(&self) {
        self.paused.notify_one();
    }

    /// Waits until the server does so.
    pub async fn paused(&self) {
        self.paused.notified().await;
    }

    /// Takes a message that came between the request and its answer; `false` when it is of no use here.
    pub fn beside(&self, message: &Bytes) -> bool {
        let is_taken = self.passes_log && memchr::memmem::find(message, LOG).is_some();
        if is_taken {
            self.pass_on(message);
        }
        is_taken
    }

    /// Waits for the next sign of life.
    pub async fn told(&self) {
        self.told.notified().await;
    }

    fn pass_on(&self, message: &Bytes) {
        if let Some(to) = &self.passed_on {
            // A reader that is gone, or too slow for one more, misses it.
            let _surplus = to.try_send(message.clone());
        }
    }
}
