//! What servers offer to one client alone. Some have more tools for a client that they can ask something.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout, timeout_at};

use super::find::{held, visible};
use super::outgoing::Client;
use super::{CallContext, FindError, Gateway, Target};
use crate::catalog::{Catalog, CatalogServer, CatalogTool};
use crate::compute;
use crate::upstream::{EndReason, NoConnection, Unavailable, Upstream};

/// How long a list of all servers waits for what one of them offers to its client alone.
const PATIENCE: Duration = Duration::from_secs(10);

impl Gateway {
    /// The snapshot with what `upstream` offers to `client` in the place of what it offers to everybody; `None` when that
    /// is the same.
    ///
    /// # Errors
    ///
    /// [`FindError`]: the server cannot be asked now.
    pub async fn offered_to(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
    ) -> Result<Option<Catalog>, FindError> {
        let offered = self.offered_by(context, upstream, client).await?;
        Ok(offered.map(|server| self.with_offered(context, vec![server])))
    }

    /// The snapshot with what all servers that are known to offer something else to `client` than to everybody offer to
    /// it; `None` when there are none. Whoever is not ready, or does not tell in time, is shown as to everybody: a list
    /// tries no server that is down.
    pub async fn offered_together(&self, context: &CallContext, client: &Client) -> Option<Catalog> {
        let identity =
            |upstream: &Upstream| upstream.identity(&context.caller.principal(), &context.forwarded);
        let may_offer = |upstream: &&Arc<Upstream>| {
            context.caller.scope.allows_server(upstream.name())
                && upstream.state().is_ready()
                && upstream.may_offer_others(identity(upstream).as_ref(), &client.side)
        };
        let upstreams: Vec<_> = self.keeper.upstreams().iter().filter(may_offer).collect();
        let asked = upstreams.into_iter().map(async |upstream| {
            let name = upstream.name();
            let why = match timeout(PATIENCE, self.offered_by(context, upstream, client)).await {
                Ok(Ok(offered)) => return offered,
                Ok(Err(error)) => error.for_callers(),
                Err(_) => format!("it did not tell within {} s", PATIENCE.as_secs()),
            };
            tracing::warn!(mcp_server = %name, "{name}: its tools for one client alone are not listed: {why}");
            None
        });
        let offered: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
        (!offered.is_empty()).then(|| self.with_offered(context, offered))
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
                let reason = Some(Arc::new(EndReason::Status(status)));
                return Err(FindError::Unavailable(Unavailable { reason, retry_after: after }));
            }
            Err(_) => return Err(FindError::Deadline { after }),
        };
        let (name, upstream) = (upstream.name().clone(), upstream.clone());
        // Thousands of tools are looked at, and held to the lock.
        let offered = move || CatalogServer::of_upstream(&upstream, Some(&list));
        Ok(Some(Arc::new(compute::run(name.as_str(), offered).await)))
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
        pick: impl for<'a> FnOnce(&'a CatalogServer, &str) -> Option<&'a Arc<CatalogTool>>,
    ) -> Result<Target, FindError> {
        let catalog = self.offered_to(context, upstream, client).await?.ok_or(FindError::Tool)?;
        let server = catalog.server(upstream.name().as_str()).ok_or(FindError::Tool)?;
        match (pick(server, name), server.held_tool(name)) {
            (Some(tool), _) => visible(&context.caller, server, tool),
            (None, Some(tool)) => Err(held(&context.caller, server, tool)),
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
        let catalog = self.offered_to(context, upstream, client).await?.ok_or(FindError::Tool)?;
        let names = catalog.prefixed();
        if let Some((server, tool)) = names.find(&catalog.servers, name) {
            return visible(&context.caller, server, tool);
        }
        let (server, tool) = names.find_held(&catalog.servers, name).ok_or(FindError::Tool)?;
        Err(held(&context.caller, server, tool))
    }
}
