//! What replicas must know of each other: values that expire, values that are taken once, messages, and locks.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::broadcast;

use super::script::StoreScript;
use super::store::{SharedStore, StoreAway, StoreEvent};
use crate::json::hex;
use crate::seal::random;

static LOCK: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("lock.lua")));
static EXTEND: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("extend.lua")));
static WRITE: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("write.lua")));

/// A lock that one holder has at a time, until it is released or expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FencedLock {
    name: Box<str>,
    holder: String,
    /// Higher than that of every earlier holder.
    pub number: u64,
}

impl FencedLock {
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl SharedStore {
    /// Keeps `value` for `life`.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn set(&self, kind: &str, name: &str, value: &[u8], life: Duration) -> Result<(), StoreAway> {
        let mut command = redis::cmd("SET");
        command.arg(self.key(kind, name)).arg(value).arg("PX").arg(milliseconds(life));
        Ok(self.ask(&command).await?)
    }

    /// The value, unless it has expired or was taken.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn get(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreAway> {
        Ok(self.ask(redis::cmd("GET").arg(self.key(kind, name))).await?)
    }

    /// Takes the value out: of all replicas that try, one gets it.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn take(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreAway> {
        Ok(self.ask(redis::cmd("GETDEL").arg(self.key(kind, name))).await?)
    }

    /// Removes the value.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn remove(&self, kind: &str, name: &str) -> Result<(), StoreAway> {
        Ok(self.ask(redis::cmd("DEL").arg(self.key(kind, name))).await?)
    }

    /// Sends a message to all replicas, this one too. A replica that is away misses it.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn publish(&self, topic: &str, message: &[u8]) -> Result<(), StoreAway> {
        Ok(self.ask(redis::cmd("PUBLISH").arg(self.key("events", topic)).arg(message)).await?)
    }

    /// The messages of all replicas from now on, and each return of the store.
    pub fn subscribe(&self) -> broadcast::Receiver<StoreEvent> {
        self.events.subscribe()
    }

    /// Takes the lock `name` for at most `life`; `None` while another holder has it.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn lock(&self, name: &str, life: Duration) -> Result<Option<FencedLock>, StoreAway> {
        let holder = hex(&random::<16>().map_err(|_| StoreAway)?);
        let keys = [self.key("lock", name), self.key("fence", name)];
        let mut command = LOCK.with(keys.iter().map(String::as_str));
        command.arg(&holder).arg(milliseconds(life));
        let number: u64 = self.evaluate(&LOCK, &command).await?;
        Ok((number > 0).then(|| FencedLock { name: name.into(), holder, number }))
    }

    /// Releases `lock`, if it is still held.
    ///
    /// # Errors
    ///
    /// [`StoreAway`]; it then expires.
    pub async fn unlock(&self, lock: &FencedLock) -> Result<(), StoreAway> {
        self.extend(lock, Duration::ZERO).await.map(drop)
    }

    /// Has `lock` last for `life` from now on, and says whether it was still held.
    pub(super) async fn extend(&self, lock: &FencedLock, life: Duration) -> Result<bool, StoreAway> {
        let key = self.key("lock", &lock.name);
        let mut command = EXTEND.with(std::iter::once(key.as_str()));
        command.arg(&lock.holder).arg(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        Ok(self.evaluate::<u64>(&EXTEND, &command).await? == 1)
    }

    /// Keeps `value` under the name of `lock` for `life`, unless a later holder has written there. Says whether it did.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn write(
        &self,
        kind: &str,
        lock: &FencedLock,
        value: &[u8],
        life: Duration,
    ) -> Result<bool, StoreAway> {
        let key = self.key(kind, &lock.name);
        let mut command = WRITE.with(std::iter::once(key.as_str()));
        command.arg(lock.number).arg(value).arg(milliseconds(life));
        Ok(self.evaluate::<u64>(&WRITE, &command).await? == 1)
    }

    /// The value that the last holder of the lock `name` wrote.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn read(&self, kind: &str, name: &str) -> Result<Option<Vec<u8>>, StoreAway> {
        Ok(self.ask(redis::cmd("HGET").arg(self.key(kind, name)).arg("value")).await?)
    }
}

pub(super) fn milliseconds(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1)
}
