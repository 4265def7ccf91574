//! The origin of a request.

use super::context::TraceContext;
use super::peer::Peer;
use super::request_id::RequestId;

/// The id, the trace and the peer of a request.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Names the request to the caller and in the log.
    pub request_id: RequestId,
    /// The trace that the caller is part of.
    pub trace: Option<TraceContext>,
    /// Where the request came from, for the log only.
    pub peer: Option<Peer>,
}
