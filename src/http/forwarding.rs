//! The headers of a request that are forwarded to servers.

use std::sync::Arc;

use http::HeaderMap;

use super::auth::{Keys, bearer_of};
use crate::catalog::Caller;
use crate::config::ServerConfig;
use crate::upstream::CallerHeaders;

/// What goes along of a request to the servers of `entries`.
///
/// The headers that one of them lets through, but never the gateway's own keys; the claims of the user, and its token
/// where that is exchanged.
pub fn forwarded(
    keys: &Keys,
    caller: &Caller,
    headers: &HeaderMap,
    entries: &[Arc<ServerConfig>],
) -> CallerHeaders {
    let rules: Vec<_> = entries.iter().filter_map(|entry| entry.forwarding.as_ref()).collect();
    // With a key the user is known by another header.
    let is_bearer = caller.user.is_some() && caller.fingerprint.is_none();
    let token = match is_bearer && entries.iter().any(|entry| entry.exchanges_tokens()) {
        true => bearer_of(headers),
        false => None,
    };
    if rules.is_empty() {
        return CallerHeaders::default().with_token(token);
    }
    let headers = CallerHeaders::collect(headers, |name, value| {
        rules.iter().any(|rules| rules.allows(name)) && !keys.is_own(name, value)
    });
    headers.of_user(caller.user.as_ref().map(|user| user.claims.clone())).with_token(token)
}
