//! A bound on the memory that all bodies, or all results, take together.
//!
//! Each body or result reserves its bytes before it grows, and waits while too few are left. One user or API key reserves at most
//! half of the budget. While a reservation waits, the slowest transfer that holds one is ended, so that slow senders and
//! readers cannot keep the budget. Small bodies reserve nothing and take no lock: connections and calls bound their number.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::shares::Principal;
use crate::sync::lock;

/// Bodies up to this size reserve nothing, in bytes. Most arguments are a hundred bytes.
pub const SMALL: usize = 64 * 1024;
/// A transfer that has been this fast since it began, in bytes a second, is never ended.
pub const FAST: usize = 256 * 1024;
/// The age at which a transfer has a rate.
const SHORTEST: Duration = Duration::from_secs(1);
/// How often a slow transfer is looked for while a reservation waits.
const LOOK: Duration = Duration::from_millis(250);

/// A budget of bytes. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    state: Mutex<Balance>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Balance {
    size: usize,
    of_owner: usize,
    taken: usize,
    owners: HashMap<Principal, usize>,
    waiting: VecDeque<Waiter>,
    transfers: HashMap<u64, Transfer>,
    numbers: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    owner: Principal,
    bytes: usize,
}

/// The bytes of a reservation on their way from or to a client.
#[derive(Debug)]
struct Transfer {
    owner: Principal,
    began: Instant,
    moved: Arc<AtomicUsize>,
    moved_before: usize,
    end: CancellationToken,
}

/// Bytes of a budget, given back when dropped. To be kept for as long as the body is in memory.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    owner: Principal,
    bytes: usize,
    number: u64,
}

/// A place in the queue of waiting reservations.
struct Ticket<'a> {
    budget: &'a MemoryBudget,
    number: u64,
}

impl MemoryBudget {
    /// A budget of `size` bytes, of which any owner may reserve `largest`.
    pub fn new(size: usize, largest: usize) -> Self {
        let budget = Self(Arc::new(Account { state: Mutex::default(), freed: Notify::new() }));
        budget.resize(size, largest);
        budget
    }

    /// Changes the bounds; existing reservations stay.
    pub fn resize(&self, size: usize, largest: usize) {
        let mut state = self.state();
        state.size = size.max(largest);
        state.of_owner = (size / 2).max(largest);
        drop(state);
        self.0.freed.notify_waiters();
    }

    /// Waits for a reservation of `bytes`.
    pub async fn reserve(&self, owner: &Principal, bytes: usize) -> Reservation {
        let mut reservation = self.empty_reservation(owner);
        reservation.grow(bytes).await;
        reservation
    }

    /// Reserves `bytes` without waiting, over the bound if need be.
    ///
    /// For bytes made of others that have a reservation already and give it back.
    pub fn reserve_now(&self, owner: &Principal, bytes: usize) -> Reservation {
        let mut reservation = self.empty_reservation(owner);
        reservation.grow_now(bytes);
        reservation
    }

    /// Reserves `bytes` that may be dropped, if half of the budget stays free.
    ///
    /// Half of the part of `owner` must stay free, too.
    pub fn reserve_spare(&self, owner: &Principal, bytes: usize) -> Option<Reservation> {
        let mut reservation = self.empty_reservation(owner);
        let mut state = self.state();
        let leaves_half = state.taken + bytes <= state.size / 2
            && (owner.is_anonymous() || state.of(owner) + bytes <= state.of_owner / 2);
        if !leaves_half {
            return None;
        }
        state.take(owner, bytes);
        reservation.bytes = bytes;
        Some(reservation)
    }

    /// A reservation of no bytes yet.
    pub fn empty_reservation(&self, owner: &Principal) -> Reservation {
        let mut state = self.state();
        state.numbers += 1;
        Reservation { budget: self.clone(), owner: owner.clone(), bytes: 0, number: state.numbers }
    }

    /// Whether more than a sixteenth of the budget is reserved.
    pub fn is_busy(&self) -> bool {
        let state = self.state();
        state.taken > state.size / 16
    }

    fn state(&self) -> MutexGuard<'_, Balance> {
        lock(&self.0.state)
    }

    /// Ends the slowest transfer that keeps `owner` from its bytes, if one is slow.
    fn end_slowest(&self, owner: &Principal, bytes: usize) {
        let slowest = {
            let state = self.state();
            // Ending another owner's transfer does not help an owner at its own bound.
            let own_alone = !state.has_part(owner, bytes);
            let now = Instant::now();
            let concerned = state
                .transfers
                .values()
                .filter(|transfer| !transfer.end.is_cancelled() && (!own_alone || transfer.owner == *owner));
            let rates = concerned.filter_map(|transfer| Some((transfer.rate(now)?, transfer)));
            let slow = rates.filter(|(rate, _)| *rate < FAST);
            slow.min_by_key(|(rate, _)| *rate).map(|(_, transfer)| transfer.end.clone())
        };
        if let Some(end) = slowest {
            end.cancel();
        }
    }
}

impl Balance {
    fn of(&self, owner: &Principal) -> usize {
        self.owners.get(owner).copied().unwrap_or(0)
    }

    /// Whether `bytes` more stay within the part of `owner`.
    fn has_part(&self, owner: &Principal, bytes: usize) -> bool {
        owner.is_anonymous() || self.of(owner) + bytes <= self.of_owner
    }

    /// Whether `number` is next in the queue: the owners of all before it are at their own bounds.
    fn is_next(&self, number: u64) -> bool {
        let before = self.waiting.iter().take_while(|waiting| waiting.number != number);
        !before.into_iter().any(|waiting| self.has_part(&waiting.owner, waiting.bytes))
    }

    fn take(&mut self, owner: &Principal, bytes: usize) {
        self.taken += bytes;
        *self.owners.entry(owner.clone()).or_default() += bytes;
    }

    fn give(&mut self, owner: &Principal, bytes: usize) {
        self.taken -= bytes;
        if let Some(taken) = self.owners.get_mut(owner) {
            *taken -= bytes;
            if *taken == 0 {
                self.owners.remove(owner);
            }
        }
    }
}

impl Transfer {
    /// Bytes a second since the transfer began; `None` while it is too young for a rate.
    fn rate(&self, now: Instant) -> Option<usize> {
        let age = now.duration_since(self.began);
        let moved = self.moved.load(Ordering::Relaxed).wrapping_sub(self.moved_before);
        let milliseconds = usize::try_from(age.as_millis()).unwrap_or(usize::MAX).max(1);
        (age >= SHORTEST).then(|| moved.saturating_mul(1000) / milliseconds)
    }
}

impl Reservation {
    /// Waits until the reservation is of `bytes`. One that has some already comes before empty ones.
    pub async fn grow(&mut self, bytes: usize) {
        let budget = self.budget.clone();
        let mut ticket: Option<Ticket<'_>> = None;
        while self.bytes < bytes {
            let mut freed = std::pin::pin!(budget.0.freed.notified());
            freed.as_mut().enable();
            let missing = bytes - self.bytes;
            {
                let mut state = budget.state();
                let is_next =
                    ticket.as_ref().map_or(state.waiting.is_empty(), |own| state.is_next(own.number));
                if is_next && state.has_part(&self.owner, missing) && state.taken + missing <= state.size {
                    state.take(&self.owner, missing);
                    self.bytes = bytes;
                    return;
                }
                if ticket.is_none() {
                    state.numbers += 1;
                    let number = state.numbers;
                    let waiting = Waiter { number, owner: self.owner.clone(), bytes: missing };
                    match self.bytes {
                        0 => state.waiting.push_back(waiting),
                        _ => state.waiting.push_front(waiting),
                    }
                    ticket = Some(Ticket { budget: &budget, number });
                    // The reservations before it may all be at their owners' bounds.
                    continue;
                }
            }
            budget.end_slowest(&self.owner, missing);
            let _or_look_again = timeout(LOOK, freed).await;
        }
    }

    /// Grows to `bytes` without waiting, over the bound if need be.
    pub fn grow_now(&mut self, bytes: usize) {
        let missing = bytes.saturating_sub(self.bytes);
        self.budget.state().take(&self.owner, missing);
        self.bytes += missing;
    }

    /// Gives back all but `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        if surplus > 0 {
            self.bytes -= surplus;
            self.budget.state().give(&self.owner, surplus);
            self.budget.0.freed.notify_waiters();
        }
    }

    /// Tracks the transfer of the reserved bytes from now on.
    ///
    /// `moved` counts them; `end` is cancelled when the transfer is the slowest and another reservation waits.
    pub fn follow(&self, moved: Arc<AtomicUsize>, end: CancellationToken) {
        let moved_before = moved.load(Ordering::Relaxed);
        let transfer =
            Transfer { owner: self.owner.clone(), began: Instant::now(), moved, moved_before, end };
        self.budget.state().transfers.insert(self.number, transfer);
    }

    /// The transfer has ended.
    pub fn arrived(&self) {
        self.budget.state().transfers.remove(&self.number);
    }

    /// `bytes`, which give the reservation back when they are dropped.
    pub fn held_by(self: Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(ReservedBytes { bytes, _share: self })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.transfers.remove(&self.number);
        state.give(&self.owner, self.bytes);
        drop(state);
        self.budget.0.freed.notify_waiters();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.budget.state().waiting.retain(|waiting| waiting.number != self.number);
        self.budget.0.freed.notify_waiters();
    }
}

struct ReservedBytes {
    bytes: Bytes,
    _share: Arc<Reservation>,
}

impl AsRef<[u8]> for ReservedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
