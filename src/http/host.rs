//! Which `Host` is served and which web pages may ask: the defence of a gateway without keys.
//!
//! **The threat.** A gateway without a key trusts every client that reaches its address. A web page in the operator's
//! browser reaches loopback too: directly (its `Origin` is then foreign), or by DNS rebinding, where its own
//! name resolves to our address (its `Host` is then foreign). So without a key both must be known. With a key
//! a browser carries nothing by itself and any Host is served, with one exception: credentials that a browser
//! remembered for Basic are sent by themselves, so a foreign page must not ride on them.
//!
//! **Unix sockets.** No browser opens one and no name resolves to one, so clients on it may send any Host
//! (`curl --unix-socket` invents one). Yet a proxy may stand before it and pass on what browsers ask of the proxy;
//! those requests carry an `Origin`, and are judged as on a port.

use std::net::IpAddr;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version, header};

use super::answer::Problem;
use crate::config::ListenConfig;
use crate::trace::Peer;

/// The stable code of a refusal of a page.
pub const ORIGIN_NOT_ALLOWED: &str = "origin_not_allowed";

/// The Host and Origin rules, built once at start.
#[derive(Debug)]
pub struct HostRule {
    keyless: bool,
    /// Names that are ours, in lower case.
    names: Vec<String>,
    allowed: GlobSet,
    /// Origins listed by name; `*` is not one of them.
    origins: Vec<String>,
    public_origin: Option<String>,
}

/// A setting that the rules cannot use.
#[derive(Debug, thiserror::Error)]
pub enum HostRuleError {
    #[error("`allowedHosts`: `{pattern}` is not a host name or pattern: {source}")]
    Pattern { pattern: String, source: globset::Error },
    #[error("`publicUrl`: `{url}` is not an http or https URL with a host")]
    PublicUrl { url: String },
}

impl HostRule {
    /// `keyless` says that no API key is configured.
    pub fn new(listen: &ListenConfig, keyless: bool) -> Result<Self, HostRuleError> {
        let mut names = vec!["localhost".to_owned(), listen.host.to_ascii_lowercase()];
        names.extend(own_names());
        let mut public_origin = None;
        if let Some(text) = &listen.public_url {
            let bad = || HostRuleError::PublicUrl { url: text.clone() };
            let parsed = url::Url::parse(text).map_err(|_| bad())?;
            let host = parsed.host_str().filter(|_| matches!(parsed.scheme(), "http" | "https"));
            names.push(host.ok_or_else(bad)?.to_ascii_lowercase());
            public_origin = Some(parsed.origin().ascii_serialization());
        }
        let mut allowed = GlobSetBuilder::new();
        for pattern in &listen.allowed_hosts {
            let glob = GlobBuilder::new(pattern)
                .case_insensitive(true)
                .build()
                .map_err(|source| HostRuleError::Pattern { pattern: pattern.clone(), source })?;
            allowed.add(glob);
        }
        let allowed = allowed
            .build()
            .map_err(|source| HostRuleError::Pattern { pattern: listen.allowed_hosts.join(", "), source })?;
        // `null` is every sandboxed frame of every site, so listing it cannot name a page.
        let listed = listen.cors_allow_origins.iter().filter(|origin| *origin != "*" && *origin != "null");
        let origins = listed.map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect();
        Ok(Self { keyless, names, allowed, origins, public_origin })
    }

    /// Checks the Host and Origin of a request: 400 without one Host, 421 or 403 for a foreign one.
    pub fn check<B>(&self, request: &Request<B>, peer: Peer) -> Result<(), Problem> {
        let (uri, headers) = (request.uri(), request.headers());
        let stated = stated_once(request.version(), headers)?;
        if self.keyless {
            if !peer.is_unix() || headers.contains_key(header::ORIGIN) {
                self.check_host(uri, stated)?;
            }
        } else if !headers.get(header::AUTHORIZATION).is_some_and(|value| is_basic(value.as_bytes())) {
            return Ok(());
        }
        self.check_origin(uri, headers)
    }

    /// HTTP/2's `:authority` (or an absolute target) and `Host` must both be served, whichever are there.
    fn check_host(&self, uri: &Uri, stated: Option<&HeaderValue>) -> Result<(), Problem> {
        let stated_served = match stated {
            Some(value) => Authority::try_from(value.as_bytes()).is_ok_and(|host| self.serves(&host)),
            // Every browser names a host; HTTP/1.0 probes, which do not, cannot be rebound.
            None => true,
        };
        if stated_served && uri.authority().is_none_or(|host| self.serves(host)) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host_not_allowed",
            "This Host is not served while no API key is configured. Add it to `allowedHosts`, \
             set `publicUrl`, or configure an API key.",
        ))
    }

    fn serves(&self, authority: &Authority) -> bool {
        let host = authority.host();
        // Anything before the name or behind the port may mean something to another reader of the header.
        let rest = authority.as_str().strip_prefix(host);
        let is_plain = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        if !is_plain {
            return false;
        }
        let host = host.trim_end_matches('.');
        let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if literal.parse::<IpAddr>().is_ok() {
            return true;
        }
        let host = host.to_ascii_lowercase();
        self.names.contains(&host) || host.ends_with(".localhost") || self.allowed.is_match(&host)
    }

    fn check_origin(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        // Not a browser, or a browser on a page of ours.
        let Some(origin) = origins.next() else { return Ok(()) };
        let known = origin.to_str().is_ok_and(|origin| {
            let origin = origin.to_ascii_lowercase();
            self.origins.contains(&origin)
                || self.public_origin.as_ref() == Some(&origin)
                || is_own_origin(&origin, uri, headers)
        });
        if known && origins.next().is_none() {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            ORIGIN_NOT_ALLOWED,
            if self.keyless {
                "Web pages of other sites may not use this gateway while no API key is configured. \
                 List the page's origin by name in `corsAllowOrigins`."
            } else {
                "Web pages of other sites may not use credentials that the browser remembered. \
                 Send the key as a bearer token, or list the page's origin by name in `corsAllowOrigins`."
            },
        ))
    }
}

/// A request has one `Host`, given back here; only HTTP/1.0, and HTTP/2 with its `:authority`, may do without (RFC 9112,
/// section 3.2). Of two, a proxy before us may have believed the other one.
fn stated_once(version: Version, headers: &HeaderMap) -> Result<Option<&HeaderValue>, Problem> {
    let mut stated = headers.get_all(header::HOST).iter();
    let message = match (stated.next(), stated.next()) {
        (None, _) if version == Version::HTTP_11 => {
            "The request has no `Host` header; HTTP/1.1 requires one."
        }
        (_, Some(_)) => "The request has more than one `Host` header; send one.",
        (first, None) => return Ok(first),
    };
    Err(Problem::new(StatusCode::BAD_REQUEST, "host_not_stated_once", message))
}

/// Whether a page of this host and port sends the request: its origin is the request's own Host.
fn is_own_origin(origin: &str, uri: &Uri, headers: &HeaderMap) -> bool {
    let Some((scheme, page)) = origin.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let bare = |authority: &str| {
        let authority = authority.to_ascii_lowercase();
        authority.strip_suffix(default_port).map(str::to_owned).unwrap_or(authority)
    };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let ours = uri.authority().map(Authority::as_str).or(host);
    ours.is_some_and(|ours| bare(ours) == bare(page))
}

fn is_basic(authorization: &[u8]) -> bool {
    authorization.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic"))
}

/// The names of this machine: its node name, also without its domain, and with that of mDNS.
fn own_names() -> Vec<String> {
    let node = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    if node.is_empty() || node == "(none)" {
        return Vec::new();
    }
    let short = node.split('.').next().unwrap_or(&node).to_owned();
    let local = format!("{short}.local");
    vec![node, short, local]
}

#[cfg(test)]
mod tests;
