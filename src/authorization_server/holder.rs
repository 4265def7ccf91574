//! The holder of codes and tokens: a client with the API key that a person gave it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::GrantError;
use super::parameters::Parameters;
use crate::json::hex;

/// An API key with its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyIdentity {
    #[serde(rename = "n")]
    pub name: String,
    #[serde(rename = "f")]
    fingerprint: String,
}

/// What codes and tokens stand for.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenHolder {
    /// The sign-in.
    #[serde(rename = "g")]
    pub grant: String,
    /// The digest of the client's id.
    #[serde(rename = "c")]
    pub client: String,
    #[serde(rename = "k")]
    pub key: KeyIdentity,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl KeyIdentity {
    /// The key called `name` whose value has the digest `fingerprint`.
    pub fn new(name: &str, fingerprint: &[u8; 32]) -> Self {
        Self { name: name.to_owned(), fingerprint: URL_SAFE_NO_PAD.encode(fingerprint) }
    }
}

/// Refuses a `resource` that the sign-in was not for (RFC 8707 section 2.2).
pub fn check_resource(form: &Parameters, holder: &TokenHolder) -> Result<(), GrantError> {
    match (form.get("resource"), &holder.resource) {
        (Some(wanted), Some(own)) if wanted != own => Err(GrantError::InvalidTarget),
        _ => Ok(()),
    }
}

/// The digest of a client's id, which is long.
pub fn digest(client_id: &str) -> String {
    hex(&Sha256::digest(client_id)[..16])
}
