//! Why the gateway could not start.

use super::audit::AuditError;
use crate::http::host::HostRuleError;
use crate::http::{KeysError, ListenError};

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Hosts(#[from] HostRuleError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Audit(#[from] AuditError),
}
