//! The status of servers, for people and programs alike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::Guard;
use serde::{Deserialize, Serialize};

use super::replicas::ReplicaStatus;
use super::state::Gateway;
use crate::catalog::drift::Drift;
use crate::catalog::{Caller, CatalogServer, CatalogTool, ServerSource};
use crate::config::lock::ServerLock;
use crate::config::{CallerIsolation, TransportConfig};
use crate::metrics::CallSummary;
use crate::shared_store::StoreStatus;
use crate::telemetry::text::visible;
use crate::unix_time::seconds;
use crate::upstream::oauth::users::user_of;
use crate::upstream::{CallerHolding, Phase, UpstreamState};

/// How long a new snapshot is waited for.
const SNAPSHOT: Duration = Duration::from_secs(1);

/// One server, as far as the caller may see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    pub name: String,
    /// `starting`, `ready`, `unavailable` or `disabled`.
    pub state: &'static str,
    /// Why the server is not ready. In full for keys with the `admin` right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The link to sign in to the server, while it waits for that.
    ///
    /// For keys with the `admin` right, and for each caller where each has a sign-in of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<String>,
    /// Whether each caller has a sign-in of its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own_sign_in: bool,
    /// When the state began, in seconds since 1970.
    ///
    /// Tries do not change it while the server is down.
    pub since: u64,
    /// Seconds until the next try, while unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_retry_seconds: Option<u64>,
    /// The same as a moment, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_retry_at: Option<u64>,
    /// Tries that failed in a row.
    pub failures: u32,
    /// `stdio`, `streamable-http`, `sse`, `socket` or `gateway`.
    pub transport: &'static str,
    /// Where the server is, for keys with the `admin` right: its command or address, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    pub required: bool,
    /// `serverInfo.version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The protocol revision agreed on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Exposed names of the tools that the caller may call.
    pub tools: Vec<String>,
    /// The summary of all calls of these tools, of every caller.
    pub calls: CallSummary,
    /// Which callers share a process or session of the server; left out where all do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<CallerIsolation>,
    /// Processes or sessions of an isolated server that serve one caller each, now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolated: Option<usize>,
    /// The callers that have them, for keys with the `admin` right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<HolderStatus>,
    /// Tools that are not as they were locked, for keys with the `admin` right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<DriftStatus>,
}

/// A caller of an isolated server.
#[derive(Debug, Serialize)]
pub struct HolderStatus {
    /// What `${caller}` stands for.
    pub caller: String,
    /// The name of its API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its processes or sessions.
    pub connections: usize,
}

/// The store that replicas share.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedStatus {
    /// `ready` or `unavailable`.
    pub state: &'static str,
    /// Why it is away, for keys with the `admin` right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the state began, in seconds since 1970.
    pub since: u64,
    /// The replicas that share it, for keys with the `admin` right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaStatus>,
}

/// The tools that can be locked.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct LockStatus {
    pub servers: BTreeMap<String, ServerLock>,
    /// The state of the servers without known tools, with its reason.
    pub missing: BTreeMap<String, String>,
}

/// A tool that is not as it was locked.
#[derive(Debug, Serialize)]
pub struct DriftStatus {
    #[serde(flatten)]
    pub drift: Drift,
    /// It is neither listed nor called.
    pub quarantined: bool,
}

impl Gateway {
    /// The servers that `caller` may see, in the order of the configuration. A server that is ready is shown
    /// with its tools: the snapshot that holds them is waited for, which takes milliseconds.
    pub async fn servers(&self, caller: &Caller) -> Vec<ServerStatus> {
        self.built().await;
        let catalog = self.catalog_builder().catalog();
        let visible = catalog.servers.iter().filter(|server| caller.scope.allows_server(&server.name));
        visible.map(|server| status(server, caller, self.call_summary(server, caller))).collect()
    }

    /// The state of the store that replicas share, if there is one.
    pub fn shared_status(&self, caller: &Caller) -> Option<SharedStatus> {
        let StoreStatus { since, reason } = self.lasting.store.as_ref()?.status();
        let state = if reason.is_none() { "ready" } else { "unavailable" };
        let reason = reason.filter(|_| caller.admin).map(|reason| visible(&reason).into_owned());
        let replicas = self.lasting.replicas.as_ref().filter(|_| caller.admin);
        let replicas = replicas
            .map(|replicas| replicas.status(self.catalog_builder().upstreams(), caller))
            .unwrap_or_default();
        Some(SharedStatus { state, reason, since: seconds(since), replicas })
    }

    /// The name of this replica, for keys with the `admin` right.
    pub fn replica_name(&self, caller: &Caller) -> Option<&str> {
        Some(&*self.lasting.replica.name).filter(|name| caller.admin && !name.is_empty())
    }

    /// The lockable definitions of ready servers, and why others have none: for `admin` keys.
    pub async fn tools_lock(&self) -> LockStatus {
        self.built().await;
        let catalog = self.catalog_builder().catalog();
        let mut status = LockStatus::default();
        for server in &catalog.servers {
            let Some(upstream) = server.upstream() else { continue };
            let state = upstream.state();
            let name = server.name.to_string();
            if state.is_ready() {
                status.servers.insert(name, server.lock());
            } else {
                let reason = state.reason().map(|reason| format!(": {}", reason.without_words()));
                status.missing.insert(name, format!("{}{}", state.name(), reason.unwrap_or_default()));
            }
        }
        status
    }

    /// Waits until the snapshot holds the tools of the servers that are ready, also of those that get ready meanwhile.
    async fn built(&self) {
        let catalog_builder = self.catalog_builder();
        let building = async {
            while let Some((name, revision)) = catalog_builder.upstreams().iter().find_map(|upstream| {
                let list = upstream.tools()?;
                let catalog = catalog_builder.catalog();
                let shown = catalog.server(upstream.name().as_str())?.revision;
                (shown < list.revision).then(|| (upstream.name(), list.revision))
            }) {
                catalog_builder.wait_for(name, revision).await;
            }
        };
        let _shown_without_its_tools = tokio::time::timeout(SNAPSHOT, building).await;
    }

    /// The summary of calls of the tools that `caller` may see.
    fn call_summary(&self, server: &CatalogServer, caller: &Caller) -> CallSummary {
        let sees_all = !caller.scope.read_only && !caller.scope.chooses_tools();
        self.metrics().server(server.name.as_str()).call_summary(|label| {
            let own = |tool: &&Arc<CatalogTool>| *tool.name == *label;
            let tool = || server.tools.iter().find(own);
            sees_all || tool().is_some_and(|tool| caller.scope.allows(server, tool))
        })
    }

    /// Whether every server marked `required` is ready, and no end is announced.
    pub fn is_ready(&self) -> bool {
        let mut required =
            self.catalog_builder().upstreams().iter().filter(|upstream| upstream.config().required);
        !self.lasting.leaving.is_cancelled() && required.all(|upstream| upstream.state().is_ready())
    }
}

fn status(server: &CatalogServer, caller: &Caller, calls: CallSummary) -> ServerStatus {
    let (state, entry) = match &server.source {
        ServerSource::Upstream(upstream) => (upstream.state(), Some(Guard::into_inner(upstream.config()))),
        ServerSource::Gateway => (UpstreamState::new(Phase::Ready, 0), None),
    };
    let transport = entry.as_ref().map(|entry| &entry.transport);
    let reason = match (&state.phase, state.reason()) {
        (_, Some(reason)) if caller.admin => Some(visible(&reason.to_string()).into_owned()),
        (_, Some(reason)) => Some(visible(&reason.public()).into_owned()),
        (Phase::Disabled, None) => Some("the configuration says `disabled`".to_owned()),
        (_, None) => None,
    };
    let next_retry = match state.phase {
        Phase::Unavailable { retry_at, .. } => Some(retry_at.saturating_duration_since(Instant::now())),
        _ => None,
    };
    let upstream = server.upstream();
    let users = upstream.and_then(|upstream| upstream.users());
    let sign_in = match users {
        Some(users) => users.sign_in_link(&user_of(&caller.principal)),
        None => upstream
            .and_then(|upstream| upstream.authorizer())
            .filter(|_| caller.admin)
            .and_then(|authorizer| authorizer.sign_in_link()),
    };
    let tools = server.tools.iter().filter(|tool| caller.scope.allows(server, tool));
    let isolation = entry.as_ref().map(|entry| entry.isolation).filter(|isolation| isolation.is_on());
    let holdings = upstream.map(|upstream| upstream.holders()).unwrap_or_default();
    ServerStatus {
        name: server.name.to_string(),
        state: state.name(),
        reason,
        sign_in,
        own_sign_in: users.is_some(),
        since: seconds(state.since),
        next_retry_seconds: next_retry.map(|wait| wait.as_secs()),
        next_retry_at: next_retry.map(|wait| seconds(SystemTime::now() + wait)),
        failures: state.failures,
        transport: match upstream.and_then(|upstream| upstream.http_transport()) {
            Some(found) if matches!(transport, Some(TransportConfig::Http(_))) => found.name(),
            _ => transport.map_or("gateway", TransportConfig::name),
        },
        location: transport
            .filter(|_| caller.admin)
            .and_then(|transport| location_of(transport, upstream.map_or(0, |one| one.address_in_use()))),
        required: entry.as_ref().is_some_and(|entry| entry.required),
        version: server
            .info
            .as_ref()
            .map(|info| visible(&info.version).into_owned())
            .filter(|text| !text.is_empty()),
        protocol: server.info.as_ref().map(|info| info.protocol.clone()).filter(|text| !text.is_empty()),
        tools: tools.map(|tool| tool.exposed_name.to_string()).collect(),
        calls,
        isolation,
        isolated: isolation.map(|_| holdings.iter().map(|holding| holding.connections).sum()),
        holders: match isolation.filter(|_| caller.admin) {
            Some(isolation) => holdings.iter().map(|holding| holder(holding, isolation)).collect(),
            None => Vec::new(),
        },
        drift: if caller.admin { drift_of(server) } else { Vec::new() },
    }
}

fn holder(holding: &CallerHolding, isolation: CallerIsolation) -> HolderStatus {
    let CallerHolding { caller, principal, connections } = holding;
    let key = principal.key_name().map(str::to_owned);
    // Where keys are kept apart, the user is one of those that share it.
    let is_of_key = isolation == CallerIsolation::Key && key.is_some();
    let user = principal.user().filter(|_| !is_of_key).map(str::to_owned);
    HolderStatus { caller: caller.to_string(), key, user, connections: *connections }
}

fn drift_of(server: &CatalogServer) -> Vec<DriftStatus> {
    let is_quarantined = |drift: &Drift| server.quarantined.iter().any(|tool| *tool.name == *drift.tool);
    let drift = server.drift.iter();
    drift.map(|drift| DriftStatus { drift: drift.clone(), quarantined: is_quarantined(drift) }).collect()
}

/// The command without its arguments, or scheme, host and port of the address in use: arguments, paths and queries can
/// hold secrets.
fn location_of(transport: &TransportConfig, address: usize) -> Option<String> {
    match transport {
        TransportConfig::Stdio(config) => Some(config.command.clone()),
        TransportConfig::Socket(config) => Some(config.path.display().to_string()),
        TransportConfig::StreamableHttp(config)
        | TransportConfig::Sse(config)
        | TransportConfig::Http(config) => {
            let url = url::Url::parse(config.urls().nth(address)?.as_literal()?).ok()?;
            Some(url.origin().ascii_serialization())
        }
        TransportConfig::Gateway => None,
    }
}
