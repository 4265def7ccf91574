//! Access and refresh tokens: what they hold.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::holder::{KeyIdentity, TokenHolder};

/// How an access token begins.
pub const ACCESS_PREFIX: &str = "mcpo_at_";
/// How a refresh token begins.
pub const REFRESH_PREFIX: &str = "mcpo_rt_";
/// How long an access token is good after the time that its client knows, in seconds.
///
/// Some clients have a person sign in again when a token ends while a request is on its way.
pub const LEEWAY: u64 = 30;

/// The content of an access token.
#[derive(Serialize, Deserialize)]
pub struct AccessToken {
    #[serde(flatten)]
    pub holder: TokenHolder,
    #[serde(rename = "e")]
    pub until: u64,
}

/// The content of a refresh token.
#[derive(Serialize, Deserialize)]
pub struct RefreshToken {
    #[serde(flatten)]
    pub holder: TokenHolder,
    /// Counts the renewals of the sign-in.
    pub generation: u64,
}

/// The tokens that a client gets (RFC 6749 section 5.1).
#[derive(Debug, Serialize)]
pub struct TokenAnswer {
    pub access_token: String,
    pub token_type: &'static str,
    pub expires_in: u64,
    pub refresh_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// An access token that is good as far as the key behind it is.
#[derive(Debug)]
pub struct AcceptedAccess {
    pub key: KeyIdentity,
    pub until: SystemTime,
    /// Cancelled when the sign-in of the token ends early.
    pub ended: Arc<CancellationToken>,
}

/// Why an access token of this server is no longer good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessEnd {
    Expired,
    Revoked,
}
