//! The metrics of the gateway: counters and histograms that are kept up to date, and gauges that are read at a
//! scrape.
//!
//! Names follow OpenTelemetry's conventions for MCP (`mcp.client.operation.duration`,
//! `mcp.client.session.duration`) and HTTP (`http.server.request.duration`) in Prometheus' spelling, where there are
//! any; the gateway's own metrics begin with `mcpo_`. An empty `error_type` is a success.
//!
//! # Bounds
//!
//! No label ever holds text of a caller. Servers are those of the configuration: the series of one live as long as its
//! [`ServerMetrics`] is held, so they vanish when a reload removes the server and its last call has ended. Tools are those that were called and that the server offers: at most
//! [`TOOLS_OF_A_SERVER`] names a server and [`TOOLS_OF_ALL`] in all, and `_other` for the rest. Every other label has
//! a closed set of values.
//!
//! # Cost
//!
//! A call goes through handles ([`CallMeter`], [`RequestTimer`]) that were looked up once: it takes no lock and hashes
//! nothing.

pub mod call_summary;
mod family;
pub mod http;
pub mod process;
pub mod server;
pub mod snapshot;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

pub use call_summary::CallSummary;
use family::{VALID, gauge};
pub use http::{HttpMetrics, RequestTimer};
pub use server::{CallMeter, ServerMetrics, TOOLS_OF_A_SERVER, TOOLS_OF_ALL};
pub use snapshot::{ServerSnapshot, Snapshot};

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
    /// Metrics with nothing counted yet.
    ///
    /// `dropped_lines` gives the log lines lost so far, `lost_records` the audit records.
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

    /// The metrics of requests and connections.
    pub fn http(&self) -> &Arc<HttpMetrics> {
        &self.http
    }

    /// The metrics of one server of the configuration.
    ///
    /// They are shown until the last holder drops them, so a counting part holds them for as long as the server is
    /// there.
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

    /// Calls at all servers that run or wait for their turn.
    pub fn calls_in_flight(&self) -> i64 {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.values().filter_map(Weak::upgrade).map(|server| server.calls_in_flight()).sum()
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

    /// The text of one scrape, of type [`CONTENT_TYPE`]. Takes milliseconds when there are
    /// thousands of series: not for a thread that serves calls.
    ///
    /// # Errors
    ///
    /// When two metrics contradict each other, which would be a fault of ours.
    pub fn render(&self, snapshot: &Snapshot) -> prometheus::Result<String> {
        // Made for this one scrape: series that left the snapshot leave the text.
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
        snapshot::register(&registry, snapshot)?;
        TextEncoder::new().encode_to_string(&registry.gather())
    }

    fn live_servers(&self) -> Vec<Arc<ServerMetrics>> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.values().filter_map(Weak::upgrade).collect()
    }

    fn took_over_configuration(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.last_reload_successful.set(1);
        self.last_reload_timestamp.set(now.try_into().unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests;
