//! Memory that all bodies, or all results, share: each takes its share before it grows and waits while none is left.
//!
//! One owner (a key's name) has at most half of it while the rest is for others. While something waits, the slowest
//! transfer that holds a share is ended, so that slow senders and readers cannot keep the room. Small things take no
//! share and so no lock: connections and calls bound their number.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// What takes no share, in bytes. Most arguments are a hundred bytes.
pub const SMALL: usize = 64 * 1024;
/// A transfer that has been this fast since it began, in bytes a second, is never ended.
pub const FAST: usize = 256 * 1024;
/// A transfer has no rate before it is so old.
const SHORTEST: Duration = Duration::from_secs(1);
/// While something waits, a slow transfer is looked for so often.
const LOOK: Duration = Duration::from_millis(250);

/// A key's name; `None` for what no key stands for, which may take all of a room.
pub type Owner = Option<Arc<str>>;

/// A room. Clones share it.
#[derive(Debug, Clone)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    size: usize,
    of_owner: usize,
    taken: usize,
    owners: HashMap<Arc<str>, usize>,
    waiting: VecDeque<Waiting>,
    transfers: HashMap<u64, Transfer>,
    numbers: u64,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    owner: Owner,
    bytes: usize,
}

/// The bytes of a share on their way from or to a client.
#[derive(Debug)]
struct Transfer {
    owner: Owner,
    began: Instant,
    moved: Arc<AtomicUsize>,
    moved_before: usize,
    end: CancellationToken,
}

/// Part of a room, given back when dropped. Keep it for as long as what it stands for is in memory.
#[derive(Debug)]
pub struct Share {
    room: Room,
    owner: Owner,
    bytes: usize,
    number: u64,
}

/// A place in the line of those that wait.
struct Ticket<'a> {
    room: &'a Room,
    number: u64,
}

impl Room {
    /// A room of `size` bytes, in which something of `largest` bytes has a place whatever its owner.
    pub fn new(size: usize, largest: usize) -> Self {
        let room = Self(Arc::new(Inner { state: Mutex::default(), freed: Notify::new() }));
        room.resize(size, largest);
        room
    }

    /// Changes the bounds; what is taken stays so.
    pub fn resize(&self, size: usize, largest: usize) {
        let mut state = self.state();
        state.size = size.max(largest);
        state.of_owner = (size / 2).max(largest);
        drop(state);
        self.0.freed.notify_waiters();
    }

    /// Waits for a share of `bytes`.
    pub async fn share(&self, owner: &Owner, bytes: usize) -> Share {
        let mut share = self.nothing(owner);
        share.grow(bytes).await;
        share
    }

    /// A share that is taken without waiting, over the bound if need be: for what is made of something that has a share
    /// already and gives it back.
    pub fn hold(&self, owner: &Owner, bytes: usize) -> Share {
        let mut share = self.nothing(owner);
        share.stretch(bytes);
        share
    }

    /// A share of `bytes` for what may as well be dropped, if it leaves `owner` and others half of what they may have.
    pub fn spare(&self, owner: &Owner, bytes: usize) -> Option<Share> {
        let mut share = self.nothing(owner);
        let mut state = self.state();
        let leaves_half = state.taken + bytes <= state.size / 2
            && (owner.is_none() || state.of(owner) + bytes <= state.of_owner / 2);
        if !leaves_half {
            drop(state);
            return None;
        }
        state.take(owner, bytes);
        drop(state);
        share.bytes = bytes;
        Some(share)
    }

    /// A share that has yet to grow.
    pub fn nothing(&self, owner: &Owner) -> Share {
        let mut state = self.state();
        state.numbers += 1;
        Share { room: self.clone(), owner: owner.clone(), bytes: 0, number: state.numbers }
    }

    /// Whether more than a few things have their share at one time.
    pub fn is_busy(&self) -> bool {
        let state = self.state();
        state.taken > state.size / 16
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the slowest transfer that keeps `owner` from its bytes, if one is slow.
    fn end_slowest(&self, owner: &Owner, bytes: usize) {
        let slowest = {
            let state = self.state();
            // Another's transfer does not help an owner that has all it may have.
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

impl State {
    fn of(&self, owner: &Owner) -> usize {
        owner.as_ref().and_then(|owner| self.owners.get(owner)).copied().unwrap_or(0)
    }

    /// Whether `owner` may have `bytes` more, as far as others leave them.
    fn has_part(&self, owner: &Owner, bytes: usize) -> bool {
        owner.is_none() || self.of(owner) + bytes <= self.of_owner
    }

    /// Whether it is the turn of the one in line as `number`: those before it, if any, have all that their owners may.
    fn is_next(&self, number: u64) -> bool {
        let before = self.waiting.iter().take_while(|waiting| waiting.number != number);
        !before.into_iter().any(|waiting| self.has_part(&waiting.owner, waiting.bytes))
    }

    fn take(&mut self, owner: &Owner, bytes: usize) {
        self.taken += bytes;
        if let Some(owner) = owner {
            *self.owners.entry(owner.clone()).or_default() += bytes;
        }
    }

    fn give(&mut self, owner: &Owner, bytes: usize) {
        self.taken -= bytes;
        if let Some(owner) = owner
            && let Some(taken) = self.owners.get_mut(owner)
        {
            *taken -= bytes;
            if *taken == 0 {
                self.owners.remove(owner);
            }
        }
    }
}

impl Transfer {
    /// Bytes a second since it began; `None` before there is a rate.
    fn rate(&self, now: Instant) -> Option<usize> {
        let age = now.duration_since(self.began);
        let moved = self.moved.load(Ordering::Relaxed).wrapping_sub(self.moved_before);
        let milliseconds = usize::try_from(age.as_millis()).unwrap_or(usize::MAX).max(1);
        (age >= SHORTEST).then(|| moved.saturating_mul(1000) / milliseconds)
    }
}

impl Share {
    /// Waits until the share is of `bytes`. One that has some already comes before those that have none.
    pub async fn grow(&mut self, bytes: usize) {
        let room = self.room.clone();
        let mut ticket: Option<Ticket<'_>> = None;
        while self.bytes < bytes {
            let mut freed = std::pin::pin!(room.0.freed.notified());
            freed.as_mut().enable();
            let missing = bytes - self.bytes;
            {
                let mut state = room.state();
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
                    let waiting = Waiting { number, owner: self.owner.clone(), bytes: missing };
                    match self.bytes {
                        0 => state.waiting.push_back(waiting),
                        _ => state.waiting.push_front(waiting),
                    }
                    ticket = Some(Ticket { room: &room, number });
                    // Those before it may have to wait for their own owners' sake only.
                    continue;
                }
            }
            room.end_slowest(&self.owner, missing);
            let _or_look_again = timeout(LOOK, freed).await;
        }
    }

    /// The same without waiting, over the bound if need be.
    pub fn stretch(&mut self, bytes: usize) {
        let missing = bytes.saturating_sub(self.bytes);
        self.room.state().take(&self.owner, missing);
        self.bytes += missing;
    }

    /// Gives back what `bytes` do not need.
    pub fn shrink(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        if surplus > 0 {
            self.bytes -= surplus;
            self.room.state().give(&self.owner, surplus);
            self.room.0.freed.notify_waiters();
        }
    }

    /// What it stands for is on its way from now on: `moved` counts its bytes, `end` ends it when it is the slowest and
    /// others wait.
    pub fn follow(&self, moved: Arc<AtomicUsize>, end: CancellationToken) {
        let moved_before = moved.load(Ordering::Relaxed);
        let transfer =
            Transfer { owner: self.owner.clone(), began: Instant::now(), moved, moved_before, end };
        self.room.state().transfers.insert(self.number, transfer);
    }

    /// What it stands for has arrived.
    pub fn arrived(&self) {
        self.room.state().transfers.remove(&self.number);
    }

    /// `bytes`, with which the share is given back.
    pub fn kept_by(self: Arc<Self>, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept { bytes, _share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.room.state();
        state.transfers.remove(&self.number);
        state.give(&self.owner, self.bytes);
        drop(state);
        self.room.0.freed.notify_waiters();
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.room.state().waiting.retain(|waiting| waiting.number != self.number);
        self.room.0.freed.notify_waiters();
    }
}

struct Kept {
    bytes: Bytes,
    _share: Arc<Share>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
