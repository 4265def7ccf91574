//! The identity of a request: its id, its trace, and its peer.
//!
//! Id and trace come from the caller when it has them. They go into the log, the id back to the caller, and the
//! trace on to the server; nothing is decided by them, since a caller can claim any id.

mod context;
mod origin;
mod peer;
mod random;
mod request_id;

pub use context::TraceContext;
pub use origin::Origin;
pub use peer::{Host, Peer};
pub use request_id::RequestId;
