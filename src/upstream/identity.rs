//! The identity that a server sees of a call: the headers of the caller that its entry lets through.
//!
//! Values are secrets. They are marked as such, compared by digest, and no `Debug` shows them.

use std::fmt;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::config::ForwardingConfig;
use crate::shares::Principal;
use crate::upstream::isolation::IsolatedCaller;

/// Headers of one request that may go along to some server, and the claims of its user.
///
/// Each server's own rules choose from them. Cheap to clone.
#[derive(Clone, Default)]
pub struct CallerHeaders {
    headers: Option<Arc<HeaderMap>>,
    claims: Option<Arc<Map<String, Value>>>,
    /// The token by which the user is known, for servers where it is exchanged.
    token: Option<Arc<SecretString>>,
}

/// The identity of one call: the headers that go to a server, and the client that the server may ask. Calls of equal
/// identities may share a session of that server, others never do. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    key: IdentityKey,
    /// The principal that its connection counts for.
    principal: Principal,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    client: Option<ClientSide>,
    /// Of an isolated server.
    caller: Option<IsolatedCaller>,
    /// The user, as a digest, where the server has tokens of each.
    user: Option<Arc<str>>,
}

/// A client that needs a connection of its own. The server may ask it something, or it wants the log messages of its
/// own calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ClientSide {
    /// Stands for the client: a session, or one of the slots of a caller without sessions.
    pub key: IdentityKey,
    /// Stands for all clients that may be in its place: equal to `key` for a session.
    pub alike: IdentityKey,
    /// The principal of the client.
    pub principal: Principal,
    /// The JSON text of what it declares: an object with some of `elicitation`, `sampling` and `roots`.
    pub capabilities: Arc<str>,
    /// The least level of the log messages that it wants.
    pub log_level: Option<Arc<str>>,
    /// Cancelled when the client's session has ended, and with it the need for its connection.
    pub ended: Option<CancellationToken>,
}

/// Stands for an identity without holding any of its values.
pub type IdentityKey = [u8; 32];

impl CallerHeaders {
    /// Takes the `headers` for which `may_go`. Headers that the request's own `Connection` header names belong to
    /// that connection (RFC 9110 section 7.6.1) and are left out.
    pub fn collect(headers: &HeaderMap, may_go: impl Fn(&HeaderName, &HeaderValue) -> bool) -> Self {
        let nominated = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let nominated: Vec<&str> = nominated.flat_map(|value| value.split(',')).map(str::trim).collect();
        let is_nominated =
            |name: &HeaderName| nominated.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()));
        let mut taken = HeaderMap::new();
        for (name, value) in headers {
            if may_go(name, value) && !is_nominated(name) {
                let mut value = value.clone();
                value.set_sensitive(true);
                taken.append(name.clone(), value);
            }
        }
        Self { headers: (!taken.is_empty()).then(|| Arc::new(taken)), ..Self::default() }
    }

    /// With the verified claims of the user.
    pub fn of_user(self, claims: Option<Arc<Map<String, Value>>>) -> Self {
        Self { claims, ..self }
    }

    /// With the token by which the user is known.
    pub fn with_token(self, token: Option<SecretString>) -> Self {
        Self { token: token.map(Arc::new), ..self }
    }

    /// The token by which the user is known.
    pub fn token(&self) -> Option<&Arc<SecretString>> {
        self.token.as_ref()
    }

    /// Whether there is nothing that could go along.
    pub fn is_empty(&self) -> bool {
        self.headers.is_none() && self.claims.is_none()
    }
}

impl Identity {
    /// The headers that `rules` let through; `None` when there are none.
    pub fn new(rules: &ForwardingConfig, principal: &Principal, headers: &CallerHeaders) -> Option<Self> {
        let mut pairs: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for (name, value) in headers.headers.iter().flat_map(|headers| headers.iter()) {
            if rules.allows(name) {
                pairs.push((name.clone(), value.clone()));
            }
        }
        for (name, text) in headers.claims.iter().flat_map(|claims| rules.of_user(claims)) {
            let Ok(mut value) = HeaderValue::try_from(text) else { continue };
            value.set_sensitive(true);
            pairs.push((name, value));
        }
        if pairs.is_empty() {
            return None;
        }
        // The order of values under one name may mean something, so it stays.
        pairs.sort_by(|one, other| one.0.as_str().cmp(other.0.as_str()));
        let headers: Arc<[(HeaderName, HeaderValue)]> = pairs.into();
        let mut digest = Sha256::new();
        for (name, value) in &*headers {
            for bytes in [name.as_str().as_bytes(), value.as_bytes()] {
                // With its length, so that no two lists of pairs read the same.
                digest.update(bytes.len().to_le_bytes());
                digest.update(bytes);
            }
        }
        let (key, principal) = (digest.finalize().into(), principal.clone());
        Some(Self { key, principal, headers, client: None, caller: None, user: None })
    }

    /// The identity of `base` at an isolated server, which serves `caller` apart from all others.
    pub fn of_caller(base: Option<Self>, caller: IsolatedCaller, principal: &Principal) -> Self {
        let mut digest = Sha256::new();
        digest.update(&*caller.name);
        digest.update(base.as_ref().map(Self::key).unwrap_or_default());
        let headers = base.map_or_else(|| Arc::from([]), |base| base.headers);
        let (key, principal) = (digest.finalize().into(), principal.clone());
        Self { key, principal, headers, client: None, caller: Some(caller), user: None }
    }

    /// The identity of `base` for one `user`, a digest; without any headers when there is no `base`.
    pub fn of_user(base: Option<Self>, principal: &Principal, user: Arc<str>) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"user");
        digest.update(&*user);
        digest.update(base.as_ref().map(Self::key).unwrap_or_default());
        let caller = base.as_ref().and_then(|base| base.caller.clone());
        let headers = base.map_or_else(|| Arc::from([]), |base| base.headers);
        let (key, principal) = (digest.finalize().into(), principal.clone());
        Self { key, principal, headers, client: None, caller, user: Some(user) }
    }

    /// The identity of `base` for one `client`; without any headers when there is no `base`.
    pub fn of_client(base: Option<&Self>, client: &ClientSide) -> Self {
        let mut digest = Sha256::new();
        digest.update(client.key);
        digest.update(base.map(Self::key).unwrap_or_default());
        // The log level is set over the same connection, so it is not part of the key.
        digest.update(&*client.capabilities);
        let headers = base.map_or_else(|| Arc::from([]), |base| base.headers.clone());
        let principal = client.principal.clone();
        let caller = base.and_then(|base| base.caller.clone());
        let user = base.and_then(|base| base.user.clone());
        Self { key: digest.finalize().into(), principal, headers, client: Some(client.clone()), caller, user }
    }

    /// The user, as a digest, where the server has tokens of each.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// The client behind the calls.
    pub fn client(&self) -> Option<&ClientSide> {
        self.client.as_ref()
    }

    /// The caller that an isolated server keeps apart.
    pub fn caller(&self) -> Option<&IsolatedCaller> {
        self.caller.as_ref()
    }

    /// Cancelled when no further call can have this identity, as its session has ended.
    pub fn ended(&self) -> Option<&CancellationToken> {
        let of_client = self.client.as_ref().and_then(|client| client.ended.as_ref());
        of_client.or_else(|| self.caller.as_ref()?.ended.as_ref())
    }

    /// The principal that its connection counts for: that of the caller that opens it.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Equal for equal headers.
    pub fn key(&self) -> IdentityKey {
        self.key
    }

    /// Sorted by name.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

impl fmt::Debug for CallerHeaders {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.headers.iter().flat_map(|headers| headers.keys())).finish()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.headers.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HeaderPattern;

    fn rules(allowed: &[&str]) -> ForwardingConfig {
        let allowed = allowed.iter().map(|pattern| HeaderPattern::parse(pattern).unwrap()).collect();
        ForwardingConfig { allowed, withheld: Vec::new(), claims: Vec::new() }
    }

    fn caller(pairs: &[(&str, &str)]) -> CallerHeaders {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        CallerHeaders::collect(&headers, |_, _| true)
    }

    fn key(pairs: &[(&str, &str)]) -> Option<IdentityKey> {
        Identity::new(&rules(&["X-*"]), &Principal::default(), &caller(pairs)).map(|identity| identity.key())
    }

    #[test]
    fn equal_headers_are_one_identity_whatever_their_order_and_the_rest_of_the_request() {
        let one = key(&[("X-A", "1"), ("X-B", "2")]);
        assert!(one.is_some());
        assert_eq!(one, key(&[("x-b", "2"), ("Other", "9"), ("x-a", "1")]));
    }

    #[test]
    fn every_difference_is_another_identity() {
        let all = [
            key(&[("X-A", "1"), ("X-B", "2")]),
            key(&[("X-A", "1")]),
            key(&[("X-A", "2"), ("X-B", "1")]),
            key(&[("X-A", "12"), ("X-B", "")]),
            key(&[("X-A", "1"), ("X-A", "2")]),
            key(&[("X-A", "2"), ("X-A", "1")]),
            key(&[("X-A", "1x-b2")]),
            key(&[("X-A", "")]),
            key(&[("Other", "1")]),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "number {index} is there twice");
        }
        assert_eq!(all[all.len() - 1], None);
    }

    #[test]
    fn headers_that_belong_to_the_callers_connection_stay_there() {
        let caller = caller(&[("Connection", "close, X-Hop"), ("X-Hop", "1"), ("X-A", "2")]);
        let identity = Identity::new(&rules(&["X-*"]), &Principal::default(), &caller).unwrap();
        let names: Vec<&str> = identity.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-a"]);
    }

    #[test]
    fn nothing_shows_a_value() {
        let caller = caller(&[("X-Token", "hunter2")]);
        let identity = Identity::new(&rules(&["X-*"]), &Principal::default(), &caller).unwrap();
        let shown = format!("{caller:?} {identity:?} {:?}", identity.headers());
        assert!(shown.contains("x-token") && !shown.contains("hunter2"), "{shown}");
    }
}
