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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// The tool said `isError`.
    ToolError,
    /// The server answered with a JSON-RPC error.
    RpcError,
    /// The result cannot be shown in the form that the caller wants, or is no result.
    Unrenderable,
    /// The request breaks the protocol.
    InvalidRequest,
    /// The session that the request names is not there.
    SessionNotFound,
    /// A header contradicts the body.
    HeaderMismatch,
    /// The caller's `requestState` belongs to no waiting call.
    UnknownState,
    /// The server asks for input, and there is no way to ask the caller, or no answer.
    InputUnavailable,
    /// The caller was asked for input, and refused.
    InputRefused,
    /// The server asks for input again and again.
    TooManyRounds,
    /// Too many calls wait for input of their callers.
    TooManyWaiting,
    /// The caller left, or cancelled the call.
    Cancelled,
    /// The gateway stopped before there was an answer.
    Shutdown,
    /// The gateway failed.
    Internal,
}

impl Outcome {
    /// Its name in logs, in the audit trail and, of a call that was made, in the metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
            Self::Unrenderable => "protocol_fault",
            Self::InvalidRequest => "invalid_request",
            Self::SessionNotFound => "session_not_found",
            Self::HeaderMismatch => "header_mismatch",
            Self::UnknownState => "unknown_state",
            Self::InputUnavailable => "input_unavailable",
            Self::InputRefused => "input_refused",
            Self::TooManyRounds => "too_many_rounds",
            Self::TooManyWaiting => "too_many_waiting",
            Self::Cancelled => "cancelled",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal_error",
        }
    }

    /// The outcome and the reason of a call that is dropped now without an end.
    pub(super) fn given_up(closing: &CancellationToken) -> (Self, &'static str) {
        if std::thread::panicking() {
            (Self::Internal, "the gateway failed")
        } else if closing.is_cancelled() {
            (Self::Shutdown, "the gateway stopped, or the caller left meanwhile")
        } else {
            (Self::Cancelled, "the caller left, or cancelled it")
        }
    }
}
