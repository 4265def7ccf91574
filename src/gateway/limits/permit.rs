//! The right to make one call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::allowance::Rate;
use crate::shared_store::{CallCount, SharedStore};
use crate::sync::lock;

/// Permits one call; dropped, it frees its place among the calls of all and of its key.
#[derive(Debug)]
pub struct Permit {
    pub(super) of_all: Arc<AtomicUsize>,
    pub(super) of_key: Option<Arc<CallCount>>,
    /// The rate of a server under which the shared store has counted the call already.
    pub(super) ahead: Option<Box<CountedAhead>>,
}

/// A call that is counted before its arguments are read, in the one round trip that it has.
#[derive(Debug)]
pub(super) struct CountedAhead {
    pub store: Arc<SharedStore>,
    pub rate: Arc<Rate>,
}

/// A permit taken before its call is known; the first call takes it.
#[derive(Debug, Default)]
pub struct EarlyPermit(Option<Mutex<Option<Permit>>>);

impl EarlyPermit {
    pub fn new(permit: Permit) -> Self {
        Self(Some(Mutex::new(Some(permit))))
    }

    /// The permit, unless there was none or a call took it.
    pub fn take(&self) -> Option<Permit> {
        lock(self.0.as_ref()?).take()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of_all.fetch_sub(1, Ordering::Relaxed);
        if let Some(of_key) = &self.of_key {
            of_key.end();
        }
        if let Some(ahead) = &self.ahead
            && let Some(rate) = &ahead.rate.shared
        {
            // It never came to the server.
            ahead.store.refund(rate);
        }
    }
}
