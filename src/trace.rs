//! The identity of a request: its id, its trace, and its peer.
//!
//! Id and trace come from the caller when it has them. They go into the log, the id back to the caller, and the
//! trace on to the server; nothing is decided by them, since a caller can claim any id.

mod context;
mod peer;
mod random;
mod request_id;

pub use context::TraceContext;
pub use peer::{Host, Peer};
pub use request_id::RequestId;

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
