//! The state of the configuration itself: when it was loaded, and why a later one was rejected.

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use crate::catalog::Caller;
use crate::config::{self, Config, ConfigProblem, Loaded, Plan, ServerName, Sources};
use crate::file::{self, ApartError};
use crate::unix_time;
use crate::upstream::Upstream;

/// Servers whose secrets are looked at together at a reload.
const SECRETS_AT_ONCE: usize = 32;

/// The configuration's sources and its state, shared by all generations of a running gateway.
#[derive(Debug)]
pub struct Configuration {
    sources: Arc<Sources>,
    /// The state as keys with the `admin` right see it.
    state: ArcSwap<ConfigurationStatus>,
}

/// Why the sources give no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailed {
    #[error("the configuration has errors")]
    Problems(Vec<ConfigProblem>),
    #[error("the configuration cannot be read: {0}")]
    Apart(#[from] ApartError),
}

impl LoadFailed {
    /// A block of lines for each problem.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Problems(problems) => problems.iter().map(ConfigProblem::to_string).collect(),
            Self::Apart(_) => vec![self.to_string()],
        }
    }
}

/// The state as callers may see it.
#[derive(Debug, Clone, Serialize)]
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
        Self { sources, state: ArcSwap::from_pointee(ConfigurationStatus::loaded(1)) }
    }

    /// The configuration of the sources is served from now on.
    pub fn loaded(&self) {
        self.state.store(Arc::new(ConfigurationStatus::loaded(self.state.load().revision + 1)));
    }

    /// The configuration of the sources has `problems`; the running one stays.
    pub fn rejected(&self, problems: Vec<String>) {
        let running = ConfigurationStatus::clone(&self.state.load());
        let rejected_at = Some(unix_time::now());
        self.state.store(Arc::new(ConfigurationStatus { rejected_at, problems, ..running }));
    }

    /// The state for `caller`.
    pub fn status(&self, caller: &Caller) -> ConfigurationStatus {
        let mut status = ConfigurationStatus::clone(&self.state.load());
        if status.rejected_at.is_some() && !caller.admin {
            status.problems = vec!["the configuration has errors; the one from before is served".to_owned()];
        }
        status
    }

    /// The configuration of the sources now, and the changes of a reload.
    ///
    /// The gateway serves `running` over `upstreams`.
    ///
    /// # Errors
    ///
    /// Every problem of the sources, when there is an error among them.
    pub async fn plan(
        &self,
        running: Arc<Config>,
        upstreams: Vec<Arc<Upstream>>,
    ) -> Result<(Loaded, Plan), LoadFailed> {
        let loaded = load(self.sources.clone()).await?;
        let plan = Plan::between(&running, &loaded.config, &rotated(upstreams).await);
        Ok((loaded, plan))
    }
}

impl ConfigurationStatus {
    /// The state of the configuration `revision`, loaded now.
    fn loaded(revision: u64) -> Self {
        Self { loaded_at: unix_time::now(), revision, rejected_at: None, problems: Vec::new() }
    }
}

/// Reads and checks `sources`, apart from the threads that serve calls.
///
/// # Errors
///
/// Every problem of the sources, when there is an error among them.
pub async fn load(sources: Arc<Sources>) -> Result<Loaded, LoadFailed> {
    file::apart(move || config::load(&sources)).await?.map_err(LoadFailed::Problems)
}

/// The servers whose secrets have other values now.
async fn rotated(upstreams: Vec<Arc<Upstream>>) -> Vec<ServerName> {
    let looking = upstreams.into_iter().map(|upstream| async move {
        let rotated = upstream.secrets_rotated().await;
        rotated.then(|| upstream.name().clone())
    });
    // Files that do not answer are waited for side by side.
    let found = stream::iter(looking).buffered(SECRETS_AT_ONCE);
    found.filter_map(std::future::ready).collect().await
}
