//! From a raw request path to what it asks for: pure, so that a table can test it.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use percent_encoding::percent_decode_str;

use crate::config::ListenConfig;
use crate::http::mount::Prefixes;
use crate::metrics::http::CALL_ROUTE;

/// What a path asks for. Names are percent-decoded.
#[derive(Debug, PartialEq)]
pub enum Route<'a> {
    Health,
    Ready,
    Servers,
    /// `/servers/plan`
    Plan,
    /// `/servers/lock`
    Lock,
    /// `/metrics`
    Metrics,
    /// `/openapi.json`
    Document,
    /// `/docs`
    Docs,
    /// `/docs/swagger-initializer.js`; `prefixed` when it was asked for under the path prefix.
    Initializer {
        prefixed: bool,
    },
    /// `/assets/swagger/{file}`
    Asset {
        file: Cow<'a, str>,
    },
    ServerDocument {
        server: Cow<'a, str>,
    },
    ServerDocs {
        server: Cow<'a, str>,
    },
    ServerInitializer {
        server: Cow<'a, str>,
    },
    /// Another path for a docs page, which is at `to`, relative to the path asked for.
    Page {
        to: &'static str,
    },
    /// `/{server}/`, where nothing is.
    ServerRoot {
        server: Cow<'a, str>,
    },
    /// `server` is `None` in single-server mode.
    Tool {
        server: Option<Cow<'a, str>>,
        tool: Cow<'a, str>,
    },
    /// The path with a slash added or taken away, if there is something.
    Moved {
        to: String,
    },
    /// Where a client looks for a sign-in.
    NoOAuth,
    Nothing,
}

impl Route<'_> {
    /// The route as a template that holds nothing of the path itself; empty when the path leads nowhere.
    pub fn template(&self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Ready => "/ready",
            Self::Servers => "/servers",
            Self::Plan => "/servers/plan",
            Self::Lock => "/servers/lock",
            Self::Metrics => "/metrics",
            Self::Document => "/openapi.json",
            Self::Docs => "/docs",
            Self::Initializer { .. } => "/docs/swagger-initializer.js",
            Self::Asset { .. } => "/assets/swagger/{file}",
            Self::ServerDocument { .. } => "/{server}/openapi.json",
            Self::ServerDocs { .. } => "/{server}/docs",
            Self::ServerInitializer { .. } => "/{server}/docs/swagger-initializer.js",
            Self::Page { .. } => "/redoc",
            Self::ServerRoot { .. } => "/{server}/",
            // In single-server mode, too: dashboards need not tell the modes apart.
            Self::Tool { .. } => CALL_ROUTE,
            Self::Moved { .. } | Self::NoOAuth | Self::Nothing => "",
        }
    }
}

/// Where in the path space this gateway stands.
#[derive(Debug, Clone)]
pub struct Mount {
    prefixes: Prefixes,
    single: bool,
}

impl Mount {
    pub fn new(listen: &ListenConfig, single: bool) -> Self {
        Self { prefixes: Prefixes::new(listen), single }
    }

    /// The path prefix without its slashes at both ends; empty when there is none.
    pub fn prefix(&self) -> &str {
        self.prefixes.prefix().trim_start_matches('/')
    }

    /// The name that a raw path is at the top of the path space, with or without the prefix.
    pub fn top_level<'a>(&self, raw: &'a str) -> Option<&'a str> {
        let path = self.prefixes.within_root(raw);
        let path = self.prefixes.within_prefix(path).unwrap_or(path);
        path.strip_prefix('/').filter(|name| !name.contains('/'))
    }

    /// Sorts a raw path (percent-encoded, without query).
    ///
    /// A reverse proxy may or may not have stripped the root path, so it is optional. The prefix is
    /// optional for what belongs to the whole gateway, and needed for servers.
    ///
    /// Calls come as `POST` (`is_call`), pages as anything else: so a tool may share its path with a page.
    pub fn route<'a>(&self, raw: &'a str, is_call: bool) -> Route<'a> {
        let path = self.prefixes.within_root(raw);
        if is_oauth_metadata(path) {
            return Route::NoOAuth;
        }
        if self.single && is_call {
            return single_server(raw, path);
        }
        let inside = self.prefixes.within_prefix(path);
        let prefixed = inside.filter(|_| !self.prefixes.prefix().is_empty());
        if let Some(route) = whole_gateway(path, false).or_else(|| whole_gateway(prefixed?, true)) {
            return route;
        }
        if self.single {
            return single_server(raw, path);
        }
        let Some(rest) = inside.and_then(|inside| inside.strip_prefix('/')) else { return Route::Nothing };
        match rest.split_once('/') {
            None if rest.is_empty() => Route::Nothing,
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

fn whole_gateway(path: &str, prefixed: bool) -> Option<Route<'_>> {
    Some(match path {
        "/health" => Route::Health,
        "/ready" => Route::Ready,
        "/servers" => Route::Servers,
        "/servers/plan" => Route::Plan,
        "/servers/lock" => Route::Lock,
        "/metrics" => Route::Metrics,
        "/openapi.json" => Route::Document,
        "/docs" => Route::Docs,
        "/docs/swagger-initializer.js" => Route::Initializer { prefixed },
        "/redoc" => Route::Page { to: "docs" },
        "/docs/" | "/redoc/" => Route::Page { to: "../docs" },
        _ => {
            let file = path.strip_prefix("/assets/swagger/")?;
            decode(file).map_or(Route::Nothing, |file| Route::Asset { file })
        }
    })
}

fn one_server<'a>(raw: &'a str, server: &'a str, inner: &'a str, is_call: bool) -> Route<'a> {
    let Some(server) = decode(server) else { return Route::Nothing };
    match inner {
        "" if !is_call => Route::ServerRoot { server },
        "openapi.json" => Route::ServerDocument { server },
        "docs" => Route::ServerDocs { server },
        "docs/swagger-initializer.js" => Route::ServerInitializer { server },
        "redoc" if !is_call => Route::Page { to: "docs" },
        "docs/" | "redoc/" => Route::Page { to: "../docs" },
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
