//! Generations in the store: one thing, such as a refresh token, is exchanged for the next over and over, each of them once.
//!
//! A name that has ended stands in a list ([`super::names`]) and never begins again while it stands there.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::script::StoreScript;
use super::store::{SharedStore, StoreAway};

static BEGIN: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("begin.lua")));
static ADVANCE: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("advance.lua")));
static OFFER: LazyLock<StoreScript> = LazyLock::new(|| StoreScript::new(include_str!("offer.lua")));

/// Generations that one command carries.
const AT_ONCE: usize = 500;

/// Generations of one kind.
#[derive(Debug)]
pub struct Generations {
    pub store: Arc<SharedStore>,
    pub kind: &'static str,
    /// How long one is known after its last exchange.
    pub life: Duration,
}

/// The outcome of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    Next(u64),
    /// Nothing is known of it: it never began, or the store has lost it.
    Unknown,
    Ended,
    /// This generation was exchanged before.
    Again,
}

/// A generation as a replica knows it.
#[derive(Debug)]
pub struct KnownGeneration {
    pub name: String,
    pub generation: u64,
    /// In seconds since 1970.
    pub since: u64,
}

impl Generations {
    /// The list of those that have ended.
    pub const ENDED: &str = "ended";

    /// Begins `name`. Says whether it is new.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn begin(&self, name: &str) -> Result<bool, StoreAway> {
        let keys = self.keys(name);
        let mut command = BEGIN.with(keys.iter().map(String::as_str));
        command.arg(name).arg(self.life());
        Ok(self.store.evaluate::<u64>(&BEGIN, &command).await? == 1)
    }

    /// Exchanges `generation` of `name`. An answer that was lost is given again `within` this time.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn advance(&self, name: &str, generation: u64, within: Duration) -> Result<Advance, StoreAway> {
        let keys = self.keys(name);
        let mut command = ADVANCE.with(keys.iter().map(String::as_str));
        let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        command.arg(name).arg(self.life()).arg(generation).arg(within);
        Ok(match self.store.evaluate::<i64>(&ADVANCE, &command).await? {
            -1 => Advance::Unknown,
            -2 => Advance::Ended,
            next => u64::try_from(next).map_or(Advance::Again, Advance::Next),
        })
    }

    /// Tells the store what this replica knows; the higher generation counts.
    ///
    /// # Errors
    ///
    /// [`StoreAway`].
    pub async fn offer(&self, known: &[KnownGeneration]) -> Result<(), StoreAway> {
        for some in known.chunks(AT_ONCE) {
            let keys: Vec<String> = some.iter().map(|known| self.store.key(self.kind, &known.name)).collect();
            let mut command = OFFER.with(keys.iter().map(String::as_str));
            command.arg(self.life());
            for known in some {
                command.arg(known.generation).arg(known.since.saturating_mul(1000));
            }
            self.store.evaluate::<()>(&OFFER, &command).await?;
        }
        Ok(())
    }

    fn keys(&self, name: &str) -> [String; 2] {
        [self.store.key(self.kind, name), self.store.key(self.kind, Self::ENDED)]
    }

    fn life(&self) -> u64 {
        u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX)
    }
}
