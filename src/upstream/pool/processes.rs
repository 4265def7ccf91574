//! Counts the processes of all servers that serve one caller each.
//!
//! A process counts until nothing of it is left. One that is not in use ends to make room, of the caller that has most;
//! its successor starts when it has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::config::defaults;
use crate::shares::{Bound, Bounds, Exceeded, LogThrottle, Principal, Thing};
use crate::sync::lock;
use crate::upstream::pool::usage::{Usage, evictable};

/// The resource that callers share here.
const PROCESSES: Thing = Thing { setting: "processes", plural: "server processes of their own" };

/// The processes that serve one caller each, of all servers.
#[derive(Debug)]
pub struct Processes {
    state: Mutex<ProcessTable>,
    /// Notified when one has ended.
    ended: Notify,
    evictions: LogThrottle,
}

#[derive(Debug)]
struct ProcessTable {
    bounds: Bounds,
    serials: u64,
    running: HashMap<u64, RunningProcess>,
}

#[derive(Debug)]
struct RunningProcess {
    principal: Principal,
    usage: Arc<Usage>,
}

/// One process, which counts until this is dropped.
#[derive(Debug)]
pub struct ProcessGuard {
    processes: Arc<Processes>,
    serial: u64,
}

impl Default for Processes {
    fn default() -> Self {
        let bounds = Bounds::undivided(defaults::PROCESSES);
        let state = ProcessTable { bounds, serials: 0, running: HashMap::new() };
        Self { state: Mutex::new(state), ended: Notify::new(), evictions: LogThrottle::default() }
    }
}

impl Processes {
    /// Takes up new bounds, for processes that are still to start.
    pub fn share(&self, bounds: Bounds) {
        lock(&self.state).bounds = bounds;
    }

    /// Waits until a process of `principal` may start; `usage` shows whether it is in use.
    ///
    /// # Errors
    ///
    /// [`Exceeded`]: there are as many as may be, and all of them are in use.
    pub async fn admit(
        self: &Arc<Self>,
        principal: &Principal,
        usage: &Arc<Usage>,
    ) -> Result<ProcessGuard, Exceeded> {
        let mut evicted = None;
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(serial) = lock(&self.state).admit(principal, usage, &mut evicted, &self.evictions)? {
                return Ok(ProcessGuard { processes: self.clone(), serial });
            }
            ended.await;
        }
    }
}

impl ProcessTable {
    /// The number of the new process; `None` while another one has to end first. `evicted` is that one.
    fn admit(
        &mut self,
        principal: &Principal,
        usage: &Arc<Usage>,
        evicted: &mut Option<u64>,
        evictions: &LogThrottle,
    ) -> Result<Option<u64>, Exceeded> {
        let own = self.running.values().filter(|running| running.principal == *principal).count();
        let Err(bound) = self.bounds.check(own, self.running.len()) else {
            self.serials += 1;
            let running = RunningProcess { principal: principal.clone(), usage: usage.clone() };
            self.running.insert(self.serials, running);
            return Ok(Some(self.serials));
        };
        if evicted.is_some_and(|serial| self.running.contains_key(&serial)) {
            return Ok(None);
        }
        *evicted = self.evict(bound, principal, evictions);
        // Others may have room made for them, which is free before they come.
        let is_ending = |running: &RunningProcess| {
            running.usage.is_over() && (bound == Bound::All || running.principal == *principal)
        };
        if evicted.is_some() || self.running.values().any(is_ending) {
            return Ok(None);
        }
        let (principal, bounds) = (principal.clone(), self.bounds);
        Err(Exceeded { principal, thing: PROCESSES, bound, bounds })
    }

    /// Ends the process that was unused for longest: of `newcomer` when it has its share, else of the caller that has most.
    fn evict(&self, bound: Bound, newcomer: &Principal, evictions: &LogThrottle) -> Option<u64> {
        let running = self.running.iter();
        let running = running.map(|(serial, running)| (*serial, &running.principal, &*running.usage));
        let is_ended = |serial: &u64| self.running[serial].usage.end_if_unused();
        let serial = evictable(running, bound, newcomer).into_iter().find(is_ended)?;
        if let Some(left_out) = evictions.may_log() {
            let owner = &self.running[&serial].principal;
            let why = self.bounds.eviction(bound, PROCESSES, left_out);
            tracing::info!("a process of {owner} ends to make room for one of {newcomer} {why}");
        }
        Some(serial)
    }
}

impl Drop for ProcessGuard {
    fn drop(&mut self) {
        lock(&self.processes.state).running.remove(&self.serial);
        self.processes.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn key(name: &str) -> Principal {
        Principal::of_key(name)
    }

    fn sharing(all: usize, each: usize) -> Arc<Processes> {
        let processes = Arc::new(Processes::default());
        processes.share(Bounds { all, each });
        processes
    }

    fn start(processes: &Arc<Processes>, name: &str) -> Option<Result<(ProcessGuard, Arc<Usage>), Exceeded>> {
        let usage = Usage::new(CancellationToken::new());
        let admitted = processes.admit(&key(name), &usage).now_or_never()?;
        Some(admitted.map(|process| (process, usage)))
    }

    #[tokio::test]
    async fn a_key_that_has_its_share_in_use_is_refused_and_another_is_served() {
        let processes = sharing(4, 2);
        let held: Vec<_> = (0..2).map(|_| start(&processes, "greedy").unwrap().unwrap()).collect();
        let refused = start(&processes, "greedy").unwrap().unwrap_err().to_string();
        assert!(refused.contains("`greedy`") && refused.contains("`limits.processesPerKey`"), "{refused}");
        assert!(start(&processes, "other").unwrap().is_ok());
        drop(held);
    }

    #[tokio::test]
    async fn one_that_is_unused_ends_and_the_next_starts_when_it_has_gone() {
        let processes = sharing(4, 2);
        let (old, of_old) = start(&processes, "a").unwrap().unwrap();
        let (_used, _of_used) = start(&processes, "a").unwrap().unwrap();
        of_old.leave();
        let usage = Usage::new(CancellationToken::new());
        let (owner, mut waiting) = (key("a"), None);
        let mut admitted = Box::pin(processes.admit(&owner, &usage));
        assert!(admitted.as_mut().now_or_never().is_none(), "the old one is still there");
        assert!(of_old.is_over() && !of_old.join());
        assert_eq!(lock(&processes.state).running.len(), 2);
        drop(old);
        waiting.replace(admitted.await.unwrap());
        assert_eq!(lock(&processes.state).running.len(), 2);
    }

    #[tokio::test]
    async fn the_caller_that_has_most_makes_room() {
        let processes = sharing(4, 3);
        let mut held: Vec<_> =
            ["few", "many", "many", "x"].map(|name| start(&processes, name).unwrap().unwrap()).into();
        // The process of `few` was unused for longest, and `many` has most.
        for (_, usage) in &held {
            usage.leave();
        }
        assert!(start(&processes, "new").is_none(), "it waits");
        let over: Vec<bool> = held.iter().map(|(_, usage)| usage.is_over()).collect();
        assert_eq!(over, [false, true, false, false]);
        held.remove(1);
        assert!(start(&processes, "new").unwrap().is_ok());
    }
}
