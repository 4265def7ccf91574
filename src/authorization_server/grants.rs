//! The sign-ins that last: which there are, how often their tokens were renewed, and which ended before their tokens did.
//!
//! One file under `stateDir`, mode 0600, replaced in one rename. It holds no token and no key. Among replicas the store
//! that they share decides ([`SharedGrants`]); the file and the memory then hold what this replica was told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::grant_table::{AGAIN_WITHIN, GRANTS, GRANTS_PER_KEY, Grant, Grants, RESTS_FOR, REVOKED, Rotation};
use super::holder::TokenHolder;
use super::shared_grants::{GrantChange, SharedGrants};
use crate::file;
use crate::shared_store::{Advance, StoreAway};
use crate::sync::lock;

/// What lies there may be anything.
const LONGEST_FILE: u64 = 4 << 20;
const FILE: &str = "sign-ins.json";

/// The sign-ins, in memory and on disk.
#[derive(Debug)]
pub struct GrantStore {
    file: Option<PathBuf>,
    pub(super) grants: Mutex<Grants>,
    /// The number of the change that was written last; locked while a change is written.
    written: tokio::sync::Mutex<u64>,
    revocations: AtomicU64,
    /// What all replicas share.
    pub(super) shared: Option<SharedGrants>,
}

/// Whether a sign-in is new.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    New,
    Twice,
}

impl GrantStore {
    /// Reads what an earlier run kept in `state_dir`.
    pub async fn open(state_dir: Option<&Path>, shared: Option<SharedGrants>, now: u64) -> Self {
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
            shared,
        }
    }

    /// Begins the sign-in `id` of a client with `key`.
    ///
    /// # Errors
    ///
    /// [`StoreAway`]: another replica may have begun it, so that nothing has begun.
    pub async fn begin(&self, id: &str, key: &str, client: &str, now: u64) -> Result<Begun, StoreAway> {
        if let Some(shared) = &self.shared
            && !shared.generations.begin(id).await?
        {
            return Ok(Begun::Twice);
        }
        let (key, client) = (key.to_owned(), client.to_owned());
        let grant = Grant { key, client, since: now, renewed: now, generation: 0 };
        let ended = {
            let mut grants = lock(&self.grants);
            if grants.grants.contains_key(id) || grants.revoked.contains_key(id) {
                return Ok(Begun::Twice);
            }
            grants.prune(now);
            let ended = grants.make_room(&grant.key, now);
            grants.grants.insert(id.to_owned(), grant.clone());
            grants.change += 1;
            ended
        };
        self.tell(&GrantChange::Renewed(id.to_owned(), grant)).await;
        if let Some((id, until, ended)) = ended {
            self.revocations.fetch_add(1, Ordering::Release);
            self.tell_end(&id, until).await;
            tracing::warn!(
                "the sign-in of the client `{}` with the API key `{}` ends, because there are as many as there may be: {GRANTS}, \
                 and {GRANTS_PER_KEY} of one key",
                ended.client,
                ended.key
            );
        }
        self.write().await;
        Ok(Begun::New)
    }

    /// Exchanges the refresh token of `generation`.
    ///
    /// # Errors
    ///
    /// [`StoreAway`]: another replica may have exchanged it, so that it stays as it is.
    pub async fn rotate(
        &self,
        holder: &TokenHolder,
        generation: u64,
        now: u64,
    ) -> Result<Rotation, StoreAway> {
        let id = &*holder.grant;
        let rotation = match &self.shared {
            Some(shared) => self.rotate_in(shared, holder, generation, now).await?,
            None => lock(&self.grants).rotate(id, generation, now),
        };
        if matches!(rotation, Rotation::Current(_)) {
            let renewed = lock(&self.grants).grants.get(id).cloned();
            if let Some(grant) = renewed {
                self.tell(&GrantChange::Renewed(id.to_owned(), grant)).await;
            }
            self.write().await;
        }
        Ok(rotation)
    }

    async fn rotate_in(
        &self,
        shared: &SharedGrants,
        holder: &TokenHolder,
        generation: u64,
        now: u64,
    ) -> Result<Rotation, StoreAway> {
        let id = &*holder.grant;
        if self.is_revoked(id) {
            return Ok(Rotation::Gone);
        }
        let grant = lock(&self.grants).grants.get(id).cloned();
        let known = grant.as_ref().map(|grant| grant.known(id));
        let within = Duration::from_secs(AGAIN_WITHIN);
        Ok(match shared.advance(id, generation, within, known).await? {
            Advance::Next(generation) => {
                let (key, client) = (holder.key.name.clone(), holder.client.clone());
                let since = grant.map_or(now, |grant| grant.since);
                // Also when this replica did not know it: a store that loses it then gets it back.
                let renewed = Grant { key, client, since, renewed: now, generation };
                lock(&self.grants).take_up(id.to_owned(), renewed);
                Rotation::Current(generation)
            }
            Advance::Unknown | Advance::Ended => Rotation::Gone,
            Advance::Again => Rotation::Reused,
        })
    }

    /// Ends the sign-in `id`. Among replicas it ends at all of them.
    pub async fn revoke(&self, id: &str, now: u64) {
        let until = now + RESTS_FOR;
        self.note_end(id, until);
        self.tell_end(id, until).await;
        self.write().await;
    }

    /// Notes here that a sign-in has ended. Says whether that is news.
    pub(super) fn note_end(&self, id: &str, until: u64) -> bool {
        let is_news = lock(&self.grants).end(id, until);
        if is_news {
            self.revocations.fetch_add(1, Ordering::Release);
        }
        is_news
    }

    /// Tells all replicas that a sign-in has ended. While the store is away they learn of it when it is back.
    async fn tell_end(&self, id: &str, until: u64) {
        let Some(shared) = &self.shared else { return };
        if shared.end(REVOKED, &[(id, until)]).await.is_err() || shared.forget(id).await.is_err() {
            tracing::warn!(
                "a sign-in of a client has ended at this replica alone, because the shared store is away; at the others it ends when \
                 the store is back"
            );
        }
        self.tell(&GrantChange::Ended(vec![(id.to_owned(), until)])).await;
    }

    pub(super) async fn tell(&self, change: &GrantChange) {
        if let Some(shared) = &self.shared {
            // Replicas that are not told look for themselves when the store is back.
            let _said_by_the_store = shared.tell(change).await;
        }
    }

    /// Whether nothing can be begun or renewed now.
    pub fn waits_for_store(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| !shared.store().is_there())
    }

    pub fn is_revoked(&self, id: &str) -> bool {
        lock(&self.grants).revoked.contains_key(id)
    }

    /// Is cancelled when the sign-in `id` ends early; `None` when it has.
    pub fn end_of(&self, id: &str) -> Option<Arc<CancellationToken>> {
        lock(&self.grants).end_of(id)
    }

    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    /// Returns when all changes so far are on the disk. One write serves all that wait for it.
    pub(super) async fn write(&self) {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::authorization_server::holder::KeyIdentity;

    const NOW: u64 = 1_000_000;

    fn holder(grant: &str) -> TokenHolder {
        let key = KeyIdentity::new("k", &[0; 32]);
        TokenHolder { grant: grant.to_owned(), client: "c".to_owned(), key, resource: None, scope: None }
    }

    #[tokio::test]
    async fn a_token_is_exchanged_once_and_a_lost_answer_costs_nothing() {
        let store = GrantStore::open(None, None, NOW).await;
        assert_eq!(store.begin("1", "k", "c", NOW).await, Ok(Begun::New));
        assert_eq!(store.begin("1", "k", "c", NOW).await, Ok(Begun::Twice));
        assert_eq!(store.rotate(&holder("1"), 0, NOW).await, Ok(Rotation::Current(1)));
        assert_eq!(store.rotate(&holder("1"), 0, NOW + AGAIN_WITHIN).await, Ok(Rotation::Current(1)));
        assert_eq!(store.rotate(&holder("1"), 0, NOW + AGAIN_WITHIN + 1).await, Ok(Rotation::Reused));
        assert_eq!(store.rotate(&holder("1"), 1, NOW + 20).await, Ok(Rotation::Current(2)));
        assert_eq!(store.rotate(&holder("1"), 0, NOW + 20).await, Ok(Rotation::Reused));
        // The file of an earlier time knows less than the client.
        assert_eq!(store.rotate(&holder("1"), 7, NOW + 20).await, Ok(Rotation::Current(8)));
        assert_eq!(store.rotate(&holder("1"), 6, NOW + 20).await, Ok(Rotation::Reused));
        assert_eq!(store.rotate(&holder("1"), 8, NOW + 21 + RESTS_FOR).await, Ok(Rotation::Gone));
        assert_eq!(store.rotate(&holder("2"), 0, NOW).await, Ok(Rotation::Gone));
    }

    #[tokio::test]
    async fn what_is_kept_is_for_this_user_alone_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = GrantStore::open(Some(folder.path()), None, NOW).await;
        for id in ["1", "2"] {
            store.begin(id, "k", "c", NOW).await.unwrap();
        }
        store.rotate(&holder("1"), 0, NOW).await.unwrap();
        store.revoke("2", NOW).await;
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // As long as the last token of it could come.
        let again = GrantStore::open(Some(folder.path()), None, NOW + RESTS_FOR).await;
        assert!(again.is_revoked("2") && !again.is_revoked("1"));
        assert_eq!(again.begin("2", "k", "c", NOW).await, Ok(Begun::Twice));
        assert_eq!(again.rotate(&holder("1"), 1, NOW + RESTS_FOR).await, Ok(Rotation::Current(2)));
        let later = GrantStore::open(Some(folder.path()), None, NOW + 1 + 2 * RESTS_FOR).await;
        assert!(!later.is_revoked("2"));
        assert_eq!(later.rotate(&holder("1"), 2, NOW).await, Ok(Rotation::Gone));
        std::fs::write(&path, "{").unwrap();
        assert_eq!(
            GrantStore::open(Some(folder.path()), None, NOW).await.rotate(&holder("1"), 2, NOW).await,
            Ok(Rotation::Gone)
        );
    }

    #[tokio::test]
    async fn no_key_takes_the_sign_ins_of_another() {
        let store = GrantStore::open(None, None, NOW).await;
        store.begin("other", "b", "c", NOW).await.unwrap();
        let ends = ["0", "1"].map(|id| store.end_of(id).unwrap());
        for number in 0..=GRANTS_PER_KEY {
            store.begin(&number.to_string(), "a", "c", NOW + number as u64).await.unwrap();
        }
        assert!(store.is_revoked("0") && !store.is_revoked("1"));
        assert_eq!(ends.map(|end| end.is_cancelled()), [true, false], "all that waits for it learns at once");
        assert!(store.end_of("0").is_none());
        assert_eq!(store.revocations(), 1);
        assert_eq!(store.rotate(&holder("other"), 0, NOW).await, Ok(Rotation::Current(1)));
        let many = GRANTS / GRANTS_PER_KEY + 1;
        for (number, key) in (0..GRANTS).map(|number| (number, number % many)) {
            store.begin(&format!("{key}-{number}"), &format!("k{key}"), "c", NOW + 500).await.unwrap();
        }
        assert_eq!(lock(&store.grants).grants.len(), GRANTS);
        assert_eq!(store.rotate(&holder("other"), 1, NOW).await, Ok(Rotation::Current(2)));
    }
}
