//! Lists of names in the store, each of which counts until its own time.

use std::sync::LazyLock;

use super::script::StoreScript;
use super::store::{SharedStore, StoreAway};
use crate::unix_time::now;

static NOTE: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("note.lua")));

/// Names that one command carries.
const AT_ONCE: usize = 1000;

impl SharedStore {
    /// Notes `names` in the list `list` of this kind, each until its second since 1970. Of more than `most` those go that
    /// end first.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn note(
        &self,
        kind: &str,
        list: &str,
        most: usize,
        names: &[(&str, u64)],
    ) -> Result<(), StoreAway> {
        let key = self.key(kind, list);
        for some in names.chunks(AT_ONCE) {
            let mut command = NOTE.with(std::iter::once(key.as_str()));
            command.arg(most);
            for (name, until) in some {
                command.arg(until).arg(name);
            }
            self.evaluate::<()>(&NOTE, &command).await?;
        }
        Ok(())
    }

    /// The names of a list that count now, and until when.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn noted(&self, kind: &str, list: &str) -> Result<Vec<(String, u64)>, StoreAway> {
        let (key, from) = (self.key(kind, list), format!("({}", now()));
        let mut all = Vec::new();
        loop {
            let mut command = redis::cmd("ZRANGEBYSCORE");
            command.arg(&key).arg(&from).arg("+inf").arg("WITHSCORES");
            command.arg("LIMIT").arg(all.len()).arg(AT_ONCE);
            let some: Vec<(String, f64)> = self.ask(&command).await?;
            let is_last = some.len() < AT_ONCE;
            all.extend(some.into_iter().map(|(name, until)| (name, until as u64)));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Until when a name of a list counts.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn until(&self, kind: &str, list: &str, name: &str) -> Result<Option<u64>, StoreAway> {
        let until: Option<f64> = self.ask(redis::cmd("ZSCORE").arg(self.key(kind, list)).arg(name)).await?;
        Ok(until.map(|until| until as u64).filter(|until| *until > now()))
    }

    /// Removes a name of a list.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn unnote(&self, kind: &str, list: &str, name: &str) -> Result<(), StoreAway> {
        Ok(self.ask(redis::cmd("ZREM").arg(self.key(kind, list)).arg(name)).await?)
    }
}
