//! The part of the common resources that each caller may hold, as the settings and the number of keys have it.

use super::defaults;
use super::gateway::Config;
use super::keys::LimitsConfig;
use crate::shares::Bounds;

/// The bounds of all callers and of each, for everything that callers share.
#[derive(Debug, Clone)]
pub struct Shares {
    limits: LimitsConfig,
    /// There is at most one key and no user, so that no other caller can want anything.
    is_sole: bool,
}

impl Config {
    pub fn shares(&self) -> Shares {
        Shares {
            limits: self.limits.clone(),
            is_sole: self.auth.keys.len() <= 1
                && self.auth.keys.iter().all(|key| key.open_webui.is_none())
                && self.auth.issuers.is_empty(),
        }
    }
}

impl Shares {
    /// MCP sessions of clients.
    pub fn sessions(&self) -> Bounds {
        let LimitsConfig { sessions, per_key, .. } = &self.limits;
        self.bounds(*sessions, per_key.sessions, defaults::SESSIONS_PER_KEY)
    }

    /// Connections to one server that serve one caller each; it has `most`.
    pub fn identities(&self, most: usize) -> Bounds {
        self.bounds(most, self.limits.per_key.identities, defaults::IDENTITIES_PER_KEY)
    }

    /// Processes that serve one caller each, of all servers.
    pub fn processes(&self) -> Bounds {
        let LimitsConfig { processes, per_key, .. } = &self.limits;
        self.bounds(*processes, per_key.processes, defaults::PROCESSES_PER_KEY)
    }

    /// Calls in flight to one server, which takes `concurrency` at one time.
    pub fn turns(&self, concurrency: usize) -> Bounds {
        let usual = concurrency - concurrency.div_ceil(defaults::CONCURRENCY_LEFT);
        self.bounded(concurrency, self.limits.per_key.concurrency, usual)
    }

    /// Calls at one time, of all servers.
    pub fn calls(&self) -> Bounds {
        let LimitsConfig { calls, per_key, .. } = &self.limits;
        self.bounds(*calls, per_key.calls, defaults::CALLS_PER_KEY)
    }

    /// Streams of clients that wait for changes.
    pub fn listeners(&self) -> Bounds {
        let LimitsConfig { listeners, per_key, .. } = &self.limits;
        self.bounds(*listeners, per_key.listeners, defaults::LISTENERS_PER_KEY)
    }

    /// Resources that clients follow.
    pub fn followed(&self) -> Bounds {
        let LimitsConfig { followed, per_key, .. } = &self.limits;
        self.bounds(*followed, per_key.followed, defaults::FOLLOWED_PER_KEY)
    }

    /// `usual` holds for each of several keys, but half of what there is at most.
    fn bounds(&self, all: usize, set: Option<usize>, usual: usize) -> Bounds {
        self.bounded(all, set, usual.min(all / 2))
    }

    fn bounded(&self, all: usize, set: Option<usize>, usual: usize) -> Bounds {
        let each = set.unwrap_or(if self.is_sole { all } else { usual.max(1) });
        Bounds { all, each: each.min(all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ApiKeyConfig, SecretText};

    fn with_keys(count: usize) -> Config {
        let mut config = Config::default();
        config.auth.keys = (0..count)
            .map(|number| number.to_string())
            .map(|name| ApiKeyConfig::new(&name, SecretText::literal(&name)))
            .collect();
        config
    }

    #[test]
    fn one_key_or_none_has_all_and_each_of_several_a_share() {
        for (keys, sessions, turns) in [(0, 10_000, 64), (1, 10_000, 64), (2, 1_000, 48)] {
            let shares = with_keys(keys).shares();
            assert_eq!((shares.sessions().each, shares.turns(64).each), (sessions, turns), "{keys} keys");
        }
        let shares = with_keys(2).shares();
        assert_eq!([1, 2, 3, 4, 8].map(|concurrency| shares.turns(concurrency).each), [1, 1, 2, 3, 6]);
        assert_eq!([1, 2, 3, 64, 256].map(|most| shares.identities(most).each), [1, 1, 1, 32, 64]);
    }

    #[test]
    fn what_is_set_counts_for_one_key_too_and_never_passes_what_there_is() {
        let mut config = with_keys(1);
        config.limits.per_key.sessions = Some(5);
        config.limits.per_key.concurrency = Some(100);
        let shares = config.shares();
        assert_eq!((shares.sessions().each, shares.turns(64).each), (5, 64));
    }
}
