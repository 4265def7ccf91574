//! The lock that bounds access to the state directory.

use std::sync::Arc;

/// Allows one file operation at a time. Each thread that touches files would keep memory of its own until the gateway
/// ends.
pub type FileLock = Arc<tokio::sync::Mutex<()>>;
