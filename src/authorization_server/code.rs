//! Authorization codes: good for a minute, for one client, and once.

use serde::{Deserialize, Serialize};

use super::holder::TokenHolder;

/// How a code begins.
pub const CODE_PREFIX: &str = "mcpo_code_";
/// How long a code is good, in seconds.
pub const GOOD_FOR: u64 = 60;

/// The content of a code.
#[derive(Serialize, Deserialize)]
pub struct AuthorizationCode {
    pub holder: TokenHolder,
    pub client_name: String,
    pub redirect_uri: String,
    /// Of PKCE.
    pub challenge: String,
    pub until: u64,
}
