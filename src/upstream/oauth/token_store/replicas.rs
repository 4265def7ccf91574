//! One renewal at a time over all replicas, whose outcome all of them take up.
//!
//! A renewal holds a lock in the store. Before it begins, and whenever another replica tells of a change, the replica takes
//! up what is newer there than what it has. What it keeps it writes there as the holder of the lock, so that a replica which
//! was late writes nothing over its successor's tokens.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::record::StoredSignIn;
use super::shared::{SharedTokens, TOKENS, ToldTokens, is_user};
use super::store::TokenStore;
use crate::shared_store::{SealedError, StoreAway};
use crate::sync::lock;
use crate::unix_time::now;

/// How long another replica's renewal is waited for: as long as one may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a sign-in stands in the store after its last change.
const LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Users of one server that are listed in the store.
const MOST_USERS: usize = 10_000;
const USERS: &str = "users";

/// The right to change tokens: of one task here and, while the store is there, in all replicas.
pub struct SoleRefresh<'a> {
    shared: Option<&'a SharedTokens>,
    _alone: MutexGuard<'a, ()>,
    /// Another replica has it, and did not end in time.
    pub is_elsewhere: bool,
}

impl Drop for SoleRefresh<'_> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared {
            *lock(&shared.held) = None;
        }
    }
}

impl TokenStore {
    /// The one renewal at a time. Tokens that another replica has got meanwhile are taken up first.
    pub async fn one_refresh(&self) -> SoleRefresh<'_> {
        let alone = self.refreshing.lock().await;
        let mut sole = SoleRefresh { shared: self.shared.as_ref(), _alone: alone, is_elsewhere: false };
        let Some(shared) = &self.shared else { return sole };
        match shared.values.store.hold(&shared.name, PATIENCE).await {
            Ok(Some(held)) => {
                *lock(&shared.held) = Some(Arc::new(held));
                let _said_by_the_store = self.adopt(shared).await;
            }
            Ok(None) => sole.is_elsewhere = true,
            Err(StoreAway) => {
                tracing::warn!(mcp_server = %self.server, "{}: its token is renewed by this replica alone, because the shared store is away; should another replica do the same, the authorization server may end the sign-in", self.server);
            }
        }
        sole
    }

    /// Waits until replicas that renewed alone while the store was away have told so.
    pub async fn settled(&self) {
        if let Some(shared) = &self.shared {
            shared.values.store.settled().await;
        }
    }

    /// Takes up what other replicas have, or tells them what is newer here.
    pub async fn synchronize(&self) {
        let Some(shared) = &self.shared else { return };
        if let Ok(Ordering::Less) = self.adopt(shared).await {
            let _sole = self.one_refresh().await;
            self.share().await;
        }
    }

    /// Follows what replicas do with the sign-ins to this server; `None` without a store.
    pub fn told(&self) -> Option<ToldTokens> {
        self.shared.as_ref().map(SharedTokens::told)
    }

    /// The users of this server that are signed in at some replica.
    pub async fn users_of_replicas(&self) -> Vec<String> {
        let Some(shared) = &self.shared else { return Vec::new() };
        let users = shared.values.store.noted(USERS, &shared.of_server).await;
        users.unwrap_or_default().into_iter().map(|(user, _)| user).filter(|user| is_user(user)).collect()
    }

    /// Takes up what replicas have, if it is newer. Says how it compared.
    pub(super) async fn adopt(&self, shared: &SharedTokens) -> Result<Ordering, SealedError> {
        let theirs: Option<StoredSignIn> = shared.values.read(&shared.name).await?;
        let own = lock(&self.record).changed;
        let order = theirs.as_ref().map_or(0, |theirs| theirs.changed).cmp(&own);
        if let (Some(theirs), Ordering::Greater) = (theirs, order)
            && self.take_up(theirs)
        {
            tracing::debug!(mcp_server = %self.server, "{}: it takes up the token of another replica", self.server);
            self.write().await;
        }
        Ok(order)
    }

    /// Tells the replicas what this one has, as the holder of the lock.
    ///
    /// Without the lock the store is away, or another replica is late with it: they are told when the store is back, or by
    /// the next renewal.
    pub(super) async fn share(&self) {
        let Some(shared) = &self.shared else { return };
        let Some(held) = lock(&shared.held).clone() else { return };
        let record = lock(&self.record).clone();
        let is_signed_in = record.credentials.is_some();
        match shared.values.write(&held.lock, &record, LIFE).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(mcp_server = %self.server, "{}: another replica has renewed its token meanwhile, and that one counts", self.server);
                lock(&self.record).changed = 0;
                let _said_by_the_store = self.adopt(shared).await;
                return;
            }
            // The store itself has said so.
            Err(StoreAway) => return,
        }
        let store = &shared.values.store;
        let listed = match &self.user {
            Some(user) if is_signed_in => {
                let until = now() + LIFE.as_secs();
                store.note(USERS, &shared.of_server, MOST_USERS, &[(user, until)]).await
            }
            Some(user) => store.unnote(USERS, &shared.of_server, user).await,
            None => Ok(()),
        };
        // Replicas that are not told look for themselves when the store is back.
        let _said_by_the_store = listed.and(store.publish(TOKENS, shared.name.as_bytes()).await);
    }
}
