//! The metrics of one server: operations, sessions and starts; and the handle that counts a tool's calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use super::call_summary::CallSummary;
use super::family::VALID;

/// Tool names of one server that get series of their own.
pub const TOOLS_OF_A_SERVER: usize = 200;
/// Tool names of all servers together that get series of their own.
pub const TOOLS_OF_ALL: usize = 2_000;

/// The boundaries that the conventions advise for `mcp.*.operation.duration`, in seconds, and three below them: a
/// call to a server on the same machine takes less than a millisecond.
const OPERATION_SECONDS: [f64; 17] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The label with the server's name, in all our metrics.
pub(super) const SERVER: &str = "mcp_server";
/// The label of tools beyond the bounds and of invalid names.
const OTHER_TOOL: &str = "_other";
/// The protocol asks for tool names of at most 128 characters; longer ones make poor labels.
const LONGEST_TOOL_NAME: usize = 128;

/// The outcomes of calls: success first, then the values of `error_type`.
pub const CALL_ENDS: [&str; 23] = [
    "ok",
    "tool_error",
    "rpc_error",
    "protocol_fault",
    "bad_arguments",
    "rate_limited",
    "concurrency_limited",
    "unavailable",
    "deadline",
    "connection_lost",
    "session_lost",
    "upstream_status",
    "result_too_large",
    "results_too_many",
    "header_mismatch",
    "unknown_state",
    "input_unavailable",
    "input_refused",
    "too_many_rounds",
    "too_many_waiting",
    "cancelled",
    "shutdown",
    "internal_error",
];
/// `error_type` of an end that is not in [`CALL_ENDS`], as the conventions have it.
const OTHER_END: &str = "_OTHER";

/// The boundaries that the conventions advise for `mcp.client.session.duration`, in seconds, and five beyond them:
/// sessions live for days.
const SESSION_SECONDS: [f64; 19] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0,
    86_400.0, 604_800.0,
];

/// The counters of one server.
#[derive(Debug)]
pub struct ServerMetrics {
    operations: HistogramVec,
    sessions: HistogramVec,
    starts: IntCounter,
    start_durations: HistogramVec,
    calls_in_flight: IntGauge,
    unvalidated: IntCounterVec,
    tools: Mutex<HashMap<Box<str>, Arc<ToolSeries>>>,
    named_tools: Arc<AtomicUsize>,
}

/// Counts the calls of one tool. Looked up once per tool; using it takes no lock.
#[derive(Debug)]
pub struct CallMeter {
    /// Held, so that the series are shown for as long as the tool can be called.
    server: Arc<ServerMetrics>,
    series: Arc<ToolSeries>,
}

/// One histogram for each way to end that was seen; the last is for the unexpected.
#[derive(Debug)]
struct ToolSeries {
    label: Box<str>,
    ends: [OnceLock<Histogram>; CALL_ENDS.len() + 1],
}

impl ServerMetrics {
    pub(super) fn new(server: &str, named_tools: Arc<AtomicUsize>) -> Self {
        let of_server = |name: &str, help: &str| Opts::new(name, help).const_label(SERVER, server);
        let durations = |name: &str, help: &str, bounds: &[f64], labels: &[&str]| {
            let options = HistogramOpts::from(of_server(name, help)).buckets(bounds.to_vec());
            HistogramVec::new(options, labels).expect(VALID)
        };
        let starts = of_server("mcpo_server_starts_total", "Tries to start a server or to connect to it.");
        let in_flight =
            of_server("mcpo_calls_in_flight", "Calls that run or wait for their turn (concurrency limit).");
        let unvalidated = of_server(
            "mcpo_tools_unvalidated_total",
            "Tools whose calls were passed on without local validation, since it would take too much; counted once \
             for each tool, list and limit.",
        );
        Self {
            operations: durations(
                "mcp_client_operation_duration_seconds",
                "Time from a request to a server until its answer. A call counts from its arguments on, however \
                 it ends; `error_type` is empty when it ended well.",
                &OPERATION_SECONDS,
                &["mcp_method_name", "gen_ai_tool_name", "error_type"],
            ),
            sessions: durations(
                "mcp_client_session_duration_seconds",
                "How long connections to a server were ready; `error_type` is empty when the gateway ended them.",
                &SESSION_SECONDS,
                &["error_type"],
            ),
            starts: IntCounter::with_opts(starts).expect(VALID),
            start_durations: durations(
                "mcpo_server_start_duration_seconds",
                "Time from a try to start a server until its tools were known, or until the try had failed.",
                &OPERATION_SECONDS,
                &["error_type"],
            ),
            calls_in_flight: IntGauge::with_opts(in_flight).expect(VALID),
            unvalidated: IntCounterVec::new(unvalidated, &["limit"]).expect(VALID),
            tools: Mutex::default(),
            named_tools,
        }
    }

    /// Calls that run or wait for their turn.
    pub fn calls_in_flight(&self) -> i64 {
        self.calls_in_flight.get()
    }

    /// Counts a request of the gateway's own (`initialize`, `tools/list`). `error_type` is empty for a success.
    pub fn operation(&self, method: &'static str, error_type: &'static str, took: Duration) {
        self.operations.with_label_values(&[method, "", error_type]).observe(took.as_secs_f64());
    }

    /// Counts a try to start that begins.
    pub fn start_began(&self) {
        self.starts.inc();
    }

    /// Counts a try to start that has ended.
    pub fn start_ended(&self, error_type: &'static str, took: Duration) {
        self.start_durations.with_label_values(&[error_type]).observe(took.as_secs_f64());
    }

    /// Counts a tool that is called without local validation. `limit` is one of the gateway's own stable codes.
    pub fn passed_on_unvalidated(&self, limit: &'static str) {
        self.unvalidated.with_label_values(&[limit]).inc();
    }

    /// Counts a connection that was ready for so long.
    pub fn session_ended(&self, error_type: &'static str, lived: Duration) {
        self.sessions.with_label_values(&[error_type]).observe(lived.as_secs_f64());
    }

    /// The handle for the calls of `tool`, which must be a tool of the catalog. Takes a lock.
    pub fn tool(self: &Arc<Self>, tool: &str) -> CallMeter {
        let mut tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let label = match tools.contains_key(tool) || self.may_name(tool, tools.len()) {
            true => tool,
            false => OTHER_TOOL,
        };
        let series = tools.entry(label.into()).or_insert_with(|| {
            Arc::new(ToolSeries {
                label: label.into(),
                ends: [const { OnceLock::new() }; CALL_ENDS.len() + 1],
            })
        });
        CallMeter { server: self.clone(), series: series.clone() }
    }

    /// The summary of the calls of the tools that `counts` selects. Takes a lock.
    pub fn call_summary(&self, counts: impl Fn(&str) -> bool) -> CallSummary {
        let tools = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = tools.iter().filter(|(label, _)| counts(label)).map(|(_, series)| series);
        CallSummary::of(counted.flat_map(|series| {
            let ends = series.ends.iter().enumerate();
            ends.filter_map(|(place, end)| {
                Some((CALL_ENDS.get(place).copied().unwrap_or(OTHER_END), end.get()?))
            })
        }))
    }

    /// Whether a further name may become a label; takes its place when it may.
    fn may_name(&self, tool: &str, known: usize) -> bool {
        let fits =
            known < TOOLS_OF_A_SERVER && (1..=LONGEST_TOOL_NAME).contains(&tool.len()) && tool != OTHER_TOOL;
        let one_more = |count| (count < TOOLS_OF_ALL).then_some(count + 1);
        fits && self.named_tools.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.operations.clone()))?;
        registry.register(Box::new(self.sessions.clone()))?;
        registry.register(Box::new(self.starts.clone()))?;
        registry.register(Box::new(self.unvalidated.clone()))?;
        registry.register(Box::new(self.start_durations.clone()))?;
        registry.register(Box::new(self.calls_in_flight.clone()))
    }
}

impl Drop for ServerMetrics {
    fn drop(&mut self) {
        let tools = self.tools.get_mut().unwrap_or_else(PoisonError::into_inner);
        tools.remove(OTHER_TOOL);
        self.named_tools.fetch_sub(tools.len(), Ordering::Relaxed);
    }
}

impl CallMeter {
    /// A call begins; [`CallMeter::ended`] must follow.
    pub fn began(&self) {
        self.server.calls_in_flight.inc();
    }

    /// The call has ended; `end` is one of [`CALL_ENDS`].
    pub fn ended(&self, end: &'static str, took: Duration) {
        self.server.calls_in_flight.dec();
        let known = CALL_ENDS.iter().position(|known| *known == end);
        let place = known.unwrap_or(CALL_ENDS.len());
        let series = self.series.ends[place].get_or_init(|| {
            let error_type = match place {
                0 => "",
                _ => CALL_ENDS.get(place).copied().unwrap_or(OTHER_END),
            };
            self.server.operations.with_label_values(&["tools/call", &*self.series.label, error_type])
        });
        series.observe(took.as_secs_f64());
    }
}
