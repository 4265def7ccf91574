//! The members that the stateless era wants in each result.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::response::fault::with_members;
use crate::json::Members;
use crate::protocol::method;
use crate::upstream::Freshness;

/// How long a client may use a list before it asks again, in milliseconds.
///
/// Short, since a list has to show that a server is back with other tools. Servers of the era of sessions give no time.
pub const LIST_TTL: u64 = 10_000;

/// The members for caches of a list, which is kept for at most `longest` milliseconds.
pub fn cache_members(freshness: Freshness, longest: u64, is_private: bool) -> String {
    let ttl = freshness.ttl.unwrap_or(longest).min(longest);
    let scope = if is_private || freshness.is_private { "private" } else { "public" };
    format!(",\"ttlMs\":{ttl},\"cacheScope\":\"{scope}\"")
}

/// A result with the members that the stateless era requires, where its server did not send them.
///
/// 2026-07-28, schema, `Result` and `CacheableResult`.
pub fn completed(method: &str, result: Bytes, is_open: bool) -> Bytes {
    let ttl = match method {
        method::SERVER_DISCOVER
        | method::TOOLS_LIST
        | method::PROMPTS_LIST
        | method::RESOURCES_LIST
        | method::RESOURCES_TEMPLATES_LIST => Some(LIST_TTL),
        // Only the server knows how long the contents hold.
        method::RESOURCES_READ => Some(0),
        _ => None,
    };
    // SDKs begin a result like this; reading it again would find nothing to add.
    if ttl.is_none() && result.starts_with(br#"{"resultType":"complete","#) {
        return result;
    }
    // Few results have these members, and a search for their names shows that without reading the result.
    static NAMES: LazyLock<[Finder<'static>; 3]> =
        LazyLock::new(|| ["\"resultType\"", "\"ttlMs\"", "\"cacheScope\""].map(Finder::new));
    let says = NAMES.iter().any(|name| name.find(&result).is_some());
    let said: Members<'_> = says.then(|| serde_json::from_slice(&result).ok()).flatten().unwrap_or_default();
    let mut members = String::new();
    let kind = said.get("resultType");
    if kind.is_none() {
        members.push_str(r#""resultType":"complete","#);
    }
    // An interim `input_required` is not to be cached.
    let is_interim = kind.is_some_and(|kind| kind.get() != r#""complete""#);
    if let Some(ttl) = ttl.filter(|_| !is_interim) {
        if said.get("ttlMs").is_none() {
            members.push_str(&format!(r#""ttlMs":{ttl},"#));
        }
        if said.get("cacheScope").is_none() {
            // With keys, a list depends on its caller.
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
