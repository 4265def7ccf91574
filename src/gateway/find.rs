//! Finds the tool that a caller means, among those that the caller may see.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{FindError, Gateway, Target};
use crate::catalog::{Caller, CatalogServer, CatalogTool};
use crate::upstream::Upstream;

impl Gateway {
    /// The tool that `server` exposes as `tool`, if `caller` may see it. When the tool is not known and the
    /// server is not settled, waits for the server like a call does.
    ///
    /// # Errors
    ///
    /// [`FindError`]: no such server or tool for this caller, or the server cannot be asked now.
    pub async fn find(&self, caller: &Caller, server: &str, tool: &str) -> Result<Target, FindError> {
        self.find_by(caller, server, tool, CatalogServer::tool).await
    }

    /// The same for the name that the server itself gives the tool.
    ///
    /// # Errors
    ///
    /// As [`Gateway::find`].
    pub async fn find_called(&self, caller: &Caller, server: &str, name: &str) -> Result<Target, FindError> {
        self.find_by(caller, server, name, CatalogServer::tool_called).await
    }

    /// The tool that stands among those of all servers as `name`. While the tools of the one server that can have it are
    /// not known yet, waits for them as lists do.
    ///
    /// # Errors
    ///
    /// [`FindError::Tool`], or [`FindError::Quarantined`]: a name that is not known belongs to no server.
    pub async fn find_prefixed(&self, caller: &Caller, name: &str) -> Result<Target, FindError> {
        if let Some(target) = self.prefixed(caller, name) {
            return target;
        }
        let server = self.keeper.namespace().server_of(name).ok_or(FindError::Tool)?;
        if !caller.scope.allows_server(server) {
            return Err(FindError::Tool);
        }
        self.keeper.first_outcomes(|other| other == server).await;
        self.prefixed(caller, name).unwrap_or(Err(FindError::Tool))
    }

    fn prefixed(&self, caller: &Caller, name: &str) -> Option<Result<Target, FindError>> {
        let catalog = self.keeper.catalog();
        let names = catalog.prefixed();
        if let Some((server, tool)) = names.find(&catalog.servers, name) {
            let found = || visible(caller, server, tool);
            return caller.scope.allows_server(&server.name).then(found);
        }
        let (server, tool) = names.find_held(&catalog.servers, name)?;
        caller.scope.allows_server(&server.name).then(|| Err(held(caller, server, tool)))
    }

    async fn find_by(
        &self,
        caller: &Caller,
        server: &str,
        name: &str,
        pick: impl for<'a> Fn(&'a CatalogServer, &str) -> Option<&'a Arc<CatalogTool>>,
    ) -> Result<Target, FindError> {
        let entry = {
            let catalog = self.keeper.catalog();
            let entry = catalog.server(server).filter(|entry| caller.scope.allows_server(&entry.name));
            let entry = entry.ok_or(FindError::Server)?;
            if let Some(tool) = pick(entry, name) {
                return visible(caller, entry, tool);
            }
            if let Some(tool) = entry.held_tool(name) {
                return Err(held(caller, entry, tool));
            }
            entry.clone()
        };
        let Some(upstream) = entry.upstream() else { return Err(FindError::Tool) };
        let known = entry.revision != 0;
        if known && upstream.state().is_ready() && self.is_current(upstream) {
            return Err(FindError::Tool);
        }
        let deadline = Instant::now() + self.timeout_of(upstream);
        match timeout_at(deadline, upstream.ready()).await {
            Ok(Ok(_link)) => {}
            // What its tools were is known, and this was none of them.
            Ok(Err(_)) if known => return Err(FindError::Tool),
            Ok(Err(unavailable)) => return Err(FindError::Unavailable(unavailable)),
            Err(_) => return Err(FindError::Deadline { after: self.timeout_of(upstream) }),
        }
        if let Some(list) = upstream.tools() {
            let reached = timeout_at(deadline, self.keeper.reach(upstream.name(), list.revision)).await;
            reached.map_err(|_| FindError::Deadline { after: self.timeout_of(upstream) })?;
        }
        let catalog = self.keeper.catalog();
        let entry = catalog.server(server).ok_or(FindError::Server)?;
        match (pick(entry, name), entry.held_tool(name)) {
            (Some(tool), _) => visible(caller, entry, tool),
            (None, Some(tool)) => Err(held(caller, entry, tool)),
            (None, None) => Err(FindError::Tool),
        }
    }

    fn is_current(&self, upstream: &Upstream) -> bool {
        let catalog = self.keeper.catalog();
        let built = catalog.server(upstream.name().as_str()).map_or(0, |entry| entry.revision);
        built == upstream.tools().map_or(0, |list| list.revision)
    }
}

/// A tool that is held back, for those who may know of it.
pub(super) fn held(caller: &Caller, server: &CatalogServer, tool: &CatalogTool) -> FindError {
    match server.drift_of(&tool.name) {
        Some(drift) if caller.scope.allows(server, tool) => FindError::Quarantined(drift.change),
        _ => FindError::Tool,
    }
}

pub(super) fn visible(
    caller: &Caller,
    server: &Arc<CatalogServer>,
    tool: &Arc<CatalogTool>,
) -> Result<Target, FindError> {
    match caller.scope.allows(server, tool) {
        true => Ok(Target { server: server.clone(), tool: tool.clone() }),
        false => Err(FindError::Tool),
    }
}
