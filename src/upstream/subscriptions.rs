//! The subscribed resources of one server, counted, so that the server is asked once for all clients that subscribe.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::sync::lock;

/// Ends that wait to be told to the server; of more, the server is not told.
const MOST_ENDED: usize = 1024;

/// The subscribed resources of one server, each with the number of its subscribers.
#[derive(Debug, Default)]
pub struct Subscriptions {
    resources: Mutex<Resources>,
    /// Counts the changes of the set.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Resources {
    counts: BTreeMap<Arc<str>, usize>,
    /// Resources that lost their last subscriber since the last [`Subscriptions::take_ended`].
    ended: BTreeSet<Arc<str>>,
}

impl Subscriptions {
    /// Adds a subscriber of `uri`; true for the first.
    pub fn add(&self, uri: &str) -> bool {
        let is_first = {
            let mut resources = lock(&self.resources);
            resources.ended.remove(uri);
            let count = resources.counts.entry(uri.into()).or_insert(0);
            *count += 1;
            *count == 1
        };
        if is_first {
            self.signal();
        }
        is_first
    }

    /// Removes a subscriber; true for the last.
    pub fn remove(&self, uri: &str) -> bool {
        let was_last = {
            let mut resources = lock(&self.resources);
            let Some(count) = resources.counts.get_mut(uri) else { return false };
            *count -= 1;
            let was_last = *count == 0;
            if was_last {
                resources.counts.remove(uri);
                if resources.ended.len() < MOST_ENDED {
                    resources.ended.insert(uri.into());
                }
            }
            was_last
        };
        if was_last {
            self.signal();
        }
        was_last
    }

    /// The resources with a subscriber.
    pub fn uris(&self) -> Vec<Arc<str>> {
        lock(&self.resources).counts.keys().cloned().collect()
    }

    /// Takes out the end of this resource; false when it has a subscriber.
    pub fn take_end(&self, uri: &str) -> bool {
        let mut resources = lock(&self.resources);
        resources.ended.remove(uri);
        !resources.counts.contains_key(uri)
    }

    /// Takes out the resources that lost their last subscriber since the last call and have none now.
    pub fn take_ended(&self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut lock(&self.resources).ended)
    }

    /// Signals each change of the set.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn signal(&self) {
        self.changes.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_follower_are_told_apart_from_the_rest() {
        let followed = Subscriptions::default();
        let changed = followed.changed();
        assert!(followed.add("a"));
        assert!(!followed.add("a"));
        assert!(followed.add("b"));
        assert!(!followed.remove("a"));
        assert!(followed.remove("a"));
        assert!(!followed.remove("a"));
        assert_eq!(followed.uris(), [Arc::<str>::from("b")]);
        assert_eq!(*changed.borrow(), 3);
    }
}
