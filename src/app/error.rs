//! Why the gateway could not start.

use super::audit::AuditError;
use crate::http::host::HostRuleError;
use crate::http::{KeysError, ListenError};
use crate::seal::{SealError, SecretFileError};

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
    #[error("sign-ins cannot be sealed: {0}")]
    Secret(#[from] SecretFileError),
    #[error(transparent)]
    Seal(#[from] SealError),
}
