//! How calls end, by the names that the log, the audit trail and the metrics have for it.

use std::borrow::Cow;

use tokio_util::sync::CancellationToken;

/// A failure that a record can name.
pub trait CallFailure {
    /// The outcome's name in the log, the audit trail and the metrics.
    fn outcome(&self) -> &'static str;
    /// The reason, for the log.
    fn reason(&self) -> Cow<'_, str>;
}

/// How a call ended.
///
/// The log and the audit trail have its name, and the metrics that of a call that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome(&'static str);

impl Outcome {
    pub const OK: Self = Self("ok");
    /// The tool said `isError`.
    pub const TOOL_ERROR: Self = Self("tool_error");
    /// The server answered with a JSON-RPC error.
    pub const RPC_ERROR: Self = Self("rpc_error");
    /// The result cannot be shown in the form that the caller wants, or is no result.
    pub const UNRENDERABLE: Self = Self("protocol_fault");
    /// The request breaks the protocol.
    pub const INVALID_REQUEST: Self = Self("invalid_request");
    /// The session that the request names is not there.
    pub const SESSION_NOT_FOUND: Self = Self("session_not_found");
    /// A header contradicts the body.
    pub const HEADER_MISMATCH: Self = Self("header_mismatch");
    /// The caller's `requestState` belongs to no waiting call.
    pub const UNKNOWN_STATE: Self = Self("unknown_state");
    /// The server asks for input, and there is no way to ask the caller, or no answer.
    pub const INPUT_UNAVAILABLE: Self = Self("input_unavailable");
    /// The caller was asked for input, and refused.
    pub const INPUT_REFUSED: Self = Self("input_refused");
    /// The server asks for input again and again.
    pub const TOO_MANY_ROUNDS: Self = Self("too_many_rounds");
    /// Too many calls wait for input of their callers.
    pub const TOO_MANY_WAITING: Self = Self("too_many_waiting");
    /// The caller left, or cancelled the call.
    pub const CANCELLED: Self = Self("cancelled");
    /// The gateway stopped before there was an answer.
    pub const SHUTDOWN: Self = Self("shutdown");
    /// The gateway failed.
    pub const INTERNAL: Self = Self("internal_error");

    pub fn name(self) -> &'static str {
        self.0
    }

    /// The outcome and the reason of a call that is dropped now without an end.
    pub(super) fn given_up(closing: &CancellationToken) -> (Self, &'static str) {
        if std::thread::panicking() {
            (Self::INTERNAL, "the gateway failed")
        } else if closing.is_cancelled() {
            (Self::SHUTDOWN, "the gateway stopped, or the caller left meanwhile")
        } else {
            (Self::CANCELLED, "the caller left, or cancelled it")
        }
    }
}
