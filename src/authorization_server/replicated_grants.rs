//! Keeps the sign-ins of this replica up to those of the others.

use std::collections::HashMap;

use tokio::sync::broadcast::error::RecvError;

use super::grant_table::REVOKED;
use super::grants::GrantStore;
use super::shared_grants::{GRANTS, GrantChange, SharedGrants};
use crate::shared_store::{KnownGeneration, StoreAway, StoreEvent};
use crate::sync::lock;

impl GrantStore {
    /// Takes up the changes of other replicas until the shared store is closed. Ends at once without a shared store.
    pub async fn follow(&self) {
        let Some(shared) = &self.shared else { return };
        let mut events = shared.store().subscribe();
        let mut may_have_missed = true;
        loop {
            if may_have_missed {
                // When it fails, the store is away, and all is compared when it is back.
                let _said_by_the_store = self.compare(shared).await;
            }
            let event = events.recv().await;
            may_have_missed = matches!(event, Ok(StoreEvent::Connected) | Err(RecvError::Lagged(_)));
            match event {
                Ok(StoreEvent::Told { topic, message }) if &*topic == GRANTS => {
                    let change = shared.told(&message);
                    if change.is_some_and(|change| self.take_up(change)) {
                        self.write().await;
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Says whether `change` is news.
    fn take_up(&self, change: GrantChange) -> bool {
        match change {
            GrantChange::Ended(ended) => self.note_ends(ended.iter().map(|(id, until)| (id, until))),
            GrantChange::Renewed(id, grant) => lock(&self.grants).take_up(id, grant),
        }
    }

    /// Takes up what has ended elsewhere, and tells the store what this replica knows.
    async fn compare(&self, shared: &SharedGrants) -> Result<(), StoreAway> {
        let ended: HashMap<String, u64> = shared.ended().await?.into_iter().collect();
        self.note_ends(&ended);
        let (news, known): (Vec<(String, u64)>, Vec<KnownGeneration>) = {
            let grants = lock(&self.grants);
            let news = grants.revoked.iter().filter(|(id, _)| !ended.contains_key(*id));
            let news = news.map(|(id, until)| (id.clone(), *until)).collect();
            (news, grants.grants.iter().map(|(id, grant)| grant.known(id)).collect())
        };
        let named: Vec<(&str, u64)> = news.iter().map(|(id, until)| (id.as_str(), *until)).collect();
        shared.end(REVOKED, &named).await?;
        if !news.is_empty() {
            // Another replica may have looked before this one told the store.
            self.tell(&GrantChange::Ended(news)).await;
        }
        shared.generations.offer(&known).await?;
        self.write().await;
        Ok(())
    }

    /// Notes here that sign-ins have ended. Says whether any of that is news.
    fn note_ends<'a>(&self, ended: impl IntoIterator<Item = (&'a String, &'a u64)>) -> bool {
        ended.into_iter().fold(false, |is_news, (id, until)| self.note_end(id, *until) || is_news)
    }
}
