//! Sorts the paths that no line of the table of routes matches: a tool, or a redirect by a slash. Pure.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;

use crate::config::ListenConfig;
use crate::http::path_prefix::PathPrefix;
use crate::metrics::http::CALL_ROUTE;

/// The target of a path. Names are percent-decoded.
#[derive(Debug, PartialEq)]
pub enum Route<'a> {
    /// `/{server}/`, which answers 404.
    ServerRoot {
        server: Cow<'a, str>,
    },
    /// `/{server}/{tool}`; `server` is `None` in single-server mode.
    Tool {
        server: Option<Cow<'a, str>>,
        tool: Cow<'a, str>,
    },
    /// The path with a slash added or taken away, if something is there.
    Moved {
        to: String,
    },
    /// A path that clients try when they look for a sign-in.
    NoOAuth,
    Nothing,
}

impl Route<'_> {
    /// The route as a template that holds nothing of the path itself; empty when the path leads nowhere.
    pub fn template(&self) -> &'static str {
        match self {
            Self::ServerRoot { .. } => "/{server}/",
            // In single-server mode, too: dashboards need not tell the modes apart.
            Self::Tool { .. } => CALL_ROUTE,
            Self::Moved { .. } | Self::NoOAuth | Self::Nothing => "",
        }
    }
}

/// The path space of one configuration.
#[derive(Debug, Clone)]
pub struct PathSpace {
    pub prefix: PathPrefix,
    single: bool,
}

impl PathSpace {
    pub fn new(listen: &ListenConfig, single: bool) -> Self {
        Self { prefix: PathPrefix::new(listen), single }
    }

    /// The name that a raw path is at the top of the path space, with or without the prefix.
    pub fn top_level<'a>(&self, raw: &'a str) -> Option<&'a str> {
        let path = self.prefix.within_root(raw);
        let path = self.prefix.within_prefix(path).unwrap_or(path);
        path.strip_prefix('/').filter(|name| !name.contains('/'))
    }

    /// Sorts a raw path (percent-encoded, without query).
    ///
    /// A reverse proxy may or may not have stripped the root path, so it is optional. Calls come as `POST` (`is_call`).
    pub fn route<'a>(&self, raw: &'a str, is_call: bool) -> Route<'a> {
        let path = self.prefix.within_root(raw);
        if is_oauth_metadata(path) {
            return Route::NoOAuth;
        }
        if self.single {
            return single_server(raw, path);
        }
        let inside = self.prefix.within_prefix(path).and_then(|inside| inside.strip_prefix('/'));
        let Some(inside) = inside else { return Route::Nothing };
        match inside.split_once('/') {
            None if inside.is_empty() => Route::Nothing,
            None => Route::Moved { to: format!("{raw}/") },
            Some(("", _)) => Route::Nothing,
            Some((server, inner)) => one_server(raw, server, inner, is_call),
        }
    }
}

/// Metadata of OAuth and of OpenID Connect are at the top with the resource's path behind them, or behind that path
/// (RFC 8414, section 3; RFC 9728, section 3).
fn is_oauth_metadata(path: &str) -> bool {
    static DIRECTORY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("/.well-known/"));
    let Some(at) = DIRECTORY.find(path.as_bytes()) else { return false };
    let document = &path[at + DIRECTORY.needle().len()..];
    document.starts_with("oauth-") || document.split('/').next() == Some("openid-configuration")
}

fn single_server<'a>(raw: &'a str, path: &'a str) -> Route<'a> {
    let Some(tool) = path.strip_prefix('/') else { return Route::Nothing };
    match tool.split_once('/') {
        None => decode(tool).map_or(Route::Nothing, |tool| Route::Tool { server: None, tool }),
        Some((tool, "")) if !tool.is_empty() => without_slash(raw),
        Some(_) => Route::Nothing,
    }
}

fn one_server<'a>(raw: &'a str, server: &'a str, inner: &'a str, is_call: bool) -> Route<'a> {
    let Some(server) = decode(server) else { return Route::Nothing };
    match inner {
        "" if !is_call => Route::ServerRoot { server },
        _ => match inner.split_once('/') {
            None => decode(inner).map_or(Route::Nothing, |tool| Route::Tool { server: Some(server), tool }),
            Some((_, "")) => without_slash(raw),
            Some(_) => Route::Nothing,
        },
    }
}

fn without_slash(raw: &str) -> Route<'_> {
    Route::Moved { to: raw.trim_end_matches('/').to_owned() }
}

/// `None` when the bytes are no UTF-8.
fn decode(segment: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(segment).decode_utf8().ok()
}

#[cfg(test)]
mod tests;
