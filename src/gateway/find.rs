//! Finds a tool by name among those that the caller may see.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::error::FindError;
use super::state::Gateway;
use super::target::Target;
use crate::catalog::{Caller, Catalog, CatalogServer, CatalogTool};
use crate::upstream::Upstream;

impl Gateway {
    /// The tool that `server` exposes as `tool`, if `caller` may see it.
    ///
    /// Waits for the server as a call does while the tool is unknown and the server has not settled.
    ///
    /// # Errors
    ///
    /// [`FindError`]: no such server or tool for this caller, or the server cannot be asked now.
    pub async fn find(&self, caller: &Caller, server: &str, tool: &str) -> Result<Target, FindError> {
        self.find_by(caller, server, tool, CatalogServer::tool).await
    }

    /// The tool that MCP's list of `server` shows as `name`, if `caller` may see it.
    ///
    /// # Errors
    ///
    /// As [`Gateway::find`].
    pub async fn find_called(&self, caller: &Caller, server: &str, name: &str) -> Result<Target, FindError> {
        self.find_by(caller, server, name, CatalogServer::tool_called).await
    }

    /// The tool with the exposed name `name` among the tools of all servers.
    ///
    /// Waits, as lists do, while the tools of the one server that can have it are unknown.
    ///
    /// # Errors
    ///
    /// [`FindError::Tool`], or [`FindError::Quarantined`]: an unknown name belongs to no server.
    pub async fn find_exposed(&self, caller: &Caller, name: &str) -> Result<Target, FindError> {
        let find = || exposed(&self.catalog_builder.catalog(), caller, name);
        if let Some(found) = find() {
            return found;
        }
        let server = self.catalog_builder.namespace().server_of(name).ok_or(FindError::Tool)?;
        if !caller.scope.allows_server(server) {
            return Err(FindError::Tool);
        }
        self.catalog_builder.first_outcomes(|other| other == server).await;
        find().unwrap_or(Err(FindError::Tool))
    }

    async fn find_by(
        &self,
        caller: &Caller,
        server: &str,
        name: &str,
        pick: impl for<'a> Fn(&'a CatalogServer, &str) -> Option<&'a Arc<CatalogTool>>,
    ) -> Result<Target, FindError> {
        let entry = {
            let catalog = self.catalog_builder.catalog();
            let entry = catalog.server(server).filter(|entry| caller.scope.allows_server(&entry.name));
            let entry = entry.ok_or(FindError::Server)?;
            if let Some(found) = picked(caller, entry, name, &pick) {
                return found;
            }
            entry.clone()
        };
        let Some(upstream) = entry.upstream() else { return Err(FindError::Tool) };
        let known = entry.revision != 0 && !entry.awaits_sign_in();
        if known && upstream.state().is_ready() && self.is_current(upstream) {
            return Err(FindError::Tool);
        }
        let deadline = Instant::now() + self.timeout_of(upstream);
        match timeout_at(deadline, upstream.ready()).await {
            Ok(Ok(_link)) => {}
            // The last known list has no such tool.
            Ok(Err(_)) if known => return Err(FindError::Tool),
            Ok(Err(unavailable)) => return Err(FindError::Unavailable(unavailable)),
            Err(_) => return Err(FindError::Deadline { after: self.timeout_of(upstream) }),
        }
        if let Some(list) = upstream.tools() {
            let reached =
                timeout_at(deadline, self.catalog_builder.wait_for(upstream.name(), list.revision)).await;
            reached.map_err(|_| FindError::Deadline { after: self.timeout_of(upstream) })?;
        }
        let catalog = self.catalog_builder.catalog();
        let entry = catalog.server(server).ok_or(FindError::Server)?;
        picked(caller, entry, name, &pick).unwrap_or(Err(FindError::Tool))
    }

    fn is_current(&self, upstream: &Upstream) -> bool {
        let catalog = self.catalog_builder.catalog();
        let built = catalog.server(upstream.name().as_str()).map_or(0, |entry| entry.revision);
        built == upstream.tools().map_or(0, |list| list.revision)
    }
}

/// The tool with the exposed name `name` in `catalog`; `None` when no server of the caller has one.
pub(super) fn exposed(catalog: &Catalog, caller: &Caller, name: &str) -> Option<Result<Target, FindError>> {
    let names = catalog.exposed_names();
    let listed = names.find(&catalog.servers, name);
    let (server, tool) = listed.or_else(|| names.find_quarantined(&catalog.servers, name))?;
    caller.scope.allows_server(&server.name).then(|| found(caller, server, tool, listed.is_none()))
}

/// The tool of `server` that `pick` finds, or a quarantined tool with that name.
pub(super) fn picked(
    caller: &Caller,
    server: &Arc<CatalogServer>,
    name: &str,
    pick: impl for<'a> Fn(&'a CatalogServer, &str) -> Option<&'a Arc<CatalogTool>>,
) -> Option<Result<Target, FindError>> {
    let listed = pick(server, name);
    let tool = listed.or_else(|| server.quarantined_tool(name))?;
    Some(found(caller, server, tool, listed.is_none()))
}

/// The target of a call of `tool`, for callers that may see the tool.
fn found(
    caller: &Caller,
    server: &Arc<CatalogServer>,
    tool: &Arc<CatalogTool>,
    is_quarantined: bool,
) -> Result<Target, FindError> {
    if !caller.scope.allows(server, tool) {
        return Err(FindError::Tool);
    }
    if !is_quarantined {
        return Ok(Target { server: server.clone(), tool: tool.clone() });
    }
    Err(server.drift_of(&tool.name).map_or(FindError::Tool, |drift| FindError::Quarantined(drift.change)))
}
