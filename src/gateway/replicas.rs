//! The replicas of the gateway, as each last said of itself through the store that they share.
//!
//! Every few seconds a replica seals its status, keeps it in the store, and reads those of the others. `GET /servers` shows
//! what was read last, so it asks the store nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::catalog::Caller;
use crate::config::ServerName;
use crate::json::clip;
use crate::metrics::Metrics;
use crate::seal::{SealSecrets, Sealer};
use crate::shared_store::{SharedStore, StoredStatus};
use crate::telemetry::text::visible;
use crate::unix_time::seconds;
use crate::upstream::{Phase, Upstream, UpstreamState};

/// How often a replica says how it is.
const SAID_EVERY: Duration = Duration::from_secs(5);
/// A replica that did not say so three times is silent.
const SILENT_AFTER: Duration = Duration::from_secs(16);
/// How long the store keeps what a replica said: one that was killed is seen to be missing.
const KEPT: Duration = Duration::from_secs(600);
/// Servers of a replica that are named with their reasons.
const MOST_TROUBLES: usize = 20;
/// The longest reason, in bytes.
const LONGEST_REASON: usize = 500;
const PURPOSE: &str = "replica status";
/// What is wrong with a replica whose words do not open.
const FOREIGN: &str =
    "it seals with another `sessionKey`: it shares neither sessions nor tokens with this one";

/// What a replica says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaFacts {
    version: String,
    /// When its process began, in seconds since 1970.
    since: u64,
    /// Servers that are ready.
    ready: usize,
    /// Servers that should be: all but the disabled ones.
    servers: usize,
    calls_in_flight: i64,
    /// The first servers that are not ready.
    not_ready: Vec<ServerTrouble>,
}

/// A server that is not ready at a replica.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerTrouble {
    name: String,
    /// `starting` or `unavailable`.
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A replica, for keys with the `admin` right.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaStatus {
    pub name: String,
    /// It is the one that answers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    own: bool,
    /// Left out where another key sealed them.
    #[serde(flatten)]
    facts: Option<ReplicaFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'static str>,
    /// When another replica said this, in seconds since 1970 by the clock of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    said_at: Option<u64>,
    /// It has missed three times to say how it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    silent: bool,
}

impl ReplicaStatus {
    /// Without the moment that changes each time while nothing else does.
    pub fn forget_moment(&mut self) {
        self.said_at = self.said_at.filter(|_| self.silent);
    }
}

/// Says how this replica is, and knows what the others said last.
#[derive(Debug)]
pub struct Replicas {
    name: Box<str>,
    began: SystemTime,
    store: Arc<SharedStore>,
    sealer: Sealer,
    metrics: Arc<Metrics>,
    others: ArcSwap<Vec<OtherReplica>>,
}

/// What another replica said.
#[derive(Debug)]
struct OtherReplica {
    name: String,
    facts: Option<ReplicaFacts>,
    stored: StoredStatus,
    read: Instant,
}

impl OtherReplica {
    fn is_silent(&self) -> bool {
        self.stored.age + self.read.elapsed() > SILENT_AFTER
    }
}

impl Replicas {
    /// The replica `name` of those that share `store`, which began now.
    pub fn new(name: &str, store: Arc<SharedStore>, secrets: &SealSecrets, metrics: Arc<Metrics>) -> Self {
        let (sealer, began) = (secrets.sealer(PURPOSE), SystemTime::now());
        Self { name: name.into(), began, store, sealer, metrics, others: ArcSwap::default() }
    }

    /// Says again and again how this replica is, until `stop`. `servers` gives those of the moment.
    pub async fn keep(self: Arc<Self>, servers: impl Fn() -> Vec<Arc<Upstream>>, stop: CancellationToken) {
        let mut moments = interval(SAID_EVERY);
        moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(moments.tick()).await.is_some() {
            self.exchange(&servers()).await;
        }
    }

    async fn exchange(&self, servers: &[Arc<Upstream>]) {
        let sealed = match self.sealer.seal_json("", &(&self.name, self.facts(servers))) {
            Ok(sealed) => sealed,
            Err(error) => return tracing::error!("the other replicas do not learn how this one is: {error}"),
        };
        // While the store is away, what was read last stays, and grows old.
        let text = format!("{sealed} {}", self.name);
        let Ok(stored) = self.store.exchange_status(&text, KEPT).await else { return };
        let before = self.others.load();
        let others: Vec<_> = stored.into_iter().map(|stored| self.read(stored)).collect();
        for other in others.iter().filter(|other| other.facts.is_none()) {
            if !before.iter().any(|before| before.stored.process == other.stored.process) {
                tracing::warn!("the replica {}: {FOREIGN}", visible(&other.name));
            }
        }
        self.others.store(Arc::new(others));
    }

    fn read(&self, stored: StoredStatus) -> OtherReplica {
        let (sealed, name) = stored.text.split_once(' ').unwrap_or_default();
        let (name, facts) = match self.sealer.open_json("", sealed) {
            Some((name, facts)) => (name, Some(facts)),
            None => (name.to_owned(), None),
        };
        OtherReplica { name, facts, stored, read: Instant::now() }
    }

    fn facts(&self, servers: &[Arc<Upstream>]) -> ReplicaFacts {
        let states = servers.iter().map(|server| (server.name(), server.state()));
        let states = states.filter(|(_, state)| !matches!(state.phase, Phase::Disabled | Phase::Retired));
        let (ready, others): (Vec<_>, Vec<_>) = states.partition(|(_, state)| state.is_ready());
        let trouble = |(name, state): &(&ServerName, UpstreamState)| ServerTrouble {
            name: name.to_string(),
            state: state.name().to_owned(),
            reason: state
                .reason()
                .map(|reason| clip(&visible(&reason.to_string()), LONGEST_REASON).to_owned()),
        };
        ReplicaFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: seconds(self.began),
            ready: ready.len(),
            servers: ready.len() + others.len(),
            calls_in_flight: self.metrics.calls_in_flight(),
            not_ready: others.iter().take(MOST_TROUBLES).map(trouble).collect(),
        }
    }

    /// All replicas by name, with the servers that `caller` may see. `servers` are those of this one.
    pub fn status(&self, servers: &[Arc<Upstream>], caller: &Caller) -> Vec<ReplicaStatus> {
        let own = ReplicaStatus {
            name: self.name.to_string(),
            own: true,
            facts: Some(self.facts(servers)),
            problem: None,
            said_at: None,
            silent: false,
        };
        let others = self.others.load();
        let speaking: HashSet<&str> = others
            .iter()
            .filter(|other| !other.is_silent())
            .map(|other| &*other.name)
            .chain([&*self.name])
            .collect();
        // One that was killed and is back under its name is another process.
        let shown = others.iter().filter(|other| !other.is_silent() || !speaking.contains(&*other.name));
        let mut all: Vec<_> = shown
            .map(|other| ReplicaStatus {
                name: visible(&other.name).into_owned(),
                own: false,
                facts: other.facts.clone(),
                problem: other.facts.is_none().then_some(FOREIGN),
                said_at: Some(other.stored.said_at.as_secs()),
                silent: other.is_silent(),
            })
            .chain([own])
            .collect();
        for facts in all.iter_mut().filter_map(|replica| replica.facts.as_mut()) {
            let may_see =
                |name: &str| ServerName::new(name).is_ok_and(|name| caller.scope.allows_server(&name));
            facts.not_ready.retain(|trouble| may_see(&trouble.name));
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}
