//! The text of one scrape: what was counted, and what is so at this moment.

use std::sync::{PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::server::SERVER;
use super::{Metrics, VALID, process};

/// The states of a server.
const STATES: [&str; 4] = ["starting", "ready", "unavailable", "disabled"];

/// What is so at the moment of a scrape.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub servers: Vec<ServerSnapshot>,
    /// Tasks of the runtime that have not ended.
    pub runtime_tasks: usize,
}

/// One server at the moment of a scrape.
#[derive(Debug)]
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
    /// When the OAuth token that is in use ends; `None` without one.
    pub token_expires: Option<SystemTime>,
}

impl Metrics {
    /// The text of one scrape, of type [`CONTENT_TYPE`](super::CONTENT_TYPE). Takes milliseconds when there are
    /// thousands of series: not for a thread that serves calls.
    ///
    /// # Errors
    ///
    /// When two metrics contradict each other, which would be a fault of ours.
    pub fn render(&self, snapshot: &Snapshot) -> prometheus::Result<String> {
        // Made for this one scrape: so what is gone from the snapshot is gone from the text.
        let registry = Registry::new();
        self.http.register(&registry)?;
        for server in self.live_servers() {
            server.register(&registry)?;
        }
        registry.register(Box::new(self.reloads.clone()))?;
        registry.register(Box::new(self.last_reload_successful.clone()))?;
        registry.register(Box::new(self.last_reload_timestamp.clone()))?;
        if let Some(expires) = self.certificate_expires.get() {
            registry.register(Box::new(expires.clone()))?;
        }
        let losses = [
            (
                "mcpo_log_lines_dropped_total",
                "Lines of the log that were lost because they came faster than they could be written.",
                self.dropped_lines,
            ),
            (
                "mcpo_audit_records_lost_total",
                "Records of the audit trail that its queue or its disk did not take.",
                self.lost_records,
            ),
        ];
        for (name, help, lost) in losses {
            let counter = IntCounter::new(name, help).expect(VALID);
            counter.inc_by(lost());
            registry.register(Box::new(counter))?;
        }
        let build = by(&registry, "mcpo_build_info", "Always 1; the version is in the label.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let tasks =
            IntGauge::new("mcpo_runtime_tasks", "Tasks of the runtime that have not ended.").expect(VALID);
        tasks.set(whole(snapshot.runtime_tasks));
        registry.register(Box::new(tasks))?;
        servers(&registry, &snapshot.servers)?;
        process::register(&registry)?;
        TextEncoder::new().encode_to_string(&registry.gather())
    }

    fn live_servers(&self) -> Vec<std::sync::Arc<super::ServerMetrics>> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.values().filter_map(Weak::upgrade).collect()
    }
}

fn servers(registry: &Registry, servers: &[ServerSnapshot]) -> prometheus::Result<()> {
    let of_server = |name, help| by(registry, name, help, &[SERVER]);
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
    let required = of_server("mcpo_server_required", "1 when `/ready` waits for the server.")?;
    let tools = of_server("mcpo_server_tools", "Tools that are offered of the server.")?;
    let drifted =
        of_server("mcpo_tools_drifted", "Tools that are not as they were locked: changed, new, or gone.")?;
    let failures = of_server("mcpo_server_failures", "Tries to start the server that failed in a row.")?;
    let limit = of_server(
        "mcpo_server_concurrency_limit",
        "Calls to the server that may run at one time (`concurrency`); further ones wait.",
    )?;
    let token = of_server(
        "mcpo_oauth_token_expiry_timestamp_seconds",
        "When the OAuth token for the server expires, in seconds since 1970; absent without a token.",
    )?;
    for server in servers {
        let name = server.name.as_str();
        for known in STATES {
            state.with_label_values(&[name, known]).set(i64::from(server.state == known));
        }
        if let Some(error_type) = server.error_type {
            reason.with_label_values(&[name, error_type]).set(1);
        }
        required.with_label_values(&[name]).set(i64::from(server.required));
        tools.with_label_values(&[name]).set(whole(server.tools));
        if let Some(count) = server.drifted {
            drifted.with_label_values(&[name]).set(whole(count));
        }
        failures.with_label_values(&[name]).set(i64::from(server.failures));
        if let Some(concurrency) = server.concurrency {
            limit.with_label_values(&[name]).set(whole(concurrency));
        }
        if let Some(since_1970) = server.token_expires.and_then(|at| at.duration_since(UNIX_EPOCH).ok()) {
            token.with_label_values(&[name]).set(since_1970.as_secs().try_into().unwrap_or(i64::MAX));
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
