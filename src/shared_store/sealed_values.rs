//! Values of one kind that stand in the store sealed: only replicas with the same secrets read them.
//!
//! The name of a value is sealed with it, so that a value that was moved to another name opens as none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{SharedStore, StoreAway};
use super::values::FencedLock;
use crate::seal::{SealSecrets, Sealer};
use crate::shares::LogThrottle;

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    #[error(transparent)]
    Away(#[from] StoreAway),
    /// The log says so, too.
    #[error("a value of another replica does not open with the `sessionKey` of this gateway")]
    Foreign,
}

/// Sealed values of one kind.
pub struct SealedValues {
    pub store: Arc<SharedStore>,
    kind: &'static str,
    sealer: Sealer,
    foreign: LogThrottle,
}

impl fmt::Debug for SealedValues {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SealedValues").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl SealedValues {
    /// The values of `kind` in `store`.
    pub fn new(store: &Arc<SharedStore>, secrets: &SealSecrets, kind: &'static str) -> Self {
        Self { store: store.clone(), kind, sealer: secrets.sealer(kind), foreign: LogThrottle::default() }
    }

    /// `value` sealed for `name`.
    ///
    /// # Errors
    ///
    /// When nothing can be sealed, which is as good as a store that is away.
    pub fn seal(&self, name: &str, value: &impl Serialize) -> Result<Vec<u8>, StoreAway> {
        let sealed = self.sealer.seal_json("", &(name, value));
        sealed.map(String::into_bytes).map_err(|_| StoreAway)
    }

    /// The value that was sealed for `name`.
    ///
    /// # Errors
    ///
    /// [`SealedError::Foreign`].
    pub fn open<T: DeserializeOwned>(&self, name: &str, sealed: &[u8]) -> Result<T, SealedError> {
        let opened = self.sealer.open_json::<(String, T)>("", sealed);
        let opened = opened.filter(|(own, _)| own == name).map(|(_, value)| value);
        if opened.is_none() && self.foreign.may_log().is_some() {
            tracing::error!(
                "a value of another replica in the shared store ({}) does not open with the `sessionKey` of this gateway; give all \
                 replicas the same `sessionKey`, or else each signs in and renews for itself",
                self.kind
            );
        }
        opened.ok_or(SealedError::Foreign)
    }

    /// Keeps `value` under `name` for `life`.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn set(&self, name: &str, value: &impl Serialize, life: Duration) -> Result<(), StoreAway> {
        self.store.set(self.kind, name, &self.seal(name, value)?, life).await
    }

    /// The value of `name`, unless it has expired or was taken.
    ///
    /// # Errors
    ///
    /// [`SealedError`].
    pub async fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SealedError> {
        let found = self.store.get(self.kind, name).await?;
        found.map(|sealed| self.open(name, &sealed)).transpose()
    }

    /// Takes the value of `name` out. Says whether this gateway is the one that took it.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn take(&self, name: &str) -> Result<bool, StoreAway> {
        Ok(self.store.take(self.kind, name).await?.is_some())
    }

    /// Keeps `value` under the name of `lock` for `life`, unless a later holder has written there. Says whether it did.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn write(
        &self,
        lock: &FencedLock,
        value: &impl Serialize,
        life: Duration,
    ) -> Result<bool, StoreAway> {
        self.store.write(self.kind, lock, &self.seal(lock.name(), value)?, life).await
    }

    /// The value that the last holder of the lock `name` wrote.
    ///
    /// # Errors
    ///
    /// [`SealedError`].
    pub async fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SealedError> {
        let found = self.store.read(self.kind, name).await?;
        found.map(|sealed| self.open(name, &sealed)).transpose()
    }
}
