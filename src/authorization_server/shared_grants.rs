//! The sign-ins in the store that replicas share: codes and refresh tokens count once over all of them.
//!
//! There stand the generation of each sign-in and the ids of those that have ended. Beside, each replica is told of all
//! sign-ins, so that a store which has lost them gets them back.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::grant_table::{Grant, RESTS_FOR};
use crate::seal::SealSecrets;
use crate::shared_store::{Advance, Generations, KnownGeneration, SealedValues, SharedStore, StoreAway};

/// The kind of the values, and the topic of their changes.
pub const GRANTS: &str = "grants";

/// The sign-ins in the store.
#[derive(Debug)]
pub struct SharedGrants {
    messages: SealedValues,
    pub generations: Generations,
}

/// A message of one replica to all.
#[derive(Serialize, Deserialize)]
pub(super) enum GrantChange {
    Renewed(String, Grant),
    /// Those that have ended, and until when that is remembered.
    Ended(Vec<(String, u64)>),
}

impl SharedGrants {
    pub fn new(store: &Arc<SharedStore>, secrets: &SealSecrets) -> Self {
        let generations =
            Generations { store: store.clone(), kind: GRANTS, life: Duration::from_secs(RESTS_FOR) };
        Self { messages: SealedValues::new(store, secrets, GRANTS), generations }
    }

    pub fn store(&self) -> &Arc<SharedStore> {
        &self.generations.store
    }

    /// As [`Generations::advance`]. A store that knows nothing of the sign-in is told what this replica `knows`.
    pub async fn advance(
        &self,
        id: &str,
        generation: u64,
        within: Duration,
        knows: Option<KnownGeneration>,
    ) -> Result<Advance, StoreAway> {
        let advance = self.generations.advance(id, generation, within).await?;
        let (Advance::Unknown, Some(known)) = (advance, knows) else { return Ok(advance) };
        self.generations.offer(&[known]).await?;
        self.generations.advance(id, generation, within).await
    }

    /// Notes that sign-ins have ended, each until the second when that may be forgotten.
    ///
    /// Of more than `most` those go that end first.
    pub async fn end(&self, most: usize, ended: &[(&str, u64)]) -> Result<(), StoreAway> {
        self.store().note(GRANTS, Generations::ENDED, most, ended).await
    }

    /// Forgets the generation of a sign-in that has ended.
    ///
    /// None follows it then, even when its end is forgotten first.
    pub async fn forget(&self, id: &str) -> Result<(), StoreAway> {
        self.store().remove(GRANTS, id).await
    }

    /// The sign-ins that have ended, and until when they are remembered.
    pub async fn ended(&self) -> Result<Vec<(String, u64)>, StoreAway> {
        self.store().noted(GRANTS, Generations::ENDED).await
    }

    pub async fn tell(&self, change: &GrantChange) -> Result<(), StoreAway> {
        self.store().publish(GRANTS, &self.messages.seal(GRANTS, change)?).await
    }

    /// What a message says; `None` for one that this gateway cannot read.
    pub fn told(&self, message: &[u8]) -> Option<GrantChange> {
        self.messages.open(GRANTS, message).ok()
    }
}
