//! Users: the callers with an access token of an issuer, and what they may do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use papaya::HashMap;
use serde_json::Value;

use super::error::KeysError;
use super::scopes::Scopes;
use crate::catalog::{Caller, CallerLimits, User};
use crate::config::{IssuerConfig, RightsConfig, UserConfig};
use crate::http::answer::Problem;
use crate::issuer::{
    AcceptedToken, Audience, Claims, IntrospectionSecret, Issuer, IssuerRegistry, TokenError, issuer_of,
};
use crate::json::clip;
use crate::shares::{Principal, UserName};
use crate::telemetry::text::visible;

/// Callers that are remembered by their tokens; beyond, those whose tokens have ended are forgotten, or else all.
const REMEMBERED: usize = 10_000;
/// How long a token is taken for good without a look at the keys of its issuer, which may have withdrawn one.
const TRUSTED_FOR: Duration = Duration::from_secs(60);
/// The `Retry-After` while an issuer is away, in seconds.
const RETRY_AFTER: u64 = 10;
/// The longest name of a user in the log, in bytes: it is the issuer's.
const NAME_LENGTH: usize = 128;
/// The longest token, in bytes. A request's head is no longer.
const TOKEN_LENGTH: usize = 64 * 1024;

/// The issuers of a configuration, and their users.
#[derive(Debug)]
pub struct Users {
    issuers: Vec<IssuerUsers>,
    /// By the digest of a token. A token is checked once, and again when it ends.
    known: HashMap<[u8; 32], (Caller, SystemTime)>,
}

#[derive(Debug)]
struct IssuerUsers {
    address: Arc<str>,
    issuer: Option<Arc<Issuer>>,
    audience: Audience,
    client: Option<IntrospectionSecret>,
    entries: Vec<UserEntry>,
}

/// One of `users`: the claims, and the caller with its rights but without a name.
#[derive(Debug)]
struct UserEntry {
    claims: Vec<(String, String)>,
    caller: Caller,
}

/// Why the bearer of a token is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRefusal {
    Token(TokenError),
    /// The token is good, but no entry of `users` matches its claims.
    NoEntry,
    /// An entry matches but for the scope that it asks for.
    Scope(String),
}

impl Users {
    /// The users of `issuers`; `base` is the address under which the gateway is known. May have to wait for files.
    pub fn new(issuers: &[IssuerConfig], base: Option<&str>, scopes: &mut Scopes) -> Result<Self, KeysError> {
        let issuers = issuers.iter().map(|config| {
            let client = config.client.as_ref().map(|client| {
                let secret = client.secret.blocking_resolve();
                let bad = |source| KeysError::Client { issuer: config.issuer.clone(), source };
                Ok::<_, KeysError>(IntrospectionSecret {
                    id: client.id.clone(),
                    secret: secret.map_err(bad)?,
                })
            });
            let entries = config.users.iter().enumerate().map(|(index, entry)| {
                let place = || format!("{} users[{index}]", config.issuer);
                UserEntry::new(entry, scopes, &place)
            });
            let own = base.map(|base| vec![base.to_owned(), format!("{base}/*")]);
            let audience = if config.audience.is_empty() { own } else { Some(config.audience.clone()) };
            Ok::<_, KeysError>(IssuerUsers {
                address: config.issuer.as_str().into(),
                issuer: None,
                audience: Audience(audience.unwrap_or_default()),
                client: client.transpose()?,
                entries: entries.collect::<Result<_, _>>()?,
            })
        });
        Ok(Self { issuers: issuers.collect::<Result<_, _>>()?, known: HashMap::new() })
    }

    /// Has the issuers asked over the connections of `registry`.
    pub fn connect(&mut self, registry: &IssuerRegistry) {
        for users in &mut self.issuers {
            users.issuer = Some(registry.issuer(&users.address));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// The addresses of all issuers.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|users| &*users.address)
    }

    /// The scopes that entries of `users` ask for.
    pub fn scopes(&self) -> Vec<&str> {
        let entries = self.issuers.iter().flat_map(|users| &users.entries);
        let mut scopes: Vec<&str> = entries
            .flat_map(|entry| &entry.claims)
            .filter(|(name, _)| name == "scope")
            .map(|(_, value)| &**value)
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// The bearer of `token`, whose digest is `digest`.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub async fn caller(&self, digest: [u8; 32], token: &[u8]) -> Result<Caller, UserRefusal> {
        if let Some((caller, until)) = self.known.pin().get(&digest)
            && SystemTime::now() < *until
        {
            return Ok(caller.clone());
        }
        let (users, token) = self.accepted(token).await.map_err(UserRefusal::Token)?;
        let caller = users.caller_of(token.claims)?;
        self.remember(digest, caller.clone(), token.until.min(SystemTime::now() + TRUSTED_FOR));
        Ok(caller)
    }

    /// `before`, a user under an earlier configuration, with its rights under this one.
    pub fn again(&self, user: &User) -> Option<Caller> {
        let users = self.issuers.iter().find(|users| users.address == user.issuer)?;
        users.caller_of(user.claims.clone()).ok()
    }

    async fn accepted(&self, token: &[u8]) -> Result<(&IssuerUsers, AcceptedToken), TokenError> {
        let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= TOKEN_LENGTH);
        let token = token.ok_or(TokenError::Unknown)?;
        if let Some(named) = issuer_of(token) {
            let users =
                self.issuers.iter().find(|users| *users.address == named).ok_or(TokenError::Unknown)?;
            return Ok((users, users.issuer()?.verify(token, &users.audience).await?));
        }
        // A token that says nothing of its issuer is shown to each that can be asked.
        let mut refusal = TokenError::Unknown;
        for users in &self.issuers {
            let Some(client) = &users.client else { continue };
            match users.issuer()?.introspect(token, client, &users.audience).await {
                Ok(token) => return Ok((users, token)),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn remember(&self, digest: [u8; 32], caller: Caller, until: SystemTime) {
        let known = self.known.pin();
        if known.len() >= REMEMBERED {
            let now = SystemTime::now();
            known.retain(|_, (_, until)| now < *until);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        known.insert(digest, (caller, until));
    }
}

impl UserRefusal {
    /// The answer to the bearer.
    pub(super) fn problem(&self) -> Problem {
        let forbidden = |code, detail: String| Problem::new(StatusCode::FORBIDDEN, code, detail);
        match self {
            Self::Token(error @ TokenError::Unreachable { .. }) => {
                let detail = format!("The token cannot be checked: {error}");
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "issuer_unreachable", detail)
                    .retry_after(RETRY_AFTER)
            }
            Self::Token(error) => forbidden("wrong_token", format!("The token is not accepted: {error}")),
            Self::Scope(scope) => {
                forbidden("insufficient_scope", format!("The token is good, but lacks the scope `{scope}`"))
            }
            Self::NoEntry => forbidden(
                "unknown_user",
                "The token is good, but its user may do nothing here: no entry of `users` matches its claims"
                    .to_owned(),
            ),
        }
    }
}

impl IssuerUsers {
    fn issuer(&self) -> Result<&Arc<Issuer>, TokenError> {
        self.issuer.as_ref().ok_or(TokenError::Unknown)
    }

    /// The caller whom the first entry that matches `claims` gives its rights.
    fn caller_of(&self, claims: Claims) -> Result<Caller, UserRefusal> {
        let Some(entry) = self.entries.iter().find(|entry| entry.missing(&claims).is_none()) else {
            let names: Vec<&str> = claims.keys().map(String::as_str).collect();
            let missing = self.entries.iter().filter_map(|entry| entry.missing(&claims));
            let refusal = missing.into_iter().find_map(|missing| match missing[..] {
                [("scope", scope)] => Some(UserRefusal::Scope(scope.to_owned())),
                _ => None,
            });
            tracing::info!(
                target: "mcpo::refusal",
                "the user {} of {} is refused, because no entry of `users` matches; its token has the claims {}",
                shown_name(&claims),
                self.address,
                visible(clip(&names.join(", "), 1000))
            );
            return Err(refusal.unwrap_or(UserRefusal::NoEntry));
        };
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let name =
            UserName { id: format!("{} {subject}", self.address).into(), shown: shown_name(&claims).into() };
        let user = Arc::new(User { issuer: self.address.clone(), claims });
        Ok(Caller { principal: Principal::of_user(None, name), user: Some(user), ..entry.caller.clone() })
    }
}

impl UserEntry {
    fn new(config: &UserConfig, scopes: &mut Scopes, place: &dyn Fn() -> String) -> Result<Self, KeysError> {
        let (scope, reach) = scopes.of(&config.rights, place)?;
        let RightsConfig { rate, concurrency, .. } = config.rights;
        let caller = Caller {
            principal: Principal::default(),
            fingerprint: None,
            user: None,
            limits: CallerLimits { rate, concurrency },
            profile: None,
            admin: config.rights.admin,
            metrics: config.rights.metrics || scope.is_unlimited(),
            scope,
            reach,
        };
        Ok(Self { claims: config.claims.clone(), caller })
    }

    /// The claims of the entry that `claims` does not hold; `None` when it holds all.
    fn missing(&self, claims: &Claims) -> Option<Vec<(&str, &str)>> {
        let pairs = self.claims.iter().map(|(name, value)| (&**name, &**value));
        let missing: Vec<(&str, &str)> = pairs.filter(|(name, value)| !holds(claims, name, value)).collect();
        (!missing.is_empty()).then_some(missing)
    }
}

/// Whether the claim `name` is `value`, or a list that holds it. `a.b` is the member `b` of `a` where no claim has the
/// whole name.
fn holds(claims: &Claims, name: &str, value: &str) -> bool {
    let nested = || {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, name| value.get(name))
    };
    match claims.get(name).or_else(nested) {
        Some(Value::Array(items)) => items.iter().any(|item| is(item, value)),
        // RFC 6749 section 3.3: scopes are one text with spaces.
        Some(Value::String(text)) if name == "scope" => text.split(' ').any(|scope| scope == value),
        Some(found) => is(found, value),
        None => false,
    }
}

fn is(found: &Value, value: &str) -> bool {
    match found {
        Value::String(text) => text == value,
        Value::Bool(_) | Value::Number(_) => {
            serde_json::from_str::<Value>(value).is_ok_and(|value| *found == value)
        }
        _ => false,
    }
}

/// The name that people know a user by.
fn shown_name(claims: &Claims) -> String {
    let names = ["email", "preferred_username", "username", "name", "sub"];
    let mut names =
        names.iter().filter_map(|name| claims.get(*name)?.as_str().filter(|name| !name.is_empty()));
    visible(clip(names.next().unwrap_or("without a name"), NAME_LENGTH)).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_held_as_a_value_in_a_list_and_below_a_member() {
        let claims = json!({
            "groups": ["ops", "home"], "email_verified": true, "level": 3, "scope": "read tools:call",
            "realm_access": { "roles": ["admin"] }, "https://a.test/role": "x.y"
        });
        let Value::Object(claims) = claims else { unreachable!("it is an object") };
        for (name, value) in [
            ("groups", "ops"),
            ("email_verified", "true"),
            ("level", "3"),
            ("scope", "tools:call"),
            ("realm_access.roles", "admin"),
            ("https://a.test/role", "x.y"),
        ] {
            assert!(holds(&claims, name, value), "{name}");
            assert!(!holds(&claims, name, "op"), "{name}");
        }
        assert!(!holds(&claims, "scope", "read tools:call") && !holds(&claims, "realm_access", "admin"));
        assert!(!holds(&claims, "groups.0", "ops") && !holds(&claims, "none", ""));
    }
}
