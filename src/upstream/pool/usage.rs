//! The usage of a dedicated connection, and whether it is to end.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::shares::{Bound, Principal};
use crate::sync::lock;

/// The use of one connection by calls. Only one that is not in use is ended to make room.
#[derive(Debug)]
pub struct Usage {
    state: Mutex<UsageState>,
    /// Ends the connection.
    closing: CancellationToken,
}

#[derive(Debug)]
struct UsageState {
    /// Calls that use it or wait for it.
    users: usize,
    /// When the last of them left, or came.
    at: Instant,
    /// No further call may use it.
    is_over: bool,
}

impl Usage {
    /// The usage of a connection that one call waits for; the connection ends by `closing`.
    pub fn new(closing: CancellationToken) -> Arc<Self> {
        let state = UsageState { users: 1, at: Instant::now(), is_over: false };
        Arc::new(Self { state: Mutex::new(state), closing })
    }

    /// One more call uses it, unless it is about to end.
    pub fn join(&self) -> bool {
        let mut state = lock(&self.state);
        state.users += usize::from(!state.is_over);
        !state.is_over
    }

    /// One less does.
    pub fn leave(&self) {
        let mut state = lock(&self.state);
        state.users -= 1;
        state.at = Instant::now();
        if state.is_over && state.users == 0 {
            self.closing.cancel();
        }
    }

    /// Since when no call uses it; `None` while one does, and when it is about to end.
    pub fn unused_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.users == 0 && !state.is_over).then_some(state.at)
    }

    /// Whether no further call may use it.
    pub fn is_over(&self) -> bool {
        lock(&self.state).is_over
    }

    /// Ends the connection if no call uses it.
    pub fn end_if_unused(&self) -> bool {
        let mut state = lock(&self.state);
        if state.users > 0 || state.is_over {
            return false;
        }
        state.is_over = true;
        self.closing.cancel();
        true
    }

    /// Ends the connection once the calls that use it are over.
    pub fn end(&self) {
        let mut state = lock(&self.state);
        state.is_over = true;
        if state.users == 0 {
            self.closing.cancel();
        }
    }

    /// Ends the connection at once.
    pub fn cut(&self) {
        lock(&self.state).is_over = true;
        self.closing.cancel();
    }
}

/// The unused `entries` that may end to make room for one of `newcomer`, the best choice first.
///
/// That is the one that was unused for longest, of the caller that has most.
pub fn evictable<'a, K: Ord + Copy>(
    entries: impl Iterator<Item = (K, &'a Principal, &'a Usage)> + Clone,
    bound: Bound,
    newcomer: &Principal,
) -> Vec<K> {
    let mut counts: HashMap<&Principal, usize> = HashMap::new();
    for (_, principal, _) in entries.clone() {
        *counts.entry(principal).or_default() += 1;
    }
    let unused = entries.filter_map(|(key, principal, usage)| {
        let may_end = bound == Bound::All || principal == newcomer;
        let since = usage.unused_since().filter(|_| may_end)?;
        Some((Reverse(counts[principal]), since, key))
    });
    let mut unused: Vec<_> = unused.collect();
    unused.sort_unstable();
    unused.into_iter().map(|(.., key)| key).collect()
}
