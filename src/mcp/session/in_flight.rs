//! The requests of one session that are in flight, for a `notifications/cancelled` to name.
//!
//! A client must not give two of them the same id (2025-11-25, basic, "Requests"); one that does cancels both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// By their ids. Only the session's own requests meet at this lock.
#[derive(Debug, Default)]
pub struct Requests(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<Arc<str>, Vec<(u64, CancellationToken)>>,
    /// Requests so far: each has a number of its own.
    count: u64,
}

/// A request that may be cancelled until this is dropped.
#[derive(Debug)]
pub struct InFlight {
    requests: Arc<Requests>,
    id: Arc<str>,
    number: u64,
    pub cancelled: CancellationToken,
}

impl Requests {
    /// Takes note of the request `id` (JSON text).
    pub fn add(self: &Arc<Self>, id: &str) -> InFlight {
        let (id, cancelled): (Arc<str>, _) = (id.into(), CancellationToken::new());
        let mut table = self.table();
        table.count += 1;
        let number = table.count;
        table.by_id.entry(id.clone()).or_default().push((number, cancelled.clone()));
        drop(table);
        InFlight { requests: self.clone(), id, number, cancelled }
    }

    /// Cancels the request `id`, if it is in flight.
    pub fn cancel(&self, id: &str) {
        for (_, cancelled) in self.table().by_id.get(id).into_iter().flatten() {
            cancelled.cancel();
        }
    }

    /// Cancels all that are in flight.
    pub fn cancel_all(&self) {
        for (_, cancelled) in self.table().by_id.values().flatten() {
            cancelled.cancel();
        }
    }

    /// Whether none is in flight.
    pub fn is_empty(&self) -> bool {
        self.table().by_id.is_empty()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut table = self.requests.table();
        if let Some(of_id) = table.by_id.get_mut(&self.id) {
            of_id.retain(|(number, _)| *number != self.number);
            if of_id.is_empty() {
                table.by_id.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_can_be_cancelled_while_it_is_in_flight_whatever_has_the_same_id() {
        let requests = Arc::<Requests>::default();
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
        assert!(requests.table().by_id.is_empty());
    }
}
