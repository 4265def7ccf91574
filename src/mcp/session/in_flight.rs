//! Requests of one session in flight, which a `notifications/cancelled` may name.
//!
//! A client must not give two requests the same id (2025-11-25, basic, "Requests"); a client that does cancels both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::sync::lock;
use tokio_util::sync::CancellationToken;

/// The requests in flight. Only the session's own requests meet at this lock.
#[derive(Debug, Default)]
pub struct RequestsInFlight(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// By a number of their own, with their ids: every request is added and removed, and few are looked up by id.
    by_number: BTreeMap<u64, (Box<str>, CancellationToken)>,
    /// Requests so far.
    count: u64,
}

/// A request that may be cancelled until the value is dropped.
#[derive(Debug)]
pub struct CancellableRequest {
    requests: Arc<RequestsInFlight>,
    number: u64,
    pub cancelled: CancellationToken,
}

impl RequestsInFlight {
    /// Adds the request `id` (JSON text).
    pub fn add(self: &Arc<Self>, id: &str) -> CancellableRequest {
        let cancelled = CancellationToken::new();
        let request = (id.into(), cancelled.clone());
        let mut table = lock(&self.0);
        table.count += 1;
        let number = table.count;
        table.by_number.insert(number, request);
        drop(table);
        CancellableRequest { requests: self.clone(), number, cancelled }
    }

    /// Cancels the request `id`, if it is in flight.
    pub fn cancel(&self, id: &str) {
        for (_, cancelled) in lock(&self.0).by_number.values().filter(|(known, _)| **known == *id) {
            cancelled.cancel();
        }
    }

    /// Cancels all requests in flight.
    pub fn cancel_all(&self) {
        for (_, cancelled) in lock(&self.0).by_number.values() {
            cancelled.cancel();
        }
    }

    /// Whether no request is in flight.
    pub fn is_empty(&self) -> bool {
        lock(&self.0).by_number.is_empty()
    }
}

impl Drop for CancellableRequest {
    fn drop(&mut self) {
        let _ended = lock(&self.requests.0).by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_can_be_cancelled_while_it_is_in_flight_whatever_has_the_same_id() {
        let requests = Arc::<RequestsInFlight>::default();
        let first = requests.add("7");
        requests.cancel("\"7\"");
        assert!(!first.cancelled.is_cancelled());
        requests.cancel("7");
        assert!(first.cancelled.is_cancelled());
        let (second, third) = (requests.add("7"), requests.add("7"));
        drop(first);
        drop(second);
        assert!(!third.cancelled.is_cancelled());
        requests.cancel("7");
        assert!(third.cancelled.is_cancelled());
        drop(third);
        assert!(requests.is_empty());
    }
}
