//! What servers offer to one client alone. Some have more tools for a client that they can ask something.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::find::{held, visible};
use super::outgoing::Client;
use super::{CallContext, FindError, Gateway, Target};
use crate::catalog::{Catalog, CatalogServer, CatalogTool};
use crate::compute;
use crate::config::ServerName;
use crate::upstream::{CloseReason, NoConnection, ToolList, Unavailable, Upstream};

impl Gateway {
    /// The snapshot with what servers that `concerns` selects are known to offer to `client` in the place of what they offer
    /// to everybody; `None` when that is nothing. No server is asked, and one that is not ready is shown as to everybody.
    pub async fn offered_together(
        &self,
        context: &CallContext,
        client: &Client,
        concerns: impl Fn(&ServerName) -> bool,
    ) -> Option<Catalog> {
        let mut offered = Vec::new();
        for upstream in self.keeper.upstreams() {
            let name = upstream.name();
            if concerns(name) && context.caller.scope.allows_server(name) && upstream.state().is_ready() {
                offered.extend(self.known_offer(context, upstream, client).await);
            }
        }
        (!offered.is_empty()).then(|| self.with_offered(context, offered))
    }

    async fn known_offer(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
    ) -> Option<Arc<CatalogServer>> {
        let identity = upstream.identity(&context.caller.principal(), &context.forwarded);
        let list = upstream.known_tools_for(identity.as_ref(), &client.side)?;
        Some(offer(upstream, list).await)
    }

    /// What `upstream` offers to `client` alone. A connection that has to be opened for it counts as a call.
    async fn offered_by(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
    ) -> Result<Option<Arc<CatalogServer>>, FindError> {
        let after = self.timeout_of(upstream);
        let identity = upstream.identity(&context.caller.principal(), &context.forwarded);
        let opens = upstream.would_open(identity.as_ref(), &client.side);
        let admit = || self.admitted(context, upstream.name(), None);
        let _turn = opens.then(admit).transpose().map_err(FindError::Limited)?;
        let tools = upstream.tools_for(identity.as_ref(), &client.side, client.hearing.clone());
        let list = match timeout_at(Instant::now() + after, tools).await {
            Ok(Ok(Some(list))) => list,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(NoConnection::Unavailable(unavailable))) => {
                return Err(FindError::Unavailable(unavailable));
            }
            Ok(Err(NoConnection::Refused(status))) => {
                let reason = Some(Arc::new(CloseReason::Status(status)));
                return Err(FindError::Unavailable(Unavailable { reason, retry_after: after }));
            }
            Err(_) => return Err(FindError::Deadline { after }),
        };
        Ok(Some(offer(upstream, list).await))
    }

    fn with_offered(&self, context: &CallContext, offered: Vec<Arc<CatalogServer>>) -> Catalog {
        self.keeper.catalog().with_offered(offered, context.caller.scope.index + 1)
    }

    /// The tool of `upstream` that `pick` picks by `name`, if it offers it to `client` and the caller may see it.
    ///
    /// # Errors
    ///
    /// [`FindError`]: no such tool, one that is held back, or the server cannot be asked now.
    pub async fn find_offered(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
        name: &str,
        pick: impl for<'a> Fn(&'a CatalogServer, &str) -> Option<&'a Arc<CatalogTool>>,
    ) -> Result<Target, FindError> {
        let known = self.known_offer(context, upstream, client).await;
        if let Some(server) = &known
            && let Some(tool) = pick(server, name)
        {
            return visible(&context.caller, server, tool);
        }
        let server = self.offered_by(context, upstream, client).await?.ok_or(FindError::Tool)?;
        match (pick(&server, name), server.held_tool(name)) {
            (Some(tool), _) => visible(&context.caller, &server, tool),
            (None, Some(tool)) => Err(held(&context.caller, &server, tool)),
            (None, None) => Err(FindError::Tool),
        }
    }

    /// The tool that stands among those of all servers as `name`, if its server offers it to `client` alone and the caller
    /// may see it. Only the one server is asked whose tools may be called so.
    ///
    /// # Errors
    ///
    /// As [`Gateway::find_offered`].
    pub async fn find_offered_prefixed(
        &self,
        context: &CallContext,
        client: &Client,
        name: &str,
    ) -> Result<Target, FindError> {
        let server = self.keeper.namespace().server_of(name).ok_or(FindError::Tool)?;
        let mut upstreams = self.keeper.upstreams().iter();
        let upstream = upstreams.find(|upstream| upstream.name() == server);
        let upstream = upstream.filter(|_| context.caller.scope.allows_server(server));
        let upstream = upstream.ok_or(FindError::Tool)?;
        if let Some(known) = self.known_offer(context, upstream, client).await {
            let catalog = self.with_offered(context, vec![known]);
            if let Some((server, tool)) = catalog.prefixed().find(&catalog.servers, name) {
                return visible(&context.caller, server, tool);
            }
        }
        let offered = self.offered_by(context, upstream, client).await?.ok_or(FindError::Tool)?;
        let catalog = self.with_offered(context, vec![offered]);
        let names = catalog.prefixed();
        if let Some((server, tool)) = names.find(&catalog.servers, name) {
            return visible(&context.caller, server, tool);
        }
        let (server, tool) = names.find_held(&catalog.servers, name).ok_or(FindError::Tool)?;
        Err(held(&context.caller, server, tool))
    }
}

/// The entry of `upstream` with the tools of `list`.
async fn offer(upstream: &Arc<Upstream>, list: Arc<ToolList>) -> Arc<CatalogServer> {
    let (name, upstream) = (upstream.name().clone(), upstream.clone());
    // Thousands of tools are looked at, and held to the lock.
    let offered = move || CatalogServer::of_upstream(&upstream, Some(&list));
    Arc::new(compute::run(name.as_str(), offered).await)
}
