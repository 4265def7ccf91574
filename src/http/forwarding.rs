//! The headers of a request that are forwarded to servers.

use std::sync::Arc;

use http::HeaderMap;

use super::auth::Keys;
use crate::catalog::Caller;
use crate::config::ServerConfig;
use crate::upstream::CallerHeaders;

/// The headers that one of `entries` lets through, and the claims of the user. Never the gateway's own keys.
pub fn forwarded(
    keys: &Keys,
    caller: &Caller,
    headers: &HeaderMap,
    entries: &[Arc<ServerConfig>],
) -> CallerHeaders {
    let rules: Vec<_> = entries.iter().filter_map(|entry| entry.forwarding.as_ref()).collect();
    if rules.is_empty() {
        return CallerHeaders::default();
    }
    let headers = CallerHeaders::collect(headers, |name, value| {
        rules.iter().any(|rules| rules.allows(name)) && !keys.is_own(name, value)
    });
    headers.of_user(caller.user.as_ref().map(|user| user.claims.clone()))
}
