//! What is known of the configuration itself: when it was loaded, and why a later one was not.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use serde::Serialize;

use crate::catalog::Caller;
use crate::config::{self, Config, Loaded, Plan, Problem, ServerName, Sources};
use crate::upstream::Upstream;

/// The configuration's sources and its state, shared by all generations of a running gateway.
#[derive(Debug)]
pub struct Configuration {
    sources: Arc<Sources>,
    state: ArcSwap<State>,
}

#[derive(Debug, Clone)]
struct State {
    loaded_at: SystemTime,
    revision: u64,
    rejected: Option<Rejected>,
}

#[derive(Debug, Clone)]
struct Rejected {
    at: SystemTime,
    problems: Vec<String>,
}

/// Why the sources give no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailed {
    #[error("the configuration has errors")]
    Problems(Vec<Problem>),
    #[error("reading the configuration failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<Vec<Problem>> for LoadFailed {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Problems(problems)
    }
}

impl LoadFailed {
    /// A block of lines for each problem.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Problems(problems) => problems.iter().map(Problem::to_string).collect(),
            Self::Task(_) => vec![self.to_string()],
        }
    }
}

/// The state as callers may see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// When the running configuration was loaded, in seconds since 1970.
    pub loaded_at: u64,
    /// Counts the configurations that were served since the gateway was started.
    pub revision: u64,
    /// When a later one was rejected; the running one stayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_at: Option<u64>,
    /// Why it was: every problem for keys with the `admin` right, else one sentence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Configuration {
    /// The configuration of `sources`, loaded now.
    pub fn new(sources: Arc<Sources>) -> Self {
        let state = State { loaded_at: SystemTime::now(), revision: 1, rejected: None };
        Self { sources, state: ArcSwap::from_pointee(state) }
    }

    /// What the sources say now is served.
    pub fn loaded(&self) {
        let revision = self.state.load().revision + 1;
        self.set(State { loaded_at: SystemTime::now(), revision, rejected: None });
    }

    /// What the sources say now has `problems`; the running configuration stays.
    pub fn rejected(&self, problems: Vec<String>) {
        let rejected = Some(Rejected { at: SystemTime::now(), problems });
        self.set(State { rejected, ..State::clone(&self.state.load()) });
    }

    /// The state for `caller`.
    pub fn status(&self, caller: &Caller) -> ConfigurationStatus {
        let state = self.state.load();
        let problems = match &state.rejected {
            None => Vec::new(),
            Some(rejected) if caller.admin => rejected.problems.clone(),
            Some(_) => vec!["the configuration has errors; the one from before is served".to_owned()],
        };
        ConfigurationStatus {
            loaded_at: seconds(state.loaded_at),
            revision: state.revision,
            rejected_at: state.rejected.as_ref().map(|rejected| seconds(rejected.at)),
            problems,
        }
    }

    /// What the sources say now, and what a reload would do with it to a gateway that serves `running` over
    /// `upstreams`.
    ///
    /// # Errors
    ///
    /// Every problem of the sources, when there is an error among them.
    pub async fn plan(
        &self,
        running: Arc<Config>,
        upstreams: Vec<Arc<Upstream>>,
    ) -> Result<(Loaded, Plan), LoadFailed> {
        let sources = self.sources.clone();
        let planning = move || {
            let loaded = config::load(&sources)?;
            let rotated = upstreams.iter().filter(|upstream| upstream.secrets_rotated());
            let rotated: Vec<ServerName> = rotated.map(|upstream| upstream.name().clone()).collect();
            let plan = Plan::between(&running, &loaded.config, &rotated);
            Ok((loaded, plan))
        };
        // Reading files may block, and must not hold a thread that serves calls.
        tokio::task::spawn_blocking(planning).await?
    }

    fn set(&self, state: State) {
        self.state.store(Arc::new(state));
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
