//! API keys: compared in constant time, before anything of the body is read.
//!
//! A key comes as `Authorization: Bearer KEY`, or as the password of Basic (any user), on every route alike.
//! The refusals are mcpo's to the letter (as in mcpo 0.0.20), except that a right Basic password opens
//! tools too, and that the scheme's case never matters (RFC 9110 section 11.1).

mod credentials;
mod error;
mod scopes;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::answer::Problem;
use crate::catalog::{Caller, Fingerprint, Namespace, Scope};
use crate::config::{ApiKeyConfig, AuthConfig};
use crate::file;
use crate::json::clip;
use crate::shares::Principal;
use credentials::Credentials;
pub use error::KeysError;
use scopes::{ScopeShape, Scopes};

/// Asks for a user's name and a password. A header of its own: Chromium reads one scheme of each, the first, and only
/// when nothing stands behind it (mcpo's `Bearer, Basic` asks for nothing there). The realm is a must (RFC 7617).
pub const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"mcpo\", charset=\"UTF-8\"");

/// The key that a route asks for, once any key is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No key (`/health`, `/ready`, the empty docs page). A valid key still names the caller.
    Open,
    /// A key in strict mode or when any key is limited; else nothing (documents, pages).
    Document,
    /// A key, always (calls and everything that is not a document).
    Call,
}

/// The configured keys, resolved; built once at start.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<ApiKey>,
    scopes: Scopes,
    anonymous: Caller,
    strict: bool,
    /// Documents need a key: strict mode, or a key that does not see everything.
    locked: bool,
}

/// A key as it is compared. Digests have one length, so that nothing about a key's length leaks.
#[derive(Debug)]
struct ApiKey {
    digest: [u8; 32],
    caller: Caller,
}

/// The parameter of a query that names a profile.
pub const PROFILE: &str = "profile";

/// A caller that was turned away; answers 401 or 403.
#[derive(Debug, Clone)]
pub struct Refusal(Problem);

impl Keys {
    /// As [`Keys::new`], with the secrets read apart from the threads that serve.
    pub async fn read(config: &AuthConfig, namespace: &Arc<Namespace>) -> Result<Self, KeysError> {
        let (config, namespace) = (config.clone(), namespace.clone());
        file::apart(move || Self::new(&config, &namespace)).await?
    }

    /// Reads every key's secret, and prepares the callers and their scopes over `namespace`.
    ///
    /// May have to wait for files.
    pub fn new(config: &AuthConfig, namespace: &Arc<Namespace>) -> Result<Self, KeysError> {
        let mut scopes = Scopes::new(&config.profiles, namespace.clone());
        let mut keys: Vec<ApiKey> = Vec::with_capacity(config.keys.len());
        for entry in &config.keys {
            let digest = digest_of(entry)?;
            if let Some(same) = keys.iter().position(|key| key.digest == digest) {
                return Err(KeysError::Same {
                    first: config.keys[same].name.clone(),
                    second: entry.name.clone(),
                });
            }
            let bad = |source| KeysError::Servers { name: entry.name.clone(), source };
            let shape = ScopeShape::of(entry);
            let reach = scopes.add(&shape).map_err(bad)?;
            let scope = match &entry.profile {
                None => reach.clone(),
                Some(profile) => {
                    let missing =
                        || KeysError::Profile { name: entry.name.clone(), profile: profile.clone() };
                    let shape = scopes.in_profile(&shape, profile).ok_or_else(missing)?;
                    scopes.add(&shape).map_err(bad)?
                }
            };
            let caller = Caller {
                principal: Principal::of_key(&entry.name),
                fingerprint: Some(Fingerprint(digest)),
                profile: None,
                admin: entry.admin,
                metrics: entry.metrics || scope.is_unlimited(),
                scope,
                reach,
            };
            keys.push(ApiKey { digest, caller });
        }
        let locked = !keys.is_empty() && (config.strict || scopes.of_keys().len() > 1);
        let anonymous_scope = if locked { scopes.add_nothing() } else { scopes.everything() };
        let anonymous = Caller {
            principal: Principal::default(),
            fingerprint: None,
            profile: None,
            admin: keys.is_empty(),
            metrics: anonymous_scope.is_unlimited(),
            scope: anonymous_scope.clone(),
            reach: anonymous_scope,
        };
        scopes.add_profiles()?;
        Ok(Self { keys, scopes, anonymous, strict: config.strict, locked })
    }

    /// Whether no key is configured, so that everything is open (and the Host rule holds instead).
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Every distinct scope of a key, in the order of [`Scope::index`]; documents are prebuilt for each. The first sees
    /// everything; where documents are locked, the last sees nothing (it is the anonymous caller's).
    pub fn scopes(&self) -> &[Arc<Scope>] {
        self.scopes.of_keys()
    }

    /// How many scopes there are with those that only the profiles of requests make.
    pub fn scope_count(&self) -> usize {
        self.scopes.count()
    }

    /// `caller` in the profile that the query of its request names; `None` when it names none.
    ///
    /// A profile is less than the key opens, never more. The first parameter counts.
    ///
    /// # Errors
    ///
    /// 404 for an unknown profile: a client that got everything instead would not notice.
    pub fn in_profile_of(&self, caller: &Caller, query: Option<&str>) -> Result<Option<Caller>, Problem> {
        let mut parameters = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        let Some((_, name)) = parameters.find(|(name, _)| name == PROFILE) else { return Ok(None) };
        self.in_profile(caller, &name).map(Some).ok_or_else(|| {
            let shown = clip(&name, 64);
            let sentence =
                format!("there is no profile `{shown}`; the configuration names them under `profiles`");
            Problem::new(StatusCode::NOT_FOUND, "no_such_profile", sentence)
        })
    }

    fn in_profile(&self, caller: &Caller, profile: &str) -> Option<Caller> {
        let (name, scope) = self.scopes.narrowed(&caller.scope, profile)?;
        Some(Caller { profile: Some(name), scope, ..caller.clone() })
    }

    /// Identifies the caller by the request's head, or refuses it.
    ///
    /// On an open route a wrong key is no key: nothing is refused there.
    pub fn admit(&self, headers: &HeaderMap, access: Access) -> Result<Caller, Refusal> {
        if self.keys.is_empty() {
            return Ok(self.anonymous.clone());
        }
        let credentials = Credentials::read(headers);
        if let Some(caller) = credentials.secret().and_then(|secret| self.find(secret)) {
            return Ok(caller.clone());
        }
        match access {
            Access::Open => Ok(self.anonymous.clone()),
            Access::Document if !self.locked => Ok(self.anonymous.clone()),
            Access::Document | Access::Call => Err(self.refuse(&credentials, access)),
        }
    }

    /// `before`, a caller under an earlier configuration, with its rights under this one. `None` when its key or profile
    /// is gone, or its key has another value.
    pub fn again(&self, before: &Caller) -> Option<Caller> {
        let caller = match before.fingerprint {
            None => self.keys.is_empty().then(|| self.anonymous.clone()),
            Some(_) => self.find_again(before).cloned(),
        }?;
        match &before.profile {
            None => Some(caller),
            Some(profile) => self.in_profile(&caller, profile),
        }
    }

    /// The names of the keys that `next` does not have, or has with another value.
    pub fn ended_by(&self, next: &Self) -> Vec<&str> {
        let ended = self.keys.iter().filter(|key| next.find_again(&key.caller).is_none());
        ended.filter_map(|key| key.caller.principal.key_name()).collect()
    }

    /// The caller of the same key with the same value.
    fn find_again(&self, before: &Caller) -> Option<&Caller> {
        let is_same = |caller: &&Caller| {
            caller.principal == before.principal && caller.fingerprint == before.fingerprint
        };
        self.keys.iter().map(|key| &key.caller).find(is_same)
    }

    /// Whether a header may hold a key of this gateway, which must not be forwarded. With keys, `Authorization` always
    /// may, and a caller may repeat a key in any other header.
    pub fn is_own(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        let value = value.as_bytes();
        let inner = Credentials::of(value);
        name == header::AUTHORIZATION
            || self.find(value.trim_ascii()).is_some()
            || inner.secret().is_some_and(|secret| self.find(secret).is_some())
    }

    /// Compares with every key and never stops early, so that the time does not reveal the key that matched.
    fn find(&self, secret: &[u8]) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(secret).into();
        let none = u64::MAX;
        let mut found = none;
        for (index, key) in (0u64..).zip(&self.keys) {
            found.conditional_assign(&index, key.digest.ct_eq(&digest));
        }
        usize::try_from(found).ok().and_then(|index| self.keys.get(index)).map(|key| &key.caller)
    }

    fn refuse(&self, credentials: &Credentials, access: Access) -> Refusal {
        let unauthenticated = |detail: &'static str| {
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
            let problem = problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            // A browser that opens a locked document can be asked for a password, which is the key.
            let both = self.strict || access == Access::Document;
            Refusal(if both { problem.with_header(header::WWW_AUTHENTICATE, BASIC) } else { problem })
        };
        let wrong = |detail: &'static str| Refusal(Problem::new(StatusCode::FORBIDDEN, "wrong_key", detail));
        match credentials {
            Credentials::Bearer(_) => wrong("Invalid API key"),
            Credentials::Basic(_) if self.strict => wrong("Invalid credentials"),
            Credentials::BadBasic if self.strict => unauthenticated("Invalid Basic Authentication format"),
            Credentials::Other if self.strict => unauthenticated("Unsupported authorization method"),
            Credentials::Nothing | Credentials::Basic(_) | Credentials::BadBasic | Credentials::Other => {
                unauthenticated("Missing or invalid Authorization header")
            }
        }
    }
}

impl Refusal {
    /// The answer to the caller.
    pub fn problem(&self) -> &Problem {
        &self.0
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

fn digest_of(entry: &ApiKeyConfig) -> Result<[u8; 32], KeysError> {
    let secret = entry
        .key
        .blocking_resolve()
        .map_err(|source| KeysError::Secret { name: entry.name.clone(), source })?;
    // A header's value comes without the white space around it, so a key can never be presented with any.
    let secret = secret.expose_secret().trim();
    if secret.is_empty() {
        return Err(KeysError::Empty { name: entry.name.clone() });
    }
    Ok(Sha256::digest(secret.as_bytes()).into())
}

#[cfg(test)]
mod tests;
