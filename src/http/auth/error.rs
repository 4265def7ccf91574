//! Why the API keys and users of a configuration cannot be used.

use crate::config::SecretError;
use crate::file::ApartError;

/// Why the keys cannot be used; the gateway does not start then.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("API key `{name}`: {source}")]
    Secret { name: String, source: SecretError },
    #[error("the API keys cannot be read: {0}")]
    Apart(#[from] ApartError),
    #[error("API key `{name}` is empty; give it a value, or remove it to leave the gateway open")]
    Empty { name: String },
    #[error("API keys `{first}` and `{second}` have the same value; give each a value of its own")]
    Same { first: String, second: String },
    #[error("{entry}: `servers` or `tools` has a bad pattern: {source}")]
    Pattern { entry: String, source: globset::Error },
    #[error("{entry} names the profile `{profile}`, which does not exist; add it to `profiles`")]
    Profile { entry: String, profile: String },
    #[error("`openWebUi.secret` of the API key `{name}` is empty")]
    EmptySecret { name: String },
    #[error("`clientSecret` of the issuer {issuer}: {source}")]
    Client { issuer: String, source: SecretError },
    #[error("profile `{name}`: `servers` or `tools` has a bad pattern: {source}")]
    ProfilePattern { name: String, source: globset::Error },
}
