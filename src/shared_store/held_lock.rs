//! A lock for as long as its holder works.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::store::{SharedStore, StoreAway};
use super::values::FencedLock;

/// How long a lock outlives a holder that was killed.
const LIFE: Duration = Duration::from_secs(10);
/// How often a holder gives a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// How often a lock is tried that another one holds.
const TRIED: Duration = Duration::from_millis(100);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct HeldLock {
    pub lock: FencedLock,
    /// Its end releases the lock.
    _release: oneshot::Sender<()>,
}

impl SharedStore {
    /// Takes the lock `name` when it is free, and holds it. `None` when it was not free within `patience`.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn hold(
        self: &Arc<Self>,
        name: &str,
        patience: Duration,
    ) -> Result<Option<HeldLock>, StoreAway> {
        let began = Instant::now();
        let lock = loop {
            match self.lock(name, LIFE).await? {
                Some(lock) => break lock,
                None if began.elapsed() >= patience => return Ok(None),
                None => sleep(TRIED).await,
            }
        };
        let (release, released) = oneshot::channel();
        tokio::spawn(self.clone().keep_locked(lock.clone(), released));
        Ok(Some(HeldLock { lock, _release: release }))
    }

    /// Ends with the [`HeldLock`], or when the lock is lost.
    async fn keep_locked(self: Arc<Self>, lock: FencedLock, mut released: oneshot::Receiver<()>) {
        let mut is_held = true;
        while is_held {
            tokio::select! {
                _ = &mut released => {
                    let _expires_by_itself = self.unlock(&lock).await;
                    return;
                }
                () = sleep(SIGN_OF_LIFE) => is_held = self.extend(&lock, LIFE).await.unwrap_or(true),
            }
        }
    }
}
