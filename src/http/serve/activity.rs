//! The activity of a connection: requests that begin and end, and bytes that leave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

/// The counts by which idle and stalled connections are found.
#[derive(Default)]
pub(super) struct Activity {
    pub begun: AtomicUsize,
    in_flight: AtomicUsize,
    /// Bytes that the system took for the client.
    pub written: Arc<AtomicUsize>,
    /// Ends the connection when its client keeps the memory budget of results from others.
    pub cut: CancellationToken,
    /// Whether an answer with a share of that budget ever left on it.
    pub has_share: AtomicBool,
}

impl Activity {
    /// Requests that have begun, and bytes that were written.
    pub fn done(&self) -> (usize, usize) {
        (self.begun.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }

    /// Whether no request waits for its answer's head.
    pub fn is_resting(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }
}

/// Counts a request as in flight until its answer's head is ready, or the client has left.
pub(super) struct RequestInFlight<'a>(&'a Activity);

impl<'a> RequestInFlight<'a> {
    pub fn begin(activity: &'a Activity) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for RequestInFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
