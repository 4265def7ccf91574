//! The metrics of the port: requests with their route and status, refusals, and open connections.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use super::family::{VALID, gauge};

/// The boundaries that the conventions advise for `http.server.request.duration`, in seconds, and two below them.
const REQUEST_SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Methods with a label of their own; any other is `_OTHER`, as the conventions have it.
const METHODS: [&str; 4] = ["POST", "GET", "HEAD", "OPTIONS"];

/// The route of calls.
pub const CALL_ROUTE: &str = "/{server}/{tool}";
/// The routes of MCP: for all servers, and for one.
pub const MCP_ROUTES: [&str; 2] = ["/mcp", "/{server}/mcp"];
/// Routes whose series are looked up once.
const FREQUENT_ROUTES: [&str; 3] = [CALL_ROUTE, MCP_ROUTES[0], MCP_ROUTES[1]];
/// The statuses that calls end with; others are looked up each time.
const CALL_STATUSES: [u16; 11] = [200, 422, 500, 502, 503, 504, 401, 403, 404, 413, 429];

/// The counters of the port.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: HistogramVec,
    calls: [[OnceLock<Histogram>; CALL_STATUSES.len()]; FREQUENT_ROUTES.len()],
    refusals: IntCounterVec,
    connections: IntGauge,
    connection_limit: IntGauge,
}

/// Measures one request. Dropped without a status, it counts the request with status 500 after a panic of the handler,
/// else without a status: the caller has left.
#[derive(Debug)]
pub struct RequestTimer<'a> {
    metrics: &'a HttpMetrics,
    method: &'static str,
    route: &'a str,
    began: Instant,
    answered: bool,
}

/// An open connection, for as long as the value lives.
#[derive(Debug)]
pub struct OpenConnection(IntGauge);

impl Default for HttpMetrics {
    fn default() -> Self {
        let requests = HistogramOpts::new(
            "http_server_request_duration_seconds",
            "Time from a request's head until its answer's head. An empty route is a path that leads nowhere, an \
             empty status a caller that left before.",
        )
        .buckets(REQUEST_SECONDS.to_vec());
        let refusals = Opts::new(
            "mcpo_refusals_total",
            "Requests that were refused (401, 403, 408, 413, 421), by the code in their `x-mcpo-error`, and calls over a \
             limit of their key or server (429), on every surface.",
        );
        Self {
            requests: HistogramVec::new(
                requests,
                &["http_request_method", "http_route", "http_response_status_code"],
            )
            .expect(VALID),
            calls: Default::default(),
            refusals: IntCounterVec::new(refusals, &["code"]).expect(VALID),
            connections: gauge("mcpo_connections_open", "Connections of callers that are open."),
            connection_limit: gauge(
                "mcpo_connections_limit",
                "Connections that may be open at one time (`limits.connections`); further ones wait.",
            ),
        }
    }
}

impl HttpMetrics {
    /// Begins to measure a request. `route` is a template, never the path itself, and empty without one.
    pub fn request<'a>(&'a self, method: &str, route: &'a str) -> RequestTimer<'a> {
        let method = METHODS.iter().copied().find(|known| *known == method).unwrap_or("_OTHER");
        RequestTimer { metrics: self, method, route, began: Instant::now(), answered: false }
    }

    /// Counts a refusal. `code` is one of the gateway's own stable codes.
    pub fn refused(&self, code: &str) {
        self.refusals.with_label_values(&[code]).inc();
    }

    /// Counts a connection until the value is dropped.
    pub fn connection(&self) -> OpenConnection {
        self.connections.inc();
        OpenConnection(self.connections.clone())
    }

    /// How many connections may be open at one time.
    pub fn limit_connections(&self, limit: usize) {
        self.connection_limit.set(limit.try_into().unwrap_or(i64::MAX));
    }

    fn observe(&self, method: &'static str, route: &str, status: Option<u16>, took: Duration) {
        let seconds = took.as_secs_f64();
        let is_call = method == METHODS[0];
        let calls = FREQUENT_ROUTES.iter().zip(&self.calls).find(|(known, _)| is_call && **known == route);
        let place = CALL_STATUSES.iter().position(|known| Some(*known) == status);
        let frequent = calls.and_then(|(_, calls)| calls.get(place?));
        let series = |status: Option<u16>| {
            let status = status.map(|status| status.to_string()).unwrap_or_default();
            self.requests.with_label_values(&[method, route, status.as_str()])
        };
        match frequent {
            Some(known) => known.get_or_init(|| series(status)).observe(seconds),
            None => series(status).observe(seconds),
        }
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.refusals.clone()))?;
        registry.register(Box::new(self.connections.clone()))?;
        registry.register(Box::new(self.connection_limit.clone()))
    }
}

impl RequestTimer<'_> {
    /// The request was answered with `status`.
    pub fn answered(mut self, status: u16) {
        self.answered = true;
        self.metrics.observe(self.method, self.route, Some(status), self.began.elapsed());
    }
}

impl Drop for RequestTimer<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let status = std::thread::panicking().then_some(500);
            self.metrics.observe(self.method, self.route, status, self.began.elapsed());
        }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}
