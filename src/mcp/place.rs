//! Which servers a path speaks for.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::Mcp;
use crate::catalog::{Caller, Catalog, CatalogServer, ServerSource};
use crate::http::Problem;
use crate::json::clip;
use crate::metrics::http::MCP_ROUTES;

/// The endpoint that a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `/mcp`: all servers.
    All,
    /// `/{server}/mcp`, or `/mcp` in single-server mode.
    One(String),
}

impl Place {
    /// The one server.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::One(server) => Some(server),
        }
    }

    /// 404, which does not tell a server that is not there from one that the caller may not see.
    pub fn not_found(&self) -> Problem {
        let name = self.server().unwrap_or_default();
        let shown = clip(name, 64);
        let sentence = format!("there is no server `{shown}` here, or it is not among those of your API key");
        Problem::new(StatusCode::NOT_FOUND, "not_found", sentence)
    }

    /// The servers at this endpoint that `caller` may see.
    pub fn servers<'a>(
        &'a self,
        catalog: &'a Catalog,
        caller: &'a Caller,
    ) -> impl Iterator<Item = &'a Arc<CatalogServer>> {
        catalog.servers.iter().filter(|server| {
            caller.scope.allows_server(&server.name)
                && self.server().is_none_or(|name| server.name.as_str() == name)
        })
    }

    /// The route as a template that holds nothing of the path itself.
    pub fn template(&self) -> &'static str {
        match self {
            Self::All => MCP_ROUTES[0],
            Self::One(_) => MCP_ROUTES[1],
        }
    }
}

impl Mcp {
    /// The endpoint at a raw path (percent-encoded, without query), if it is one; a slash at its end makes no difference.
    /// The path prefix is needed for servers.
    pub fn place(&self, raw: &str) -> Option<Place> {
        let path = self.prefixes.within_root(raw);
        let inside = self.prefixes.within_prefix(path);
        let is_root = |path: &str| matches!(path, "/mcp" | "/mcp/");
        if is_root(path) || inside.is_some_and(is_root) {
            return Some(if self.config.single { Place::One(self.only_server()?) } else { Place::All });
        }
        let (server, rest) = inside?.strip_prefix('/')?.split_once('/')?;
        if self.config.single || !matches!(rest, "mcp" | "mcp/") || server.is_empty() {
            return None;
        }
        let server = percent_decode_str(server).decode_utf8().ok()?;
        Some(Place::One(server.into_owned()))
    }

    /// Whether `caller` may know that the endpoint exists.
    pub(super) fn is_visible(&self, caller: &Caller, place: &Place) -> bool {
        let catalog = self.gateway.catalog_builder().catalog();
        match place {
            Place::All => true,
            Place::One(name) => {
                catalog.server(name).is_some_and(|server| caller.scope.allows_server(&server.name))
            }
        }
    }

    fn only_server(&self) -> Option<String> {
        let catalog = self.gateway.catalog_builder().catalog();
        let server = catalog.servers.iter().find(|server| matches!(server.source, ServerSource::Upstream(_)));
        server.map(|server| server.name.to_string())
    }
}
