//! The order in which sessions end: by their caller, and by their last use.
//!
//! A request notes the time in its session alone. A session that is first in the order is looked at before it ends, and
//! moved back if it was used since: each use costs at most one such move, with any number of sessions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::state::{Mark, Session};
use crate::shares::Principal;

/// The sessions of all callers, and those of each.
#[derive(Debug, Default)]
pub struct Order {
    all: BTreeMap<Mark, Arc<Session>>,
    of: HashMap<Principal, BTreeSet<Mark>>,
    /// The number of sessions of each caller.
    counts: BTreeSet<(usize, Principal)>,
}

impl Order {
    /// Inserts `session` at its mark.
    pub fn insert(&mut self, session: Arc<Session>) {
        let (mark, principal) = (session.mark(), &session.holder.principal);
        let own = self.of.entry(principal.clone()).or_default();
        self.counts.remove(&(own.len(), principal.clone()));
        own.insert(mark);
        self.counts.insert((own.len(), principal.clone()));
        self.all.insert(mark, session);
    }

    /// Removes `session`, if it is in the order.
    pub fn remove(&mut self, session: &Session) {
        let (mark, principal) = (session.mark(), &session.holder.principal);
        if self.all.remove(&mark).is_none() {
            return;
        }
        let Some(own) = self.of.get_mut(principal) else { return };
        self.counts.remove(&(own.len(), principal.clone()));
        own.remove(&mark);
        match own.len() {
            0 => drop(self.of.remove(principal)),
            count => drop(self.counts.insert((count, principal.clone()))),
        }
    }

    /// A session that has rested for `idle` at `now`, both in milliseconds.
    pub fn rested(&mut self, idle: u64, now: u64) -> Option<Arc<Session>> {
        loop {
            let (mark, session) = self.all.first_key_value()?;
            if mark.used.saturating_add(idle) > now {
                return None;
            }
            let (session, is_first) = (session.clone(), session.used(now) == mark.used);
            if is_first {
                return Some(session);
            }
            self.move_back(session, now);
        }
    }

    /// The longest-rested session of `principal`; one with a stream or a request only when all have.
    pub fn longest_rested(&mut self, principal: &Principal, now: u64) -> Option<Arc<Session>> {
        loop {
            let mark = *self.of.get(principal)?.first()?;
            let session = self.all.get(&mark)?.clone();
            if session.used(now) == mark.used {
                return Some(session);
            }
            self.move_back(session, now);
        }
    }

    /// The sessions of the API key `name`, with those of all users behind it.
    pub fn all_of_key(&self, name: &str) -> Vec<Arc<Session>> {
        let own = self.of.iter().filter(|(principal, _)| principal.key_name() == Some(name));
        let marks = own.flat_map(|(_, marks)| marks);
        marks.filter_map(|mark| self.all.get(mark).cloned()).collect()
    }

    /// The caller with the most sessions.
    pub fn largest(&self) -> Option<&Principal> {
        self.counts.last().map(|(_, principal)| principal)
    }

    /// The number of sessions.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// The number of sessions of `principal`.
    pub fn count_of(&self, principal: &Principal) -> usize {
        self.of.get(principal).map_or(0, BTreeSet::len)
    }

    fn move_back(&mut self, session: Arc<Session>, now: u64) {
        self.remove(&session);
        session.mark_used(now);
        self.insert(session);
    }
}
