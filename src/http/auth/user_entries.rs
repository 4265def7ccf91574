//! The entries of `users`: which claims a user has, and what it may do then.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use super::error::KeysError;
use super::scopes::Scopes;
use crate::catalog::{Caller, CallerLimits, User};
use crate::config::{RightsConfig, UserConfig};
use crate::http::answer::Problem;
use crate::issuer::{Claims, TokenError};
use crate::json::{claim, clip};
use crate::shares::{Principal, UserName};
use crate::telemetry::text::visible;

/// The `Retry-After` while an issuer is away, in seconds.
const RETRY_AFTER: u64 = 10;
/// The longest name of a user in the log, in bytes: it is the issuer's.
const NAME_LENGTH: usize = 128;

/// The entries for the users of one issuer.
#[derive(Debug)]
pub struct UserEntries {
    /// Its address, or what it calls itself.
    pub issuer: Arc<str>,
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

impl UserEntries {
    pub fn new(issuer: &str, users: &[UserConfig], scopes: &mut Scopes) -> Result<Self, KeysError> {
        let entries = users.iter().enumerate().map(|(index, entry)| {
            let place = || format!("{issuer} users[{index}]");
            UserEntry::new(entry, scopes, &place)
        });
        Ok(Self { issuer: issuer.into(), entries: entries.collect::<Result<_, _>>()? })
    }

    /// The scopes that entries ask for.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let claims = self.entries.iter().flat_map(|entry| &entry.claims);
        claims.filter(|(name, _)| name == "scope").map(|(_, value)| &**value)
    }

    /// The caller whom the first entry that matches `claims` gives its rights.
    ///
    /// `key` is the caller of the API key that stands beside.
    ///
    /// # Errors
    ///
    /// When none matches, which the log says with the names of the claims.
    pub fn admit(&self, claims: Claims, key: Option<&Caller>) -> Result<Caller, UserRefusal> {
        let claims = Arc::new(claims);
        self.caller_of(&claims, key).ok_or_else(|| self.refuse(&claims))
    }

    /// As [`UserEntries::admit`], for claims that were admitted under an earlier configuration.
    pub fn caller_of(&self, claims: &Arc<Claims>, key: Option<&Caller>) -> Option<Caller> {
        let entry = self.entries.iter().find(|entry| entry.missing(claims).is_none())?;
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
        let name =
            UserName { id: format!("{} {subject}", self.issuer).into(), shown: shown_name(claims).into() };
        let user = Arc::new(User { issuer: self.issuer.clone(), claims: claims.clone() });
        let key_name = key.and_then(|key| key.principal.key_name());
        Some(Caller {
            principal: Principal::of_user(key_name, name),
            fingerprint: key.and_then(|key| key.fingerprint),
            user: Some(user),
            ..entry.caller.clone()
        })
    }

    fn refuse(&self, claims: &Claims) -> UserRefusal {
        let names: Vec<&str> = claims.keys().map(String::as_str).collect();
        tracing::info!(
            target: "mcpo::refusal",
            "the user {} of {} is refused, because no entry of `users` matches; its token has the claims {}",
            shown_name(claims),
            self.issuer,
            visible(clip(&names.join(", "), 1000))
        );
        let mut missing = self.entries.iter().filter_map(|entry| entry.missing(claims));
        let scope = missing.find_map(|missing| match missing[..] {
            [("scope", scope)] => Some(UserRefusal::Scope(scope.to_owned())),
            _ => None,
        });
        scope.unwrap_or(UserRefusal::NoEntry)
    }
}

impl UserRefusal {
    /// The answer to the bearer.
    pub(super) fn problem(&self) -> Problem {
        let forbidden = |code, detail: String| Problem::new(StatusCode::FORBIDDEN, code, detail);
        match self {
            Self::Token(error @ TokenError::Unreachable { issuer, .. }) => {
                // The reason names addresses inside, and a caller without any rights can send a token.
                tracing::info!(target: "mcpo::refusal", "the token of a caller cannot be checked: {error}");
                let detail = format!(
                    "The token cannot be checked, because its issuer {issuer} does not answer as it should; the log of the \
                     gateway says why"
                );
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

impl UserEntry {
    fn new(config: &UserConfig, scopes: &mut Scopes, place: &dyn Fn() -> String) -> Result<Self, KeysError> {
        let RightsConfig { rate, concurrency, .. } = config.rights;
        let limits = CallerLimits { rate, concurrency };
        let caller = Caller { limits, ..scopes.caller(&config.rights, place)? };
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
    match claim(claims, name) {
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
