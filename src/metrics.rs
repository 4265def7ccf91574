//! What Prometheus may know of the gateway: counters and histograms that others keep up, and gauges that are read
//! at the moment of a scrape.
//!
//! Names follow OpenTelemetry's conventions for MCP (`mcp.client.operation.duration`,
//! `mcp.client.session.duration`) and HTTP (`http.server.request.duration`) in Prometheus' spelling, where there are
//! any; what is ours begins with `mcpo_`. An empty `error_type` is a success.
//!
//! # Bounds
//!
//! No label ever holds what a caller sent. Servers are those of the configuration: the series of one live for as
//! long as somebody holds its [`ServerMetrics`], so they vanish by themselves when a reload removes the server and
//! its last call has ended. Tools are those that were called and that the server offers: at most
//! [`TOOLS_OF_A_SERVER`] names a server and [`TOOLS_OF_ALL`] in all, and `_other` for the rest. Every other label has
//! a closed set of values.
//!
//! # Cost
//!
//! A call goes through handles ([`CallMeter`], [`RequestTimer`]) that were looked up once: it takes no lock and hashes
//! nothing.

pub mod http;
pub mod process;
pub mod render;
pub mod server;
pub mod tally;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{HistogramOpts, IntCounterVec, IntGauge, Opts};

pub use http::{HttpMetrics, RequestTimer};
pub use render::{ServerSnapshot, Snapshot};
pub use server::{CallMeter, ServerMetrics};
pub use tally::Tally;

/// Tool names of one server that get series of their own.
pub const TOOLS_OF_A_SERVER: usize = 200;
/// Tool names of all servers together that get series of their own.
pub const TOOLS_OF_ALL: usize = 2_000;

/// The media type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of one gateway; made once and handed down. Tests make their own.
#[derive(Debug)]
pub struct Metrics {
    http: Arc<HttpMetrics>,
    servers: Mutex<HashMap<Box<str>, Weak<ServerMetrics>>>,
    /// How many tool names have series of their own.
    named_tools: Arc<AtomicUsize>,
    reloads: IntCounterVec,
    last_reload_successful: IntGauge,
    last_reload_timestamp: IntGauge,
    /// Set once there is a certificate.
    certificate_expires: OnceLock<IntGauge>,
    dropped_lines: fn() -> u64,
    lost_records: fn() -> u64,
}

impl Metrics {
    /// `dropped_lines` tells how many lines the log has lost so far, `lost_records` how many the audit trail.
    pub fn new(dropped_lines: fn() -> u64, lost_records: fn() -> u64) -> Self {
        let reloads = IntCounterVec::new(
            Opts::new(
                "mcpo_config_reloads_total",
                "Reloads of the configuration since the start, by outcome.",
            ),
            &["outcome"],
        );
        let metrics = Self {
            http: Arc::default(),
            servers: Mutex::default(),
            named_tools: Arc::default(),
            reloads: reloads.expect(VALID),
            last_reload_successful: gauge(
                "mcpo_config_last_reload_successful",
                "Whether the newest configuration is the one that runs (1), or was refused (0).",
            ),
            last_reload_timestamp: gauge(
                "mcpo_config_last_reload_success_timestamp_seconds",
                "When the configuration that runs was taken over, in seconds since 1970.",
            ),
            certificate_expires: OnceLock::new(),
            dropped_lines,
            lost_records,
        };
        for outcome in ["success", "failure"] {
            metrics.reloads.with_label_values(&[outcome]);
        }
        metrics.took_over_configuration();
        metrics
    }

    /// What is counted of requests and connections.
    pub fn http(&self) -> &Arc<HttpMetrics> {
        &self.http
    }

    /// The metrics of one server of the configuration. They are shown until the last holder lets go of them, so
    /// whoever counts for a server holds them for as long as the server is there.
    pub fn server(&self, name: &str) -> Arc<ServerMetrics> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = servers.get(name).and_then(Weak::upgrade) {
            return known;
        }
        servers.retain(|_, server| server.strong_count() > 0);
        let server = Arc::new(ServerMetrics::new(name, self.named_tools.clone()));
        servers.insert(name.into(), Arc::downgrade(&server));
        server
    }

    /// Counts a reload: `ok` when its configuration was taken over.
    pub fn reloaded(&self, ok: bool) {
        self.reloads.with_label_values(&[if ok { "success" } else { "failure" }]).inc();
        if ok { self.took_over_configuration() } else { self.last_reload_successful.set(0) }
    }

    /// From now on a certificate is served that expires so long after 1970.
    pub fn serves_certificate(&self, expires: Duration) {
        let gauge = self.certificate_expires.get_or_init(|| {
            gauge(
                "mcpo_tls_certificate_expiry_timestamp_seconds",
                "When the TLS certificate that is served expires, in seconds since 1970; absent without TLS.",
            )
        });
        gauge.set(expires.as_secs().try_into().unwrap_or(i64::MAX));
    }

    fn took_over_configuration(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.last_reload_successful.set(1);
        self.last_reload_timestamp.set(now.try_into().unwrap_or(i64::MAX));
    }
}

/// Why making a metric of ours cannot fail.
const VALID: &str = "the names of metrics and labels are constants that Prometheus allows";

/// The boundaries that the conventions advise for `mcp.*.operation.duration`, in seconds, and three below them: a
/// call to a server on the same machine takes less than a millisecond.
const OPERATION_SECONDS: [f64; 17] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect(VALID)
}

fn histogram(name: &str, help: &str, bounds: &[f64]) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(bounds.to_vec())
}

#[cfg(test)]
mod tests;
