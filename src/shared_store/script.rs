//! The scripts that run in the store, each whole or not at all.

use redis::Cmd;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::store::{SharedStore, StoreAway};
use crate::json::hex;

/// A script of the store.
#[derive(Debug)]
pub(super) struct StoreScript {
    text: &'static str,
    /// The name under which the store keeps it.
    sha: String,
}

impl StoreScript {
    pub fn new(text: &'static str) -> Self {
        Self { text, sha: hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref()) }
    }

    /// The beginning of a command that runs it with `keys`.
    pub fn with<'a>(&self, keys: impl ExactSizeIterator<Item = &'a str>) -> Cmd {
        self.command("EVALSHA", &self.sha, keys)
    }

    fn command<'a>(&self, name: &str, script: &str, keys: impl ExactSizeIterator<Item = &'a str>) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        command
    }

    /// Loads it, so that its name is known.
    pub fn loading(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(self.text);
        command
    }
}

impl SharedStore {
    /// Runs `command`, made by [`StoreScript::with`]; a store that has forgotten the script gets it again.
    pub(super) async fn evaluate<T: redis::FromRedisValue>(
        &self,
        script: &StoreScript,
        command: &Cmd,
    ) -> Result<T, StoreAway> {
        match self.ask(command).await {
            Err(error) if error.is_no_script() => {
                self.ask::<redis::Value>(&script.loading()).await?;
                Ok(self.ask(command).await?)
            }
            answer => Ok(answer?),
        }
    }
}
