//! One line and one count of each call, whatever its end: who called what, for how long, and how it ended.

use std::fmt;
use std::time::Instant;

use super::{CallContext, CallError, FindError, Gateway, Target};
use crate::trace::{Host, TraceContext};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// The tool said `isError`.
    ToolError,
    /// The server answered with a JSON-RPC error.
    RpcError,
    /// The result cannot be shown in the form that the caller wants.
    Unrenderable,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
            Self::Unrenderable => "protocol_fault",
        }
    }
}

/// A call under way. When it is dropped without an end, the caller has left.
#[derive(Debug)]
pub struct CallRecord {
    target: Target,
    context: CallContext,
    began: Instant,
    ended: bool,
}

impl CallRecord {
    pub fn new(gateway: &Gateway, context: &CallContext, target: &Target) -> Self {
        gateway.meter(target).began();
        Self { target: target.clone(), context: context.clone(), began: Instant::now(), ended: false }
    }

    /// The call was answered.
    pub fn answered(mut self, outcome: Outcome) {
        self.write(outcome.name(), "");
    }

    /// The call failed.
    pub fn failed(mut self, error: &CallError) {
        self.write(error.outcome(), &error.full());
    }

    fn write(&mut self, outcome: &'static str, reason: &str) {
        self.ended = true;
        let (server, tool) = (self.target.server.name.as_str(), &*self.target.tool.name);
        let meter = self.target.tool.meter.get().expect("it was looked up when the call began");
        meter.ended(outcome, self.began.elapsed());
        write_line(&self.context, server, tool, self.began, outcome, reason);
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        if !self.ended {
            self.write("cancelled", "the caller left");
        }
    }
}

/// Writes the line of a call that ended before there was a tool to call. The names are the caller's.
pub fn not_found(context: &CallContext, server: &str, tool: &str, began: Instant, error: &FindError) {
    let cut = |name: &str| name[..name.floor_char_boundary(NAME_LENGTH)].escape_debug().to_string();
    write_line(context, &cut(server), &cut(tool), began, error.outcome(), &error.full());
}

/// A name that nobody has checked is cut here in the log, in bytes.
const NAME_LENGTH: usize = 128;

fn write_line(
    context: &CallContext,
    server: &str,
    tool: &str,
    began: Instant,
    outcome: &'static str,
    reason: &str,
) {
    // To the microsecond: more digits would only look precise.
    let milliseconds = (began.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    let key = context.caller.key_name.as_deref();
    let by = key.unwrap_or("-");
    let id = context.request_id.as_str();
    let reason = reason.replace(char::is_control, " ");
    let separator = if reason.is_empty() { "" } else { ": " };
    let shown = tool.escape_debug();
    let host = context.peer.map(Host);
    let from = From(host);
    tracing::info!(
        target: "mcpo::call",
        mcp_server = server,
        mcp_tool = tool,
        outcome,
        duration_ms = milliseconds,
        request_id = id,
        api_key_name = key,
        peer = host.map(tracing::field::display),
        trace_id = context.trace.as_ref().map(TraceContext::trace_id),
        "{server}/{shown} {outcome} {milliseconds:.1} ms by {by}{from} ({id}){separator}{reason}"
    );
}

/// ` from 10.0.0.7`, or nothing.
struct From(Option<Host>);

impl fmt::Display for From {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |peer| write!(formatter, " from {peer}"))
    }
}
