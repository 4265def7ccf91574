//! The gauges of one scrape: the state at its moment.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntGaugeVec, Opts, Registry};

use super::family::{VALID, gauge};
use super::process;
use super::server::SERVER;

/// The states of a server.
const STATES: [&str; 4] = ["starting", "ready", "unavailable", "disabled"];

/// The state of the gateway at a scrape.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub servers: Vec<ServerSnapshot>,
    /// Tasks of the runtime that have not ended.
    pub runtime_tasks: usize,
    /// Whether the store that replicas share is there; `None` without one.
    pub store_is_there: Option<bool>,
}

/// One server at the moment of a scrape.
#[derive(Debug, Default)]
pub struct ServerSnapshot {
    pub name: String,
    /// `starting`, `ready`, `unavailable` or `disabled`.
    pub state: &'static str,
    /// Why it is not ready, from a closed set.
    pub error_type: Option<&'static str>,
    pub required: bool,
    /// Tools that are offered of it.
    pub tools: usize,
    /// Tools that are not as they were locked; `None` without a lock.
    pub drifted: Option<usize>,
    /// Tries that failed in a row.
    pub failures: u32,
    /// Calls that may run at one time; `None` for the gateway's own tools.
    pub concurrency: Option<usize>,
    /// Processes or sessions that serve one caller each, of an isolated server.
    pub isolated: Option<usize>,
    /// When the OAuth token that is in use ends; `None` without one.
    pub token_expires: Option<SystemTime>,
}

/// Registers the gauges of a scrape, with those of this process.
pub(super) fn register(registry: &Registry, snapshot: &Snapshot) -> prometheus::Result<()> {
    let build = by(registry, "mcpo_build_info", "Always 1; the version is in the label.", &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let tasks = gauge("mcpo_runtime_tasks", "Tasks of the runtime that have not ended.");
    tasks.set(whole(snapshot.runtime_tasks));
    registry.register(Box::new(tasks))?;
    if let Some(is_there) = snapshot.store_is_there {
        let help = "1 while the store that replicas share is there; absent without `shared`.";
        let store = gauge("mcpo_shared_store_up", help);
        store.set(is_there.into());
        registry.register(Box::new(store))?;
    }
    servers(registry, &snapshot.servers)?;
    process::register(registry)
}

/// The gauges of one server with their help; without a value there is no series.
type ServerGauge = (&'static str, &'static str, fn(&ServerSnapshot) -> Option<i64>);

const SERVER_GAUGES: [ServerGauge; 7] = [
    ("mcpo_server_required", "1 when `/ready` waits for the server.", |server| Some(server.required.into())),
    ("mcpo_server_tools", "Tools that are offered of the server.", |server| Some(whole(server.tools))),
    ("mcpo_tools_drifted", "Tools that are not as they were locked: changed, new, or gone.", |server| {
        server.drifted.map(whole)
    }),
    ("mcpo_server_failures", "Tries to start the server that failed in a row.", |server| {
        Some(server.failures.into())
    }),
    (
        "mcpo_server_concurrency_limit",
        "Calls to the server that may run at one time (`concurrency`); further ones wait.",
        |server| server.concurrency.map(whole),
    ),
    (
        "mcpo_isolated_connections",
        "Processes or sessions of an isolated server that serve one caller each.",
        |server| server.isolated.map(whole),
    ),
    (
        "mcpo_oauth_token_expiry_timestamp_seconds",
        "When the OAuth token for the server expires, in seconds since 1970; absent without a token.",
        |server| {
            let since_1970 = server.token_expires?.duration_since(UNIX_EPOCH).ok()?;
            Some(since_1970.as_secs().try_into().unwrap_or(i64::MAX))
        },
    ),
];

fn servers(registry: &Registry, servers: &[ServerSnapshot]) -> prometheus::Result<()> {
    let state = by(
        registry,
        "mcpo_server_state",
        "1 for the state that the server is in, 0 for the three others.",
        &[SERVER, "state"],
    )?;
    let reason = by(
        registry,
        "mcpo_server_unavailable_reason",
        "Always 1: what kept the server from being ready, for as long as it is not.",
        &[SERVER, "error_type"],
    )?;
    for server in servers {
        let name = server.name.as_str();
        for known in STATES {
            state.with_label_values(&[name, known]).set((server.state == known).into());
        }
        if let Some(error_type) = server.error_type {
            reason.with_label_values(&[name, error_type]).set(1);
        }
    }
    for (name, help, value) in SERVER_GAUGES {
        let gauges = by(registry, name, help, &[SERVER])?;
        for (server, value) in servers.iter().filter_map(|server| Some((server, value(server)?))) {
            gauges.with_label_values(&[&server.name]).set(value);
        }
    }
    Ok(())
}

fn by(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID);
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

fn whole(count: usize) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
