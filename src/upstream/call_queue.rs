//! How many calls one server takes at one time, shared between callers (`concurrency` of its entry).
//!
//! A call that finds a free slot takes it without a lock. Calls that wait get the next ones in turns between their callers,
//! so that none waits behind all calls of another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::shares::{Bounds, Principal};
use crate::sync::lock;

/// The slots of one server.
#[derive(Debug)]
pub struct Slots {
    bounds: Bounds,
    taken: AtomicUsize,
    /// The slots of each caller; not counted where one caller may have all.
    held: papaya::HashMap<Principal, Arc<AtomicUsize>>,
    waiting: AtomicUsize,
    queue: Mutex<CallQueue>,
}

/// A slot that is taken until this is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    own: Option<Arc<AtomicUsize>>,
}

#[derive(Debug, Default)]
struct CallQueue {
    numbers: u64,
    /// Callers with calls that wait, the next caller and the next call first.
    callers: VecDeque<(Principal, BTreeMap<u64, oneshot::Sender<Slot>>)>,
}

/// A call that waits, until this is dropped.
struct WaitingCall<'a> {
    slots: &'a Slots,
    principal: &'a Principal,
    number: u64,
}

impl Slots {
    /// All of them are free.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            taken: AtomicUsize::new(0),
            held: papaya::HashMap::new(),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        }
    }

    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The next slot of `principal`. Dropping the future gives up the wait.
    pub async fn take(self: &Arc<Self>, principal: &Principal) -> Slot {
        if self.waiting.load(SeqCst) == 0
            && let Some(slot) = self.try_take(principal)
        {
            return slot;
        }
        let (give, given) = oneshot::channel();
        let _waiting = self.wait(principal, give);
        given.await.expect("a call that waits is forgotten by itself alone")
    }

    fn try_take(self: &Arc<Self>, principal: &Principal) -> Option<Slot> {
        let is_divided = self.bounds.each < self.bounds.all;
        let own = is_divided.then(|| self.counter(principal));
        // The own one first: so two calls of a caller at once never pass its bound. A call that does not get through
        // takes it back and waits, which looks again for all that wait.
        let held = own.as_ref().map_or(0, |own| own.fetch_add(1, SeqCst));
        let one_more = |taken| self.bounds.check(held, taken).is_ok().then_some(taken + 1);
        if self.taken.fetch_update(SeqCst, SeqCst, one_more).is_err() {
            if let Some(own) = own {
                own.fetch_sub(1, SeqCst);
            }
            return None;
        }
        Some(Slot { slots: self.clone(), own })
    }

    fn counter(&self, principal: &Principal) -> Arc<AtomicUsize> {
        let held = self.held.pin();
        match held.get(principal) {
            Some(own) => own.clone(),
            None => held.get_or_insert_with(principal.clone(), Arc::default).clone(),
        }
    }

    fn wait<'a>(
        self: &'a Arc<Self>,
        principal: &'a Principal,
        give: oneshot::Sender<Slot>,
    ) -> WaitingCall<'a> {
        let mut queue = lock(&self.queue);
        queue.numbers += 1;
        let number = queue.numbers;
        match queue.callers.iter_mut().find(|(caller, _)| caller == principal) {
            Some((_, calls)) => drop(calls.insert(number, give)),
            None => queue.callers.push_back((principal.clone(), BTreeMap::from([(number, give)]))),
        }
        // Counted before the slots are looked at again: from now on a slot that is given back goes to a call that waits.
        self.waiting.fetch_add(1, SeqCst);
        self.hand_out(queue);
        WaitingCall { slots: self, principal, number }
    }

    /// Gives what is free to the calls that wait, a slot to each caller in turn.
    fn hand_out(self: &Arc<Self>, mut queue: MutexGuard<'_, CallQueue>) {
        let mut unwanted = Vec::new();
        let mut passed = 0;
        while passed < queue.callers.len() && self.taken.load(SeqCst) < self.bounds.all {
            let Some((principal, mut calls)) = queue.callers.pop_front() else { break };
            passed += 1;
            if let Some(slot) = self.try_take(&principal)
                && let Some((_, call)) = calls.pop_first()
            {
                passed = 0;
                self.waiting.fetch_sub(1, SeqCst);
                unwanted.extend(call.send(slot).err());
            }
            if !calls.is_empty() {
                queue.callers.push_back((principal, calls));
            }
        }
        // A dropped slot is handed out again, which needs the queue.
        drop(queue);
        drop(unwanted);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            own.fetch_sub(1, SeqCst);
        }
        self.slots.taken.fetch_sub(1, SeqCst);
        if self.slots.waiting.load(SeqCst) > 0 {
            self.slots.hand_out(lock(&self.slots.queue));
        }
    }
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.slots.queue);
        let Some(at) = queue.callers.iter().position(|(caller, _)| caller == self.principal) else { return };
        let (_, calls) = &mut queue.callers[at];
        if calls.remove(&self.number).is_some() {
            self.slots.waiting.fetch_sub(1, SeqCst);
        }
        if calls.is_empty() {
            queue.callers.remove(at);
        }
    }
}

#[cfg(test)]
mod tests;
