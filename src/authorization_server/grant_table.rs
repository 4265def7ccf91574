//! The sign-ins in memory, and how many there may be.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::shared_store::KnownGeneration;

/// Sign-ins of all keys, and of one. Beyond, the one ends that was not renewed for longest.
pub const GRANTS: usize = 2000;
pub const GRANTS_PER_KEY: usize = 200;
/// How long a sign-in lasts that is not renewed, in seconds.
pub const RESTS_FOR: u64 = 60 * 86_400;
/// For how long a client whose answer was lost on the way may ask once more, in seconds.
///
/// The refresh token from before stands for the same renewal.
pub const AGAIN_WITHIN: u64 = 10;
/// Ended sign-ins that are remembered, each for as long as a refresh token of it could be used.
pub const REVOKED: usize = 10_000;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Grants {
    pub grants: HashMap<String, Grant>,
    /// Until when.
    pub revoked: HashMap<String, u64>,
    #[serde(skip)]
    pub change: u64,
    /// Cancelled when the sign-in ends, as long as anything waits for that.
    #[serde(skip)]
    ends: HashMap<String, Weak<CancellationToken>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Grant {
    pub key: String,
    pub client: String,
    pub since: u64,
    pub renewed: u64,
    pub generation: u64,
}

/// What a refresh token of a certain generation gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The tokens of this generation.
    Current(u64),
    /// The sign-in has ended.
    Gone,
    /// The token was exchanged before.
    Reused,
}

impl Grant {
    pub fn known(&self, id: &str) -> KnownGeneration {
        KnownGeneration { name: id.to_owned(), generation: self.generation, since: self.renewed }
    }
}

impl Grants {
    pub fn rotate(&mut self, id: &str, generation: u64, now: u64) -> Rotation {
        let Some(grant) = self.grants.get_mut(id) else { return Rotation::Gone };
        if grant.renewed.saturating_add(RESTS_FOR) < now {
            return Rotation::Gone;
        }
        // A higher one than is known was given out, too: the file is from before, such as a backup.
        if generation >= grant.generation {
            grant.generation = generation + 1;
            grant.renewed = now;
            self.change += 1;
            return Rotation::Current(grant.generation);
        }
        let is_lost_answer = generation + 1 == grant.generation && now <= grant.renewed + AGAIN_WITHIN;
        if is_lost_answer { Rotation::Current(grant.generation) } else { Rotation::Reused }
    }

    /// Is cancelled when the sign-in `id` ends early; `None` when it has.
    pub fn end_of(&mut self, id: &str) -> Option<Arc<CancellationToken>> {
        if self.revoked.contains_key(id) {
            return None;
        }
        if let Some(end) = self.ends.get(id).and_then(Weak::upgrade) {
            return Some(end);
        }
        if self.ends.len() == self.ends.capacity() {
            self.ends.retain(|_, end| end.strong_count() > 0);
        }
        let end = Arc::<CancellationToken>::default();
        self.ends.insert(id.to_owned(), Arc::downgrade(&end));
        Some(end)
    }

    /// Ends the sign-in `id`, and remembers that `until` then. Says whether it is news.
    pub fn end(&mut self, id: &str, until: u64) -> bool {
        self.grants.remove(id);
        if let Some(end) = self.ends.remove(id).and_then(|end| end.upgrade()) {
            end.cancel();
        }
        if self.revoked.contains_key(id) {
            return false;
        }
        if self.revoked.len() >= REVOKED
            && let Some(first) = self.revoked.iter().min_by_key(|(_, until)| **until)
        {
            let first = first.0.clone();
            self.revoked.remove(&first);
        }
        self.revoked.insert(id.to_owned(), until);
        self.change += 1;
        true
    }

    /// Takes up what another replica knows of a sign-in. Says whether that is news.
    pub fn take_up(&mut self, id: String, grant: Grant) -> bool {
        let known = self.grants.get(&id).is_some_and(|known| known.generation >= grant.generation);
        if known || self.revoked.contains_key(&id) {
            return false;
        }
        self.grants.insert(id, grant);
        self.change += 1;
        true
    }

    /// Forgets what has ended by itself.
    pub fn prune(&mut self, now: u64) {
        self.grants.retain(|_, grant| now <= grant.renewed.saturating_add(RESTS_FOR));
        self.revoked.retain(|_, until| now <= *until);
    }

    /// Ends a sign-in if there are too many for one more of `key`.
    ///
    /// Gives its id, until when that is remembered, and itself.
    pub fn make_room(&mut self, key: &str, now: u64) -> Option<(String, u64, Grant)> {
        let of_key = self.grants.values().filter(|grant| grant.key == key).count();
        let crowded = match (of_key >= GRANTS_PER_KEY, self.grants.len() >= GRANTS) {
            (true, _) => key.to_owned(),
            (_, true) => {
                let mut counts: HashMap<&str, usize> = HashMap::new();
                for grant in self.grants.values() {
                    *counts.entry(&grant.key).or_default() += 1;
                }
                counts.into_iter().max_by_key(|(_, count)| *count)?.0.to_owned()
            }
            _ => return None,
        };
        let of_crowded = self.grants.iter().filter(|(_, grant)| grant.key == crowded);
        let id = of_crowded.min_by_key(|(_, grant)| grant.renewed)?.0.clone();
        let until = now + RESTS_FOR;
        let ended = self.grants.get(&id)?.clone();
        self.end(&id, until);
        Some((id, until, ended))
    }
}
