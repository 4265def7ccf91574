//! Which headers of a caller may go along to a server: the entry's allow-list, and what no list can allow.
//!
//! Pure. The rules know names only: what a value may be is the caller's affair, except that the gateway's
//! own keys never leave it, which the floor that knows the keys sees to.

mod claims;

use http::HeaderName;
use serde_json::{Map, Value};

pub use claims::ClaimText;

/// The headers that one server gets (`forwardHeaders`, or mcpo's `client_header_forwarding`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardingConfig {
    /// Names that go along.
    pub allowed: Vec<HeaderPattern>,
    /// Names that never go along: mcpo's `blacklist`, and the fixed `headers` of the entry.
    pub withheld: Vec<HeaderPattern>,
    /// Headers from the verified claims of a user. A caller's own header of such a name is withheld.
    pub claims: Vec<(HeaderName, ClaimText)>,
}

/// A header's name, in which `*` stands for any characters. Case does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderPattern(String);

const ADDRESS: &str = "it names what the caller's own request was sent to";
const MESSAGE: &str = "it describes the caller's own message or connection, and the gateway sends another";
const BROWSER: &str = "it is a browser's, about this gateway";
const PROXY: &str = "only a proxy on the way may say it, and a server would take the gateway's word for it";
const PROTOCOL: &str = "the gateway speaks MCP with the server itself";
const CALL: &str = "it differs with each call, and each caller's values get a session of their own";

/// The headers that are never forwarded, and why; `*` ends a prefix.
const NEVER: &[(&str, &str)] = &[
    ("host", ADDRESS),
    ("x-http-method-override", ADDRESS),
    ("x-original-*", ADDRESS),
    ("x-rewrite-url", ADDRESS),
    ("connection", MESSAGE),
    ("keep-alive", MESSAGE),
    ("te", MESSAGE),
    ("trailer", MESSAGE),
    ("transfer-encoding", MESSAGE),
    ("upgrade", MESSAGE),
    ("http2-settings", MESSAGE),
    ("expect", MESSAGE),
    ("max-forwards", MESSAGE),
    ("content-*", MESSAGE),
    ("accept", MESSAGE),
    ("accept-*", MESSAGE),
    ("range", MESSAGE),
    ("if-*", MESSAGE),
    ("date", MESSAGE),
    ("cache-control", MESSAGE),
    ("pragma", MESSAGE),
    ("cookie", BROWSER),
    ("cookie2", BROWSER),
    ("set-cookie", BROWSER),
    ("set-cookie2", BROWSER),
    ("origin", BROWSER),
    ("referer", BROWSER),
    ("sec-*", BROWSER),
    ("access-control-*", BROWSER),
    ("proxy-*", PROXY),
    ("forwarded", PROXY),
    ("via", PROXY),
    ("x-real-ip", PROXY),
    ("x-forwarded-*", PROXY),
    ("mcp-*", PROTOCOL),
    ("last-event-id", PROTOCOL),
    ("x-request-id", CALL),
    ("x-correlation-id", CALL),
    ("request-id", CALL),
    ("traceparent", CALL),
    ("tracestate", CALL),
    ("baggage", CALL),
    ("b3", CALL),
    ("x-b3-*", CALL),
];

/// Headers in which authenticating proxies name the user, under a prefix that is otherwise about the way.
const ABOUT_THE_USER: &[&str] = &[
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-groups",
    "x-forwarded-access-token",
];

/// Credentials: no wildcard takes them in.
const ONLY_IN_FULL: &[&str] = &["authorization", "x-forwarded-access-token", "x-openwebui-user-jwt"];

impl ForwardingConfig {
    /// Whether a header of this name goes along.
    pub fn allows(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        refusal(name).is_none()
            && self.allowed.iter().any(|pattern| pattern.allows(name))
            && !self.withheld.iter().any(|pattern| pattern.matches(name))
    }

    /// The headers from the `claims` of a user that are there.
    pub fn of_user<'a>(
        &'a self,
        claims: &'a Map<String, Value>,
    ) -> impl Iterator<Item = (HeaderName, String)> {
        self.claims.iter().filter_map(|(name, text)| Some((name.clone(), text.of(claims)?)))
    }
}

impl HeaderPattern {
    /// `None` when this cannot be a header's name with wildcards.
    pub fn parse(text: &str) -> Option<Self> {
        let filled = text.replace('*', "x");
        HeaderName::from_bytes(filled.as_bytes()).ok()?;
        Some(Self(text.to_ascii_lowercase()))
    }

    /// The name, where it has no wildcard.
    pub fn name(&self) -> Option<HeaderName> {
        HeaderName::from_bytes(self.0.as_bytes()).ok().filter(|_| !self.0.contains('*'))
    }

    /// Why no header that this matches can ever be forwarded; `None` when some can.
    pub fn refusal(&self) -> Option<&'static str> {
        let Some((head, _)) = self.0.split_once('*') else { return refusal(&self.0) };
        let prefixes = NEVER.iter().filter_map(|(name, why)| Some((name.strip_suffix('*')?, *why)));
        let (_, why) = prefixes.into_iter().find(|(prefix, _)| head.starts_with(prefix))?;
        (!ABOUT_THE_USER.iter().any(|name| self.allows(name))).then_some(why)
    }

    /// Whether this looks like it means `Authorization`, which has to be named in full.
    pub fn misses_authorization(&self) -> bool {
        self.0.starts_with("auth") && self.matches("authorization") && !self.allows("authorization")
    }

    /// Whether this is the name itself, without a wildcard.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }

    /// Whether this matches every name.
    pub fn is_everything(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    fn allows(&self, name: &str) -> bool {
        if ONLY_IN_FULL.contains(&name) { self.0 == name } else { self.matches(name) }
    }

    /// `name` in lower case.
    fn matches(&self, name: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut left) = name.strip_prefix(head) else { return false };
        let Some((middle, tail)) = rest.rsplit_once('*') else { return left.ends_with(rest) };
        // The first place that fits is as good as any later one, and leaves the most for what follows.
        for part in middle.split('*') {
            let Some(at) = left.find(part) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(tail)
    }
}

/// Why a header of this name (in lower case) is never forwarded.
fn refusal(name: &str) -> Option<&'static str> {
    if ABOUT_THE_USER.contains(&name) {
        return None;
    }
    let refuses = |known: &str| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == known,
    };
    NEVER.iter().find(|(known, _)| refuses(known)).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests;
