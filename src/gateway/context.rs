//! What a face knows of one call besides the tool and its arguments.

use std::net::IpAddr;

use crate::catalog::Caller;
use crate::trace::{RequestId, TraceContext};

/// Who calls, and what goes along with the call. Made by a face once per request.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub caller: Caller,
    /// What the caller and the log know the request by.
    pub request_id: RequestId,
    /// The trace that the caller is part of; the server gets it with a span of its own.
    pub trace: Option<TraceContext>,
    /// Where the request came from, for the log only.
    pub peer: Option<IpAddr>,
}

impl CallContext {
    /// Without a trace and without a peer.
    pub fn new(caller: Caller, request_id: RequestId) -> Self {
        Self { caller, request_id, trace: None, peer: None }
    }
}
