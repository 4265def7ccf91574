//! What each replica says of itself, for the others to read: one hash, so that both are one round trip.

use std::sync::LazyLock;
use std::time::Duration;

use super::script::StoreScript;
use super::store::{SharedStore, StoreAway};
use super::values::milliseconds;

static STATUSES: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("statuses.lua")));

/// What another replica said of itself last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredStatus {
    /// The process that said it.
    pub process: String,
    /// When it did, since 1970, by the clock of the store.
    pub said_at: Duration,
    /// How long ago that was.
    pub age: Duration,
    pub text: String,
}

impl SharedStore {
    /// Keeps `text` as the status of this replica for `life`, and gives the statuses of the others.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn exchange_status(&self, text: &str, life: Duration) -> Result<Vec<StoredStatus>, StoreAway> {
        let key = self.statuses();
        let mut command = STATUSES.with(std::iter::once(key.as_str()));
        command.arg(&*self.replica).arg(milliseconds(life)).arg(text);
        let others: Vec<(String, u64, u64, String)> = self.evaluate(&STATUSES, &command).await?;
        let status = |(process, said_at, age, text)| {
            let [said_at, age] = [said_at, age].map(Duration::from_millis);
            StoredStatus { process, said_at, age, text }
        };
        Ok(others.into_iter().map(status).collect())
    }

    /// Forgets the status of this replica.
    pub(super) async fn withdraw_status(&self) -> Result<(), StoreAway> {
        Ok(self.ask(redis::cmd("HDEL").arg(self.statuses()).arg(&*self.replica)).await?)
    }

    fn statuses(&self) -> String {
        self.key("replicas", "status")
    }
}
