//! The endpoint that a request came to: which servers it speaks for.

use std::sync::Arc;

use http::StatusCode;

use crate::catalog::{Caller, Catalog, CatalogServer};
use crate::http::Problem;
use crate::json::clip;
use crate::metrics::http::MCP_ROUTES;

/// The endpoint of all servers, or that of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `/mcp`: all servers.
    All,
    /// `/{server}/mcp`, or `/mcp` in single-server mode.
    One(String),
}

impl Endpoint {
    /// The one server.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::One(server) => Some(server),
        }
    }

    /// 404, the same for a missing server and for one that the caller may not see.
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
