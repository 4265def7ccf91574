//! The context of one call, beside its tool and its arguments.

use crate::catalog::Caller;
use crate::trace::{Origin, Peer, RequestId, TraceContext};
use crate::upstream::CallerHeaders;

/// The caller of a request, its trace and its forwarded headers. Each surface makes one per request.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub caller: Caller,
    /// The id of the request, for the caller and the log.
    pub request_id: RequestId,
    /// The trace that the caller is part of; the server gets it with a span of its own.
    pub trace: Option<TraceContext>,
    /// Where the request came from, for the log only.
    pub peer: Option<Peer>,
    /// Headers of the caller that may go along. Each server that is called for this request, the inner one of
    /// `call_tool` too, gets those that its own entry names.
    pub forwarded: CallerHeaders,
}

impl CallContext {
    /// Without headers that go along.
    pub fn new(caller: Caller, origin: Origin) -> Self {
        let Origin { request_id, trace, peer } = origin;
        Self { caller, request_id, trace, peer, forwarded: CallerHeaders::default() }
    }
}
