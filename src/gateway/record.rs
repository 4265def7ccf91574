//! One line and one count of each call, whatever its end: who called what, for how long, and how it ended.

use std::sync::Arc;
use std::time::Instant;

use super::{CallContext, CallError, Gateway, Target};

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
    key_name: Option<Arc<str>>,
    began: Instant,
    ended: bool,
}

impl CallRecord {
    pub fn new(gateway: &Gateway, context: &CallContext, target: &Target) -> Self {
        gateway.meter(target).began();
        Self {
            target: target.clone(),
            key_name: context.caller.key_name.clone(),
            began: Instant::now(),
            ended: false,
        }
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
        let took = self.began.elapsed();
        self.target.tool.meter.get().expect("it was looked up when the call began").ended(outcome, took);
        let milliseconds = took.as_secs_f64() * 1000.0;
        let (server, tool) = (&self.target.server.name, &*self.target.tool.name);
        let key = self.key_name.as_deref().unwrap_or("-");
        let reason = reason.replace(char::is_control, " ");
        let shown = tool.escape_debug();
        let separator = if reason.is_empty() { "" } else { ": " };
        tracing::info!(
            target: "mcpo::call",
            mcp_server = server.as_str(),
            mcp_tool = tool,
            outcome,
            duration_ms = milliseconds,
            api_key_name = key,
            "{server}/{shown} {outcome} {milliseconds:.1} ms by {key}{separator}{reason}"
        );
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        if !self.ended {
            self.write("cancelled", "the caller left");
        }
    }
}
