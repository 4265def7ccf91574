//! Why a secret cannot be read.

use crate::file::ApartError;

/// A reference that could not be read. Its text names the reference and never a secret's value.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("environment variable `{0}` is not set")]
    Environment(String),
    #[error("environment variable `{0}` is not UTF-8")]
    EnvironmentNotText(String),
    #[error("secret file `{path}` cannot be read: {reason}")]
    File { path: String, reason: String },
    #[error("credential `{name}` cannot be read: {reason}")]
    Credential { name: String, reason: String },
    #[error("`envFile` `{path}` cannot be read: {reason}")]
    EnvFile { path: String, reason: String },
    #[error("a secret cannot be read: {0}")]
    Apart(#[from] ApartError),
}
