//! Sessions as the replicas know them together: which have ended, and until when the others may rest.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::sealed::ShortDigest;
use crate::json::hex;
use crate::shared_store::{SharedStore, StoreAway};
use crate::sync::lock;

/// The kind of the lists, and the topic of ends.
pub(super) const SESSIONS: &str = "sessions";
/// The kind of the [interests](super::shared_interests) of sessions, and the topic of their changes.
pub(super) const INTERESTS: &str = "interests";
const ENDED: &str = "ended";
const USED: &str = "used";
/// Sessions in one list; beyond, those go that end first.
const MOST: usize = 200_000;

/// The sessions in the store.
#[derive(Debug)]
pub(super) struct SharedSessions {
    pub store: Arc<SharedStore>,
    /// Sessions whose end the store is still to be told; further ones than [`MOST`] are not.
    ended: Mutex<Vec<ShortDigest>>,
    pub some: Notify,
}

/// The knowledge of the store about a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SharedSession {
    Ended,
    /// It may rest until this second since 1970.
    RestsUntil(u64),
    Unknown,
}

impl SharedSessions {
    pub fn new(store: Arc<SharedStore>) -> Self {
        Self { store, ended: Mutex::default(), some: Notify::new() }
    }

    /// The store is told soon that the session has ended.
    pub fn has_ended(&self, session: ShortDigest) {
        let mut ended = lock(&self.ended);
        if ended.len() < MOST {
            ended.push(session);
            self.some.notify_one();
        }
    }

    /// Tells the store and the replicas which sessions have ended.
    ///
    /// That is remembered until the second `until`. While the store is away they wait.
    pub async fn tell_ends(&self, until: u64) {
        let ended = std::mem::take(&mut *lock(&self.ended));
        if !ended.is_empty() && self.tell(&ended, until).await.is_err() {
            let mut waiting = lock(&self.ended);
            waiting.extend(ended);
            waiting.truncate(MOST);
        }
    }

    async fn tell(&self, ended: &[ShortDigest], until: u64) -> Result<(), StoreAway> {
        let names: Vec<String> = ended.iter().map(|session| hex(session)).collect();
        let noted: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), until)).collect();
        self.store.note(SESSIONS, ENDED, MOST, &noted).await?;
        self.store.publish(SESSIONS, ended.as_flattened()).await?;
        self.store.remove_all(INTERESTS, &names).await
    }

    /// The names of the sessions that have ended.
    pub async fn ended(&self) -> Result<HashSet<String>, StoreAway> {
        let ended = self.store.noted(SESSIONS, ENDED).await?;
        Ok(ended.into_iter().map(|(name, _)| name).collect())
    }

    /// Notes until which second each session may rest.
    pub async fn note_uses(&self, uses: &[(ShortDigest, u64)]) -> Result<(), StoreAway> {
        let names: Vec<(String, u64)> = uses.iter().map(|(session, until)| (hex(session), *until)).collect();
        let names: Vec<(&str, u64)> = names.iter().map(|(name, until)| (name.as_str(), *until)).collect();
        self.store.note(SESSIONS, USED, MOST, &names).await
    }

    pub async fn session(&self, session: &ShortDigest) -> Result<SharedSession, StoreAway> {
        let name = hex(session);
        if self.store.until(SESSIONS, ENDED, &name).await?.is_some() {
            return Ok(SharedSession::Ended);
        }
        let until = self.store.until(SESSIONS, USED, &name).await?;
        Ok(until.map_or(SharedSession::Unknown, SharedSession::RestsUntil))
    }
}

/// The sessions in a message of [`SharedSessions::tell_ends`].
pub(super) fn ended_in(message: &[u8]) -> HashSet<ShortDigest> {
    message.as_chunks().0.iter().copied().collect()
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn while_the_store_is_away_not_all_ends_wait_for_it() {
        let nowhere = || Box::pin(std::future::ready(Err("it is nowhere".to_owned()))) as _;
        let (away, _keeping) =
            SharedStore::open(Box::new(nowhere), "", CancellationToken::new()).await.unwrap();
        let shared = SharedSessions::new(away);
        for round in 0..2 {
            (0..MOST as u128).for_each(|number| shared.has_ended((number + round).to_le_bytes()));
            shared.tell_ends(1).await;
            assert_eq!(lock(&shared.ended).len(), MOST);
        }
    }
}
