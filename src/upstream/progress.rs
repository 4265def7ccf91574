//! Where the progress of one request goes: it puts off the request's deadline, and may be passed on to who asked.

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

/// Notifications that may wait for a slow reader; the surplus is dropped, since each one replaces those before it.
pub const WAITING: usize = 64;

/// The way of one request's progress.
#[derive(Debug, Default)]
pub struct Progress {
    told: Notify,
    passed_on: Option<mpsc::Sender<Bytes>>,
}

impl Progress {
    /// Progress that is passed on, too: each notification whole, as the server sent it, in order.
    pub fn passed_on(to: mpsc::Sender<Bytes>) -> Self {
        Self { told: Notify::new(), passed_on: Some(to) }
    }

    /// A notification has come.
    pub fn tell(&self, message: &Bytes) {
        if let Some(to) = &self.passed_on {
            // A reader that is gone, or too slow for one more, misses it.
            let _surplus = to.try_send(message.clone());
        }
        self.told.notify_one();
    }

    /// Waits for the next one.
    pub async fn told(&self) {
        self.told.notified().await;
    }
}
