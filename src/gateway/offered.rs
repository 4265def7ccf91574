//! What a server offers to one client alone. Some servers have more tools for a client that they can ask something.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::find::{held, visible};
use super::outgoing::Client;
use super::{CallContext, FindError, Gateway, Target};
use crate::catalog::{Catalog, CatalogServer};
use crate::upstream::{NoConnection, Unavailable, Upstream};

impl Gateway {
    /// The snapshot of `upstream` alone as `client` gets it; `None` when that is what everybody gets.
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
        let after = self.timeout_of(upstream);
        let identity = upstream.identity(&context.forwarded);
        let tools = upstream.tools_for(identity.as_ref(), &client.side, client.hearing.clone());
        let list = match timeout_at(Instant::now() + after, tools).await {
            Ok(Ok(Some(list))) => list,
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(NoConnection::Unavailable(unavailable))) => {
                return Err(FindError::Unavailable(unavailable));
            }
            Ok(Err(NoConnection::Refused(_))) => {
                return Err(FindError::Unavailable(Unavailable { reason: None, retry_after: after }));
            }
            Err(_) => return Err(FindError::Deadline { after }),
        };
        let server = Arc::new(CatalogServer::of_upstream(upstream, Some(&list)));
        Ok(Some(Catalog::new(vec![server], Vec::new(), context.caller.scope.index + 1)))
    }

    /// The tool that `upstream` calls `name`, if it offers it to `client` and the caller may see it.
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
    ) -> Result<Target, FindError> {
        let catalog = self.offered_to(context, upstream, client).await?.ok_or(FindError::Tool)?;
        let server = catalog.servers.first().ok_or(FindError::Tool)?;
        match (server.tool_called(name), server.held_tool(name)) {
            (Some(tool), _) => visible(&context.caller, &catalog, server, tool),
            (None, Some(tool)) => Err(held(&context.caller, &catalog, server, tool)),
            (None, None) => Err(FindError::Tool),
        }
    }
}
