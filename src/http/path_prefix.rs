//! Where the gateway's paths begin: behind a root path that a proxy may have taken away, and under a prefix.

use axum::extract::OriginalUri;
use http::uri::PathAndQuery;
use http::{Request, Uri};

use crate::config::ListenConfig;

/// The root path and the path prefix of one configuration.
#[derive(Debug, Clone)]
pub struct PathPrefix {
    /// Without a slash at its end; empty when none is configured.
    prefix: String,
    root_path: String,
}

impl PathPrefix {
    pub fn new(listen: &ListenConfig) -> Self {
        Self {
            prefix: listen.path_prefix.trim_end_matches('/').to_owned(),
            root_path: listen.root_path.clone(),
        }
    }

    /// The servers of the MCP endpoint at a path without the root path.
    ///
    /// `Some(None)` are all, else it is the raw name of one; `None` is no endpoint.
    /// A slash at its end makes no difference. The endpoints of servers need the path prefix.
    pub fn mcp_endpoint<'a>(&self, path: &'a str) -> Option<Option<&'a str>> {
        let inside = self.within_prefix(path);
        let is_root = |path: &str| matches!(path, "/mcp" | "/mcp/");
        if is_root(path) || inside.is_some_and(is_root) {
            return Some(None);
        }
        let (server, rest) = inside?.strip_prefix('/')?.split_once('/')?;
        (matches!(rest, "mcp" | "mcp/") && !server.is_empty()).then_some(Some(server))
    }

    /// The path prefix; empty when none is configured.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A raw path without the root path.
    pub fn within_root<'a>(&self, raw: &'a str) -> &'a str {
        strip(raw, &self.root_path).unwrap_or(raw)
    }

    /// The rest of such a path behind the prefix; it starts with a slash.
    pub fn within_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        strip(path, &self.prefix)
    }
}

fn strip<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'))
}

/// `request` without the first `length` bytes of its path, and with the whole as [`OriginalUri`].
pub fn without_start<B>(mut request: Request<B>, length: usize) -> Request<B> {
    let whole = request.uri().clone();
    let rest =
        whole.path_and_query().and_then(|path| path.as_str().get(length..)?.parse::<PathAndQuery>().ok());
    let mut parts = whole.clone().into_parts();
    parts.path_and_query = rest;
    if length > 0
        && let Ok(rest) = Uri::from_parts(parts)
    {
        *request.uri_mut() = rest;
        if request.extensions().get::<OriginalUri>().is_none() {
            request.extensions_mut().insert(OriginalUri(whole));
        }
    }
    request
}
