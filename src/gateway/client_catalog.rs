//! Per-client catalogs: some servers list more tools to a client that they can ask for input.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::context::CallContext;
use super::error::FindError;
use super::find::{exposed, picked};
use super::outgoing::Client;
use super::state::Gateway;
use super::target::Target;
use crate::catalog::{Catalog, CatalogServer, CatalogTool};
use crate::compute;
use crate::config::ServerName;
use crate::upstream::{CloseReason, NoConnection, ToolList, Unavailable, Upstream};

impl Gateway {
    /// The snapshot with the known lists for `client`; `None` when no list is known.
    ///
    /// Only of the servers that `concerns` selects.
    ///
    /// No server is asked, and one that is not ready keeps its shared list.
    pub async fn client_catalog(
        &self,
        context: &CallContext,
        client: &Client,
        concerns: impl Fn(&ServerName) -> bool,
    ) -> Option<Catalog> {
        let mut servers = Vec::new();
        for upstream in self.catalog_builder.upstreams() {
            let name = upstream.name();
            if concerns(name) && context.caller.scope.allows_server(name) && upstream.state().is_ready() {
                servers.extend(self.known_client_server(context, upstream, client).await);
            }
        }
        (!servers.is_empty()).then(|| self.with_client_servers(context, servers))
    }

    async fn known_client_server(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
    ) -> Option<Arc<CatalogServer>> {
        let identity = context.identity_at(upstream);
        let list = upstream.known_tools_for(identity.as_ref(), &client.side)?;
        Some(catalog_server(upstream, list).await)
    }

    /// The tools that `upstream` lists for `client` alone. Opening a connection for that counts as a call.
    async fn client_server(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
    ) -> Result<Option<Arc<CatalogServer>>, FindError> {
        let after = self.timeout_of(upstream);
        let identity = context.identity_at(upstream);
        let opens = upstream.would_open(identity.as_ref(), &client.side);
        let _permit = match opens {
            true => Some(self.admitted(context, upstream.name(), None).await.map_err(FindError::Limited)?),
            false => None,
        };
        let tools = upstream.tools_for(identity.as_ref(), &client.side, client.handler.clone());
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
        Ok(Some(catalog_server(upstream, list).await))
    }

    fn with_client_servers(&self, context: &CallContext, servers: Vec<Arc<CatalogServer>>) -> Catalog {
        self.catalog_builder.catalog().with_client_servers(servers, context.caller.scope.index + 1)
    }

    /// The tool that `pick` finds in the list of `upstream` for `client`, if the caller may see it.
    ///
    /// # Errors
    ///
    /// [`FindError`]: no such tool, a quarantined one, or the server cannot be asked now.
    pub async fn find_for_client(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
        name: &str,
        pick: impl for<'a> Fn(&'a CatalogServer, &str) -> Option<&'a Arc<CatalogTool>>,
    ) -> Result<Target, FindError> {
        let look = |server| picked(&context.caller, &server, name, &pick);
        self.look_for_client(context, upstream, client, look).await
    }

    /// The tool with the exposed name `name` in a list for `client`, if the caller may see it.
    ///
    /// Only the one server is asked that can have a tool of this name.
    ///
    /// # Errors
    ///
    /// As [`Gateway::find_for_client`].
    pub async fn find_exposed_for_client(
        &self,
        context: &CallContext,
        client: &Client,
        name: &str,
    ) -> Result<Target, FindError> {
        let server = self.catalog_builder.namespace().server_of(name).ok_or(FindError::Tool)?;
        let mut upstreams = self.catalog_builder.upstreams().iter();
        let upstream = upstreams.find(|upstream| upstream.name() == server);
        let upstream = upstream.filter(|_| context.caller.scope.allows_server(server));
        let upstream = upstream.ok_or(FindError::Tool)?;
        let look = |server| exposed(&self.with_client_servers(context, vec![server]), &context.caller, name);
        self.look_for_client(context, upstream, client, look).await
    }

    /// The tool that `look` finds in the known list of `upstream` for `client`, else in the list that it has now.
    async fn look_for_client(
        &self,
        context: &CallContext,
        upstream: &Arc<Upstream>,
        client: &Client,
        look: impl Fn(Arc<CatalogServer>) -> Option<Result<Target, FindError>>,
    ) -> Result<Target, FindError> {
        if let Some(found) = self.known_client_server(context, upstream, client).await.and_then(&look) {
            return found;
        }
        let server = self.client_server(context, upstream, client).await?.ok_or(FindError::Tool)?;
        look(server).unwrap_or(Err(FindError::Tool))
    }
}

/// The entry of `upstream` with the tools of `list`.
async fn catalog_server(upstream: &Arc<Upstream>, list: Arc<ToolList>) -> Arc<CatalogServer> {
    let (name, upstream) = (upstream.name().clone(), upstream.clone());
    // Thousands of tools are compared with the lock.
    let server = move || CatalogServer::of_upstream(&upstream, Some(&list));
    Arc::new(compute::run(name.as_str(), server).await)
}
