//! The users behind the API key of an Open WebUI, which names each in a signed header.
//!
//! Open WebUI makes another token for each request (HS256, `iss` is `open-webui`): the user is its `sub`, and the bytes of
//! the header mean nothing.

use http::{HeaderMap, HeaderName};
use secrecy::ExposeSecret as _;

use super::error::KeysError;
use super::scopes::Scopes;
use super::user_entries::{UserEntries, UserRefusal};
use crate::catalog::{Caller, User};
use crate::config::ApiKeyConfig;
use crate::issuer::{SharedSecret, TokenError, claims_by_secret};

/// The header with the user's token.
const USER_JWT: HeaderName = HeaderName::from_static("x-openwebui-user-jwt");
/// The name of Open WebUI in `iss`.
const ISSUER: &str = "open-webui";

/// The users of one Open WebUI.
#[derive(Debug)]
pub struct OpenWebUiUsers {
    secret: SharedSecret,
    entries: UserEntries,
}

impl OpenWebUiUsers {
    /// The users behind `key`, if it is the key of an Open WebUI. May have to wait for files.
    pub fn new(key: &ApiKeyConfig, scopes: &mut Scopes) -> Result<Option<Self>, KeysError> {
        let Some(config) = &key.open_webui else { return Ok(None) };
        let secret = config.secret.blocking_resolve();
        let secret = secret.map_err(|source| KeysError::Secret { name: key.name.clone(), source })?;
        let secret = SharedSecret::new(secret.expose_secret().trim());
        let secret = secret.ok_or_else(|| KeysError::EmptySecret { name: key.name.clone() })?;
        Ok(Some(Self { secret, entries: UserEntries::new(ISSUER, &config.users, scopes)? }))
    }

    /// The user of a request with `key`; `None` when the request names none.
    ///
    /// # Errors
    ///
    /// Why the user is refused.
    pub fn caller(&self, headers: &HeaderMap, key: &Caller) -> Option<Result<Caller, UserRefusal>> {
        let mut tokens = headers.get_all(USER_JWT).iter();
        let token = tokens.next()?;
        let token = token.to_str().ok().filter(|_| tokens.next().is_none());
        let claims = token.ok_or(TokenError::Malformed);
        let claims = claims.and_then(|token| claims_by_secret(token.trim(), &self.secret, ISSUER));
        let claims = claims.map_err(UserRefusal::Token);
        Some(claims.and_then(|claims| self.entries.admit(claims, Some(key))))
    }

    /// `user`, known under an earlier configuration, with its rights under this one.
    pub fn again(&self, user: &User, key: &Caller) -> Option<Caller> {
        self.entries.caller_of(&user.claims, Some(key))
    }
}
