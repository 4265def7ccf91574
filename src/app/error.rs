//! Why the gateway could not start.

use super::audit::AuditError;
use super::sealing::SealingError;
use crate::http::host::HostRuleError;
use crate::http::{KeysError, ListenError};
use crate::seal::SealError;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Hosts(#[from] HostRuleError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("`shared`: {0}")]
    Shared(String),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Random(#[from] SealError),
    #[error(transparent)]
    Sealing(#[from] SealingError),
}
