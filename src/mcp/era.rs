//! The members that the stateless era wants in each result.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::with_members;
use crate::protocol::method;

/// How long a client may use a list before it asks again, in milliseconds: short, since a server that comes back
/// with other tools is what lists are there to tell. Servers of the older era say nothing of it themselves.
pub const LIST_TTL: u32 = 10_000;

/// A result with what the stateless era wants of each (2026-07-28, schema, `Result` and `CacheableResult`), where its
/// server did not say it itself.
pub fn completed(method: &str, result: Bytes, is_open: bool) -> Bytes {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said<'a> {
        #[serde(borrow)]
        result_type: Option<&'a RawValue>,
        #[serde(borrow)]
        ttl_ms: Option<&'a RawValue>,
        #[serde(borrow)]
        cache_scope: Option<&'a RawValue>,
    }
    let ttl = match method {
        method::SERVER_DISCOVER
        | method::TOOLS_LIST
        | method::PROMPTS_LIST
        | method::RESOURCES_LIST
        | method::RESOURCES_TEMPLATES_LIST => Some(LIST_TTL),
        // Only its server knows how long it holds.
        method::RESOURCES_READ => Some(0),
        _ => None,
    };
    // As an SDK begins a result; a second reading would find nothing to add.
    if ttl.is_none() && result.starts_with(br#"{"resultType":"complete","#) {
        return result;
    }
    // Hardly any result says something of it, and none needs to be read through to know that.
    static NAMES: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["\"resultType\"", "\"ttlMs\"", "\"cacheScope\""].map(Finder::new));
    let says = NAMES.iter().any(|name| name.find(&result).is_some());
    let said: Said<'_> = says.then(|| serde_json::from_slice(&result).ok()).flatten().unwrap_or_default();
    let mut members = String::new();
    if said.result_type.is_none() {
        members.push_str(r#""resultType":"complete","#);
    }
    // What wants input first is no result to keep.
    let is_interim = said.result_type.is_some_and(|kind| kind.get() != r#""complete""#);
    if let Some(ttl) = ttl.filter(|_| !is_interim) {
        if said.ttl_ms.is_none() {
            members.push_str(&format!(r#""ttlMs":{ttl},"#));
        }
        if said.cache_scope.is_none() {
            // With keys, what is listed hangs on whose it is.
            members.push_str(&format!(r#""cacheScope":"{}","#, if is_open { "public" } else { "private" }));
        }
    }
    match members.strip_suffix(',') {
        Some(members) => with_members(&result, members),
        None => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_get_what_their_server_did_not_say() {
        let complete = |method, text: &'static str| {
            String::from_utf8(completed(method, Bytes::from_static(text.as_bytes()), false).to_vec()).unwrap()
        };
        assert_eq!(complete("tools/call", r#"{"content":[]}"#), r#"{"resultType":"complete","content":[]}"#);
        assert_eq!(complete("tools/call", r#"{"resultType":"x"}"#), r#"{"resultType":"x"}"#);
        assert_eq!(complete("ping", "{}"), r#"{"resultType":"complete"}"#);
        let said = r#"{"resultType":"complete","contents":[]}"#;
        assert_eq!(complete("tools/call", said), said);
        assert_eq!(
            complete("resources/read", said),
            r#"{"ttlMs":0,"cacheScope":"private","resultType":"complete","contents":[]}"#
        );
        assert_eq!(
            complete("resources/read", r#" { "ttlMs": 5, "contents":[]}"#),
            r#"{"resultType":"complete","cacheScope":"private", "ttlMs": 5, "contents":[]}"#
        );
    }
}
