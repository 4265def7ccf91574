//! API keys: compared in constant time, before anything of the body is read.
//!
//! A key comes as `Authorization: Bearer KEY`, or as the password of Basic (any user), on every route alike.
//! The refusals are mcpo's to the letter (as in mcpo 0.0.20), except that a right Basic password opens
//! tools too, and that the scheme's case never matters (RFC 9110 section 11.1).

mod credentials;
mod error;
mod open_webui;
mod own_tokens;
mod reload;
mod scopes;
mod user_entries;
mod users;

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::answer::Problem;
use crate::authorization_server::{ACCESS_PREFIX, SignInServer};
use crate::catalog::{Caller, CallerLimits, Fingerprint, Namespace, Scope, SignInEnd};
use crate::config::{ApiKeyConfig, AuthConfig, Config};
use crate::file;
use crate::issuer::{IssuerRegistry, TokenError};
use crate::json::clip;
use crate::shares::Principal;
use credentials::Credentials;
pub(crate) use credentials::bearer_of;
pub use error::KeysError;
use open_webui::OpenWebUiUsers;
pub use own_tokens::is_foreign;
use scopes::Scopes;
use user_entries::UserRefusal;
pub use users::Users;

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
    users: Users,
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
    /// The users behind it, with rights of their own.
    users: Option<OpenWebUiUsers>,
}

/// The parameter of a query that names a profile.
pub const PROFILE: &str = "profile";

/// A caller that was turned away; answers 401 or 403.
#[derive(Debug, Clone)]
pub struct Refusal {
    problem: Problem,
    /// Of the bearer of a token.
    user: Option<UserRefusal>,
}

impl Keys {
    /// As [`Keys::new`], with the secrets read apart from the threads that serve.
    pub async fn read(config: &Config, namespace: &Arc<Namespace>) -> Result<Self, KeysError> {
        let (auth, namespace) = (config.auth.clone(), namespace.clone());
        let base = config.listen.public_url.clone();
        file::apart(move || Self::new(&auth, base.as_deref(), &namespace)).await?
    }

    /// Reads every key's secret, and prepares the callers and their scopes over `namespace`. `base` is the address under
    /// which users know the gateway.
    ///
    /// May have to wait for files.
    pub fn new(
        config: &AuthConfig,
        base: Option<&str>,
        namespace: &Arc<Namespace>,
    ) -> Result<Self, KeysError> {
        let mut scopes = Scopes::new(&config.profiles, namespace.clone());
        let mut keys: Vec<ApiKey> = Vec::with_capacity(config.keys.len());
        for entry in &config.keys {
            let digest = digest_of_key(entry)?;
            if let Some(same) = keys.iter().position(|key| key.digest == digest) {
                return Err(KeysError::Same {
                    first: config.keys[same].name.clone(),
                    second: entry.name.clone(),
                });
            }
            let rights = scopes.caller(&entry.rights, || format!("API key `{}`", entry.name))?;
            let caller = Caller {
                principal: Principal::of_key(&entry.name),
                fingerprint: Some(Fingerprint(digest)),
                ..rights
            };
            keys.push(ApiKey { digest, caller, users: OpenWebUiUsers::new(entry, &mut scopes)? });
        }
        let users = Users::new(&config.issuers, base, &mut scopes)?;
        let locked = !config.is_open() && (config.strict || scopes.of_keys().len() > 1);
        let anonymous_scope = if locked { scopes.add_nothing() } else { scopes.everything() };
        let anonymous = Caller {
            principal: Principal::default(),
            fingerprint: None,
            user: None,
            sign_in_end: SignInEnd::default(),
            limits: CallerLimits::default(),
            profile: None,
            admin: config.is_open(),
            metrics: anonymous_scope.is_unlimited(),
            scope: anonymous_scope.clone(),
            reach: anonymous_scope,
        };
        scopes.add_profiles()?;
        Ok(Self { keys, users, scopes, anonymous, strict: config.strict, locked })
    }

    /// Whether calls need neither a key nor a user, because none are configured.
    ///
    /// The Host rule holds instead.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty() && self.users.is_empty()
    }

    /// Has the issuers asked over the connections of `registry`, and takes the tokens of `own`.
    pub fn connect(&mut self, registry: &IssuerRegistry, own: Option<Arc<SignInServer>>) {
        self.users.connect(registry, own);
    }

    /// The users of issuers.
    pub fn users(&self) -> &Users {
        &self.users
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

    /// Identifies the caller by the request's head, or refuses it. Waits only for the issuer of a token that is new.
    ///
    /// On an open route a wrong key is no key: nothing is refused there.
    pub async fn admit(&self, headers: &HeaderMap, access: Access) -> Result<Caller, Refusal> {
        if self.is_open() {
            return Ok(self.anonymous.clone());
        }
        let credentials = Credentials::read(headers);
        let digest = credentials.secret().map(digest_of);
        if let Some(key) = digest.and_then(|digest| self.find(digest)) {
            let user = key.users.as_ref().and_then(|users| users.caller(headers, &key.caller));
            return match (user, access) {
                (None, _) => Ok(key.caller.clone()),
                (Some(Err(refusal)), Access::Document | Access::Call) => Err(Refusal::of_user(refusal)),
                (Some(Err(_)), Access::Open) => Ok(self.anonymous.clone()),
                (Some(Ok(caller)), _) => Ok(caller),
            };
        }
        let mut refusal = None;
        if let (Credentials::Bearer(token), Some(digest), false) =
            (&credentials, digest, self.users.is_empty())
        {
            if let Some(caller) = self.users.remembered(&digest) {
                return Ok(caller);
            }
            let own = self.caller_of_own(digest, token);
            let checked = match own {
                Some(own) => own,
                None => Box::pin(self.users.caller(digest, token)).await,
            };
            match checked {
                Ok(caller) => return Ok(caller),
                Err(refused) => refusal = Some(refused),
            }
        }
        match self.without_credentials(access) {
            Some(caller) => Ok(caller),
            None => Err(self.refuse(&credentials, access, refusal)),
        }
    }

    /// The caller of a request that shows nothing, where such a one has `access`.
    pub fn without_credentials(&self, access: Access) -> Option<Caller> {
        let is_let_in = match access {
            Access::Open => true,
            Access::Document => !self.locked,
            Access::Call => self.is_open(),
        };
        is_let_in.then(|| self.anonymous.clone())
    }

    /// The callers of the keys, without users behind them.
    pub fn callers(&self) -> impl Iterator<Item = &Caller> {
        self.keys.iter().map(|key| &key.caller)
    }

    /// Whether a header may hold a key of this gateway, which must not be forwarded. With keys, `Authorization` always
    /// may, and a caller may repeat a key in any other header.
    pub fn is_own(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        if self.is_open() {
            return false;
        }
        let value = value.as_bytes();
        let inner = Credentials::of(value);
        let is_key = |secret: &[u8]| {
            self.find(digest_of(secret)).is_some() || secret.starts_with(ACCESS_PREFIX.as_bytes())
        };
        name == header::AUTHORIZATION || is_key(value.trim_ascii()) || inner.secret().is_some_and(is_key)
    }

    /// Compares with every key and never stops early, so that the time does not reveal the key that matched.
    fn find(&self, digest: [u8; 32]) -> Option<&ApiKey> {
        let none = u64::MAX;
        let mut found = none;
        for (index, key) in (0u64..).zip(&self.keys) {
            found.conditional_assign(&index, key.digest.ct_eq(&digest));
        }
        usize::try_from(found).ok().and_then(|index| self.keys.get(index))
    }

    fn refuse(&self, credentials: &Credentials, access: Access, user: Option<UserRefusal>) -> Refusal {
        let unauthenticated = |detail: &'static str| {
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail);
            let problem = problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            // A browser that opens a locked document can be asked for a password, which is the key.
            let both = self.strict || access == Access::Document;
            if both { problem.with_header(header::WWW_AUTHENTICATE, BASIC) } else { problem }
        };
        let wrong = |detail: &'static str| Problem::new(StatusCode::FORBIDDEN, "wrong_key", detail);
        let problem = match credentials {
            Credentials::Bearer(_) => match &user {
                None | Some(UserRefusal::Token(TokenError::Unknown)) => wrong("Invalid API key"),
                Some(refusal) => refusal.problem(),
            },
            Credentials::Basic(_) if self.strict => wrong("Invalid credentials"),
            Credentials::BadBasic if self.strict => unauthenticated("Invalid Basic Authentication format"),
            Credentials::Other if self.strict => unauthenticated("Unsupported authorization method"),
            Credentials::Nothing | Credentials::Basic(_) | Credentials::BadBasic | Credentials::Other => {
                unauthenticated("Missing or invalid Authorization header")
            }
        };
        Refusal { problem, user }
    }
}

impl Refusal {
    fn of_user(user: UserRefusal) -> Self {
        Self { problem: user.problem(), user: Some(user) }
    }

    /// The answer to the caller.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// The answer of an endpoint that tells clients where to sign in, at `metadata` and for `scopes`.
    ///
    /// RFC 9728 section 5.1 and RFC 6750 section 3.
    pub fn challenge(self, metadata: &str, scopes: &str) -> Problem {
        let mut challenge = format!("Bearer resource_metadata=\"{metadata}\"");
        let (mut problem, error) = match (&self.user, self.problem.status()) {
            (Some(UserRefusal::NoEntry | UserRefusal::Token(TokenError::Unreachable { .. })), _) => {
                return self.problem;
            }
            (Some(UserRefusal::Scope(scope)), _) => {
                challenge.push_str(&format!(", scope=\"{scope}\""));
                (self.problem, Some("insufficient_scope"))
            }
            // Clients renew a token when they get a 401, and give up at a 403.
            (_, StatusCode::FORBIDDEN) => {
                let detail = self.problem.detail().to_owned();
                (Problem::new(StatusCode::UNAUTHORIZED, self.problem.code(), detail), Some("invalid_token"))
            }
            _ => (self.problem.without_headers(), None),
        };
        if let Some(error) = error {
            challenge.push_str(&format!(", error=\"{error}\""));
        }
        if error != Some("insufficient_scope") && !scopes.is_empty() {
            challenge.push_str(&format!(", scope=\"{scopes}\""));
        }
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            problem = problem.with_header(header::WWW_AUTHENTICATE, challenge);
        }
        problem
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.problem.into_response()
    }
}

fn digest_of_key(entry: &ApiKeyConfig) -> Result<[u8; 32], KeysError> {
    let secret = entry
        .key
        .blocking_resolve()
        .map_err(|source| KeysError::Secret { name: entry.name.clone(), source })?;
    // A header's value comes without the white space around it, so a key can never be presented with any.
    let secret = secret.expose_secret().trim();
    if secret.is_empty() {
        return Err(KeysError::Empty { name: entry.name.clone() });
    }
    Ok(digest_of(secret.as_bytes()))
}

fn digest_of(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests;
