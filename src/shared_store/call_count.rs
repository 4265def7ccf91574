//! Counts of calls in flight, which the store adds up over all replicas.
//!
//! A count and the number of its changes are one atomic word. The store is told both, and takes a message only when its
//! number of changes is higher than the one it has: messages may be late, repeated or lost, and the next one puts the count
//! right. A replica that falls silent holds nothing any more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use tokio::sync::Notify;

use super::rate::SharedRate;
use crate::sync::lock;

/// One change; the bits below are the count.
const CHANGE: u64 = 1 << 24;

/// Calls in flight of one key or user, in this process. Without a store it is a plain counter.
#[derive(Debug, Default)]
pub struct CallCount {
    state: AtomicU64,
    /// Its change waits to be reported.
    queued: AtomicBool,
    shared: OnceLock<SharedCount>,
}

/// What makes a count known to the store.
#[derive(Debug)]
struct SharedCount {
    key: Box<str>,
    reports: Arc<CountReports>,
}

/// A count after its change number `sequence`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountState {
    pub sequence: u64,
    pub count: u64,
}

impl CountState {
    fn of(state: u64) -> Self {
        Self { sequence: state / CHANGE, count: state % CHANGE }
    }
}

impl CallCount {
    /// One more call; the state with it.
    pub fn begin(&self) -> CountState {
        CountState::of(self.state.fetch_add(CHANGE + 1, Ordering::Relaxed) + CHANGE + 1)
    }

    /// One call less.
    pub fn end(self: &Arc<Self>) {
        self.state.fetch_add(CHANGE - 1, Ordering::Relaxed);
        if let Some(shared) = self.shared.get()
            && !self.queued.swap(true, Ordering::AcqRel)
        {
            lock(&shared.reports.changed).push(self.clone());
            shared.reports.wake.notify_one();
        }
    }

    /// The calls in flight now.
    pub fn now(&self) -> u64 {
        self.state().count
    }

    pub(super) fn state(&self) -> CountState {
        CountState::of(self.state.load(Ordering::Relaxed))
    }

    /// Its key in the store, once it is shared.
    pub(super) fn key(&self) -> Option<&str> {
        self.shared.get().map(|shared| &*shared.key)
    }

    /// Reports its changes under `key` from now on.
    pub(super) fn share(self: &Arc<Self>, key: impl FnOnce() -> String, reports: &Arc<CountReports>) {
        self.shared.get_or_init(|| {
            let mut known = lock(&reports.known);
            if known.len() == known.capacity() {
                known.retain(|count| count.strong_count() > 0);
            }
            known.push(Arc::downgrade(self));
            SharedCount { key: key().into(), reports: reports.clone() }
        });
    }
}

/// What the store is still to be told.
#[derive(Debug, Default)]
pub(super) struct CountReports {
    known: Mutex<Vec<Weak<CallCount>>>,
    changed: Mutex<Vec<Arc<CallCount>>>,
    refunds: Mutex<Vec<Arc<SharedRate>>>,
    pub wake: Notify,
}

impl CountReports {
    /// The counts that changed since the last look.
    pub fn changed(&self) -> Vec<Arc<CallCount>> {
        let changed = std::mem::take(&mut *lock(&self.changed));
        for count in &changed {
            // Before the state is read: a later change is reported again.
            count.queued.store(false, Ordering::Release);
        }
        changed
    }

    /// All counts that are shared.
    pub fn all(&self) -> Vec<Arc<CallCount>> {
        lock(&self.known).iter().filter_map(Weak::upgrade).collect()
    }

    /// The counts that are not zero.
    pub fn held(&self) -> Vec<Arc<CallCount>> {
        let mut all = self.all();
        all.retain(|count| count.now() > 0);
        all
    }

    /// Gives back a call that was counted under `rate` and not made.
    pub fn refund(&self, rate: &Arc<SharedRate>) {
        lock(&self.refunds).push(rate.clone());
        self.wake.notify_one();
    }

    pub fn refunds(&self) -> Vec<Arc<SharedRate>> {
        std::mem::take(&mut *lock(&self.refunds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_its_number_and_is_reported_once() {
        let reports: Arc<CountReports> = Arc::default();
        let count = Arc::new(CallCount::default());
        count.begin();
        count.end();
        assert!(reports.changed().is_empty(), "it is not shared yet");
        count.share(|| "k".to_owned(), &reports);
        assert_eq!(count.begin(), CountState { sequence: 3, count: 1 });
        assert_eq!(count.begin(), CountState { sequence: 4, count: 2 });
        assert_eq!(reports.held().len(), 1);
        count.end();
        count.end();
        assert_eq!(count.state(), CountState { sequence: 6, count: 0 });
        assert_eq!((reports.changed().len(), reports.changed().len(), reports.held().len()), (1, 0, 0));
    }
}
