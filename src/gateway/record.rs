//! One log line, one count and, with an audit trail, one record of each call: its caller, tool, duration and outcome.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use super::context::CallContext;
use super::error::FindError;
use super::outcome::Outcome;
use super::state::Gateway;
use super::target::Target;
use crate::compute;
use crate::json::clip;
use crate::telemetry::audit::AuditRecord;
use crate::telemetry::text::visible;
use crate::trace::{Host, TraceContext};

/// A call whose tool was named and that is not made yet. Dropped without an end, it counts as left by its caller.
#[derive(Debug)]
#[must_use]
pub struct NamedCall<'a> {
    gateway: &'a Gateway,
    context: &'a CallContext,
    /// The names of the server (`-` without one) and of the tool.
    names: (&'a str, &'a str),
    began: Instant,
    ended: bool,
}

impl<'a> NamedCall<'a> {
    pub fn new(
        gateway: &'a Gateway,
        context: &'a CallContext,
        names: (&'a str, &'a str),
        began: Instant,
    ) -> Self {
        Self { gateway, context, names, began, ended: false }
    }

    /// Ends the search: the tool that was found, or the call recorded with the error.
    ///
    /// # Errors
    ///
    /// The error that was found instead.
    pub fn found(self, found: Result<Target, FindError>) -> Result<Target, FindError> {
        match &found {
            Ok(_) => self.proceed(),
            Err(error) => self.not_found(error),
        }
        found
    }

    /// Leaves the record of the end to the call itself.
    pub fn proceed(mut self) {
        self.ended = true;
    }

    /// There is no such tool to call.
    pub fn not_found(self, error: &FindError) {
        self.not_made(error.outcome(), &error.full());
    }

    /// The call was refused, with `outcome` as the stable code.
    pub fn not_made(mut self, outcome: &'static str, reason: &str) {
        self.write(outcome, reason);
        self.audit(outcome, reason);
    }

    /// The call was refused, and the edge writes the line of the log.
    pub fn refused(mut self, outcome: &'static str, reason: &str) {
        self.audit(outcome, reason);
    }

    fn write(&self, outcome: &'static str, reason: &str) {
        let (server, tool) = self.names;
        write_line(self.context, &cut(server), &cut(tool), self.began, outcome, reason);
    }

    fn audit(&mut self, outcome: &'static str, reason: &str) {
        self.ended = true;
        if let Some(audit) = &self.gateway.lasting.audit {
            let (server, tool) = self.names;
            audit.write(&record(self.context, &cut(server), &cut(tool), self.began, outcome, reason));
        }
    }
}

impl Drop for NamedCall<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let (outcome, reason) = Outcome::given_up(&self.gateway.lasting.closing);
            self.write(outcome.name(), reason);
            self.audit(outcome.name(), reason);
        }
    }
}

/// A call in progress. Dropped without an end, it counts as left by its caller.
#[derive(Debug)]
#[must_use]
pub(super) struct CallRecord<'a> {
    gateway: &'a Gateway,
    target: &'a Target,
    context: &'a CallContext,
    began: Instant,
    ended: bool,
    given_up: Option<&'a GivenUp>,
    /// The digest of the arguments, for the audit trail.
    arguments: Option<Box<str>>,
}

/// The reason for dropping a call, set beforehand by the part that knows it.
pub type GivenUp = Arc<OnceLock<(Outcome, &'static str)>>;

impl<'a> CallRecord<'a> {
    /// `arguments` are the bytes that the caller sent.
    pub async fn new(
        gateway: &'a Gateway,
        context: &'a CallContext,
        target: &'a Target,
        arguments: &Bytes,
        given_up: Option<&'a GivenUp>,
    ) -> Self {
        // Made before the first wait, so that a caller that leaves has its record.
        let mut record = Self::unread(gateway, context, target);
        record.given_up = given_up;
        if let Some(audit) = &gateway.lasting.audit {
            let (audit, arguments) = (audit.clone(), arguments.clone());
            let (owner, size) = (context.caller.owner(target.server.name.as_str()), arguments.len());
            let digest = move || audit.arguments.digest(&arguments);
            record.arguments = Box::pin(compute::run_sized(owner, size, digest)).await;
        }
        record
    }

    /// A call whose arguments are not read.
    pub fn unread(gateway: &'a Gateway, context: &'a CallContext, target: &'a Target) -> Self {
        gateway.meter(target).began();
        let began = Instant::now();
        Self { gateway, target, context, began, ended: false, given_up: None, arguments: None }
    }

    /// The call was answered, with a result of `size` bytes; `None` for an error of the protocol.
    pub fn answered(mut self, outcome: Outcome, size: Option<usize>) {
        self.write(outcome.name(), "", size);
    }

    /// The call failed.
    pub fn failed(mut self, outcome: &'static str, reason: &str) {
        self.write(outcome, reason, None);
    }

    fn write(&mut self, outcome: &'static str, reason: &str, size: Option<usize>) {
        self.ended = true;
        let (server, tool) = (self.target.server.name.as_str(), &*self.target.tool.name);
        let meter = self.target.tool.meter.get().expect("it was looked up when the call began");
        meter.ended(outcome, self.began.elapsed());
        write_line(self.context, server, tool, self.began, outcome, reason);
        if let Some(audit) = &self.gateway.lasting.audit {
            let record = record(self.context, server, tool, self.began, outcome, reason);
            let arguments = self.arguments.as_deref();
            audit.write(&AuditRecord { arguments, result_bytes: size, ..record });
        }
    }
}

impl Drop for CallRecord<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let known = self.given_up.and_then(|given_up| given_up.get().copied());
            let (outcome, reason) = known.unwrap_or_else(|| Outcome::given_up(&self.gateway.lasting.closing));
            self.write(outcome.name(), reason, None);
        }
    }
}

fn record<'a>(
    context: &'a CallContext,
    server: &'a str,
    tool: &'a str,
    began: Instant,
    outcome: &'static str,
    reason: &'a str,
) -> AuditRecord<'a> {
    AuditRecord {
        request_id: context.origin.request_id.as_str(),
        api_key_name: context.caller.principal.key_name(),
        user: context.caller.principal.user(),
        peer: context.origin.peer.map(|peer| Host(peer).to_string()),
        trace_id: context.origin.trace.as_ref().map(TraceContext::trace_id),
        mcp_server: server,
        mcp_tool: clip(tool, TOOL_LENGTH),
        outcome,
        reason: (!reason.is_empty()).then_some(clip(reason, REASON_LENGTH)),
        duration_ms: milliseconds(began),
        arguments: None,
        result_bytes: None,
    }
}

/// An unchecked name, for the log.
fn cut(name: &str) -> Cow<'_, str> {
    shown(clip(name, NAME_LENGTH))
}

/// The length at which an unchecked name is cut in the log, in bytes.
const NAME_LENGTH: usize = 128;
/// The same of a tool that is there: its server may give it any name.
const TOOL_LENGTH: usize = 1024;
/// The same of the reason.
const REASON_LENGTH: usize = 2000;

fn write_line(
    context: &CallContext,
    server: &str,
    tool: &str,
    began: Instant,
    outcome: &'static str,
    reason: &str,
) {
    let milliseconds = milliseconds(began);
    let (key, user) = (context.caller.principal.key_name(), context.caller.principal.user());
    let by = user.or(key).unwrap_or("-");
    let id = context.origin.request_id.as_str();
    let (tool, reason) = (clip(tool, TOOL_LENGTH), visible(clip(reason, REASON_LENGTH)));
    let separator = if reason.is_empty() { "" } else { ": " };
    let shown = shown(tool);
    let host = context.origin.peer.map(Host);
    let from = From(host);
    tracing::info!(
        target: "mcpo::call",
        mcp_server = server,
        mcp_tool = tool,
        outcome,
        duration_ms = milliseconds,
        request_id = id,
        api_key_name = key,
        user,
        peer = host.map(tracing::field::display),
        trace_id = context.origin.trace.as_ref().map(TraceContext::trace_id),
        "{server}/{shown} {outcome} {milliseconds:.1} ms by {by}{from} ({id}){separator}{reason}"
    );
}

/// A tool's name comes from its server, and may hold anything.
fn shown(name: &str) -> Cow<'_, str> {
    let is_plain = |byte| matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'/');
    // Escaping writes character by character, which costs a call more than the rest of its line.
    if name.bytes().all(is_plain) { name.into() } else { name.escape_debug().to_string().into() }
}

/// To the microsecond: more digits would only look precise.
fn milliseconds(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

/// ` from 10.0.0.7`, or nothing.
struct From(Option<Host>);

impl fmt::Display for From {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |peer| write!(formatter, " from {peer}"))
    }
}
