//! The sign-ins that last: which there are, how often their tokens were renewed, and which ended before their tokens did.
//!
//! One file under `stateDir`, mode 0600, replaced in one rename. It holds no token and no key.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::token::LEEWAY;
use crate::config::LONGEST_TOKEN_LIFETIME;
use crate::file;
use crate::sync::lock;

/// Sign-ins of all keys, and of one. Beyond, the one ends that was not renewed for longest.
const GRANTS: usize = 2000;
const GRANTS_PER_KEY: usize = 200;
/// How long a sign-in lasts that is not renewed, in seconds.
const RESTS_FOR: u64 = 60 * 86_400;
/// A client whose answer was lost on the way asks once more: the refresh token from before is good for this long, in
/// seconds, and stands for the same renewal.
const AGAIN_WITHIN: u64 = 10;
/// Sign-ins that have ended are remembered until their tokens have, at most so many.
const REVOKED: usize = 10_000;
/// What lies there may be anything.
const LONGEST_FILE: u64 = 4 << 20;
const FILE: &str = "sign-ins.json";

/// The sign-ins, in memory and on disk.
#[derive(Debug)]
pub struct GrantStore {
    file: Option<PathBuf>,
    grants: Mutex<Grants>,
    /// The number of the change that was written last; locked while a change is written.
    written: tokio::sync::Mutex<u64>,
    revocations: AtomicU64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Grants {
    grants: HashMap<String, Grant>,
    /// Until when.
    revoked: HashMap<String, u64>,
    #[serde(skip)]
    change: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Grant {
    key: String,
    client: String,
    since: u64,
    renewed: u64,
    generation: u64,
}

/// Whether a sign-in is new.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    New,
    Twice,
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

impl GrantStore {
    /// Reads what an earlier run kept in `state_dir`.
    pub async fn open(state_dir: Option<&Path>, now: u64) -> Self {
        let file = state_dir.map(|folder| folder.join(FILE));
        let mut grants = match &file {
            Some(path) => read(path.clone()).await,
            None => Grants::default(),
        };
        grants.prune(now);
        Self {
            file,
            grants: Mutex::new(grants),
            written: tokio::sync::Mutex::default(),
            revocations: AtomicU64::default(),
        }
    }

    /// Begins the sign-in `id` of a client with `key`.
    pub async fn begin(&self, id: &str, key: &str, client: &str, now: u64) -> Begun {
        let ended = {
            let mut grants = lock(&self.grants);
            if grants.grants.contains_key(id) || grants.revoked.contains_key(id) {
                return Begun::Twice;
            }
            grants.prune(now);
            let ended = grants.make_room(key, now);
            let (key, client) = (key.to_owned(), client.to_owned());
            let grant = Grant { key, client, since: now, renewed: now, generation: 0 };
            grants.grants.insert(id.to_owned(), grant);
            grants.change += 1;
            ended
        };
        if let Some(ended) = ended {
            tracing::warn!(
                "the sign-in of the client `{}` with the API key `{}` ends, because there are as many as there may be: {GRANTS}, \
                 and {GRANTS_PER_KEY} of one key",
                ended.client,
                ended.key
            );
        }
        self.write().await;
        Begun::New
    }

    /// Exchanges the refresh token of `generation`.
    pub async fn rotate(&self, id: &str, generation: u64, now: u64) -> Rotation {
        let rotation = lock(&self.grants).rotate(id, generation, now);
        if matches!(rotation, Rotation::Current(_)) {
            self.write().await;
        }
        rotation
    }

    /// Ends the sign-in `id`, whose last token lasts `until`.
    pub async fn revoke(&self, id: &str, until: u64) {
        {
            let mut grants = lock(&self.grants);
            grants.grants.remove(id);
            if grants.revoked.len() >= REVOKED
                && let Some(first) = grants.revoked.iter().min_by_key(|(_, until)| **until)
            {
                let first = first.0.clone();
                grants.revoked.remove(&first);
            }
            grants.revoked.insert(id.to_owned(), until);
            grants.change += 1;
        }
        self.revocations.fetch_add(1, Ordering::Release);
        self.write().await;
    }

    pub fn is_revoked(&self, id: &str) -> bool {
        lock(&self.grants).revoked.contains_key(id)
    }

    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    /// Returns when all changes so far are on the disk. One write serves all that wait for it.
    async fn write(&self) {
        let Some(path) = &self.file else { return };
        let wanted = lock(&self.grants).change;
        let mut written = self.written.lock().await;
        if *written >= wanted {
            return;
        }
        let (bytes, change) = {
            let grants = lock(&self.grants);
            (serde_json::to_vec(&*grants), grants.change)
        };
        let to = path.clone();
        let replaced =
            file::apart(move || file::replace_durably(&to, &bytes.map_err(io::Error::other)?)).await;
        match replaced.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => *written = change,
            Err(error) => {
                tracing::error!(%error, "sign-ins cannot be kept, so that they are lost with the next restart; check the state directory");
            }
        }
    }
}

async fn read(path: PathBuf) -> Grants {
    let from = path.clone();
    let read = file::apart(move || file::read_own(&from, LONGEST_FILE)).await;
    let found = match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Grants::default(),
        Err(error) => Err(error.to_string()),
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
    };
    found.unwrap_or_else(|error| {
        let file = path.display();
        tracing::warn!(%file, "the sign-ins of clients cannot be read, so that all have to sign in again: {file}: {error}");
        Grants::default()
    })
}

impl Grants {
    fn rotate(&mut self, id: &str, generation: u64, now: u64) -> Rotation {
        let Some(grant) = self.grants.get_mut(id) else { return Rotation::Gone };
        if grant.renewed.saturating_add(RESTS_FOR) < now {
            return Rotation::Gone;
        }
        if generation == grant.generation {
            grant.generation += 1;
            grant.renewed = now;
            self.change += 1;
            return Rotation::Current(grant.generation);
        }
        let is_lost_answer = generation + 1 == grant.generation && now <= grant.renewed + AGAIN_WITHIN;
        if is_lost_answer { Rotation::Current(grant.generation) } else { Rotation::Reused }
    }

    /// Forgets what has ended by itself.
    fn prune(&mut self, now: u64) {
        self.grants.retain(|_, grant| now <= grant.renewed.saturating_add(RESTS_FOR));
        self.revoked.retain(|_, until| now <= *until);
    }

    /// Ends a sign-in if there are too many for one more of `key`.
    fn make_room(&mut self, key: &str, now: u64) -> Option<Grant> {
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
        // Its access token is short, but ends with it.
        self.revoked.insert(id.clone(), now + LONGEST_TOKEN_LIFETIME + LEEWAY);
        self.grants.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NOW: u64 = 1_000_000;

    #[tokio::test]
    async fn a_token_is_exchanged_once_and_a_lost_answer_costs_nothing() {
        let store = GrantStore::open(None, NOW).await;
        assert_eq!(store.begin("1", "k", "c", NOW).await, Begun::New);
        assert_eq!(store.begin("1", "k", "c", NOW).await, Begun::Twice);
        assert_eq!(store.rotate("1", 0, NOW).await, Rotation::Current(1));
        assert_eq!(store.rotate("1", 0, NOW + AGAIN_WITHIN).await, Rotation::Current(1));
        assert_eq!(store.rotate("1", 0, NOW + AGAIN_WITHIN + 1).await, Rotation::Reused);
        assert_eq!(store.rotate("1", 1, NOW + 20).await, Rotation::Current(2));
        assert_eq!(store.rotate("1", 0, NOW + 20).await, Rotation::Reused);
        assert_eq!(store.rotate("1", 2, NOW + 21 + RESTS_FOR).await, Rotation::Gone);
        assert_eq!(store.rotate("2", 0, NOW).await, Rotation::Gone);
    }

    #[tokio::test]
    async fn what_is_kept_is_for_this_user_alone_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = GrantStore::open(Some(folder.path()), NOW).await;
        for id in ["1", "2"] {
            store.begin(id, "k", "c", NOW).await;
        }
        store.rotate("1", 0, NOW).await;
        store.revoke("2", NOW + 100).await;
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = GrantStore::open(Some(folder.path()), NOW).await;
        assert!(again.is_revoked("2") && !again.is_revoked("1"));
        assert_eq!(again.begin("2", "k", "c", NOW).await, Begun::Twice);
        assert_eq!(again.rotate("1", 1, NOW).await, Rotation::Current(2));
        let later = GrantStore::open(Some(folder.path()), NOW + 101 + RESTS_FOR).await;
        assert!(!later.is_revoked("2"));
        assert_eq!(later.rotate("1", 2, NOW).await, Rotation::Gone);
        std::fs::write(&path, "{").unwrap();
        assert_eq!(
            GrantStore::open(Some(folder.path()), NOW).await.rotate("1", 2, NOW).await,
            Rotation::Gone
        );
    }

    #[tokio::test]
    async fn no_key_takes_the_sign_ins_of_another() {
        let store = GrantStore::open(None, NOW).await;
        store.begin("other", "b", "c", NOW).await;
        for number in 0..=GRANTS_PER_KEY {
            store.begin(&number.to_string(), "a", "c", NOW + number as u64).await;
        }
        assert!(store.is_revoked("0") && !store.is_revoked("1"));
        assert_eq!(store.rotate("other", 0, NOW).await, Rotation::Current(1));
        let many = GRANTS / GRANTS_PER_KEY + 1;
        for (number, key) in (0..GRANTS).map(|number| (number, number % many)) {
            store.begin(&format!("{key}-{number}"), &format!("k{key}"), "c", NOW + 500).await;
        }
        assert_eq!(lock(&store.grants).grants.len(), GRANTS);
        assert_eq!(store.rotate("other", 1, NOW).await, Rotation::Current(2));
    }
}
