//! Messages on their way to a reader that may be slow: bounded in number and in bytes. The surplus is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

/// The near end. Clones share the bounds.
#[derive(Debug, Clone)]
pub struct Sender {
    to: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

/// The far end.
#[derive(Debug)]
pub struct Receiver {
    from: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// A way for `count` messages of `bytes` together.
pub fn channel(count: usize, bytes: usize) -> (Sender, Receiver) {
    let (to, from) = mpsc::channel(count);
    let waiting = Arc::<AtomicUsize>::default();
    (Sender { to, waiting: waiting.clone(), most: bytes }, Receiver { from, waiting })
}

impl Sender {
    /// Whether the message is on its way. One that is larger than the bound finds a place while no other waits.
    pub fn offer(&self, message: Bytes) -> bool {
        let length = message.len();
        let with_it = |waiting: usize| {
            let fits = waiting == 0 || waiting + length <= self.most;
            fits.then_some(waiting + length)
        };
        if self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it).is_err() {
            return false;
        }
        let is_sent = self.to.try_send(message).is_ok();
        if !is_sent {
            self.waiting.fetch_sub(length, Ordering::Relaxed);
        }
        is_sent
    }
}

impl Receiver {
    /// The next message that is there already.
    pub fn try_recv(&mut self) -> Option<Bytes> {
        self.from.try_recv().ok().inspect(|message| {
            self.waiting.fetch_sub(message.len(), Ordering::Relaxed);
        })
    }

    /// The next message; `None` once every sender is gone.
    pub async fn recv(&mut self) -> Option<Bytes> {
        let message = self.from.recv().await?;
        self.waiting.fetch_sub(message.len(), Ordering::Relaxed);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_over_the_number_or_the_bytes_is_dropped_and_a_large_one_has_the_way_for_itself() {
        let message = |length: usize| Bytes::from(vec![b'x'; length]);
        let (to, mut from) = channel(3, 10);
        assert!(to.offer(message(6)) && !to.offer(message(5)) && to.offer(message(4)));
        assert!(!to.offer(message(1)), "ten bytes wait");
        assert_eq!((from.recv().await, from.recv().await), (Some(message(6)), Some(message(4))));
        assert!(to.offer(message(100)) && !to.offer(message(1)));
        assert_eq!(from.recv().await, Some(message(100)));
        assert_eq!([0; 4].map(|_| to.offer(message(1))), [true, true, true, false]);
        drop(from);
        assert!(!to.clone().offer(message(1)));
    }
}
