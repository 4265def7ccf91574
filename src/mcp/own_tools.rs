//! Tools that a server has for one client alone, mostly for one that it can ask something.
//!
//! A list must not begin a process or a session at any server, most of which have nothing of the kind, and waits for none. So
//! it shows what is offered to everybody until the client's first call has opened a connection of its own to a server. What
//! that server offers over it is found out a moment later; where that is more, the client is told that the list has changed.
//! A call needs no list before it: each name tells which one server it may be of, and that is asked.

use std::sync::Arc;

use bytes::Bytes;

use super::Mcp;
use super::calls::context;
use super::methods::Asked;
use super::place::Place;
use crate::catalog::CatalogServer;
use crate::config::ServerName;
use crate::gateway::{CallContext, Client, FindError, Target};
use crate::http::forwarded;
use crate::protocol::Era;

impl Mcp {
    /// The tool called `name`, which not everybody has.
    pub(super) async fn find_own_tool(
        &self,
        asked: &Asked<'_>,
        client: &Client,
        name: &str,
    ) -> Result<Target, FindError> {
        let context = self.forwarding_context(asked);
        match asked.place {
            Place::All => self.gateway.find_exposed_for_client(&context, client, name).await,
            Place::One(server) => {
                let upstream = self.upstream(server).ok_or(FindError::Tool)?;
                self.gateway
                    .find_for_client(&context, &upstream, client, name, CatalogServer::tool_called)
                    .await
            }
        }
    }

    /// The list of the tools of `client`, which is one of `era`, as JSON text; `None` when it is that of everybody.
    pub(super) async fn own_tool_list(&self, asked: &Asked<'_>, client: &Client, era: Era) -> Option<Bytes> {
        let (context, scope) = (self.forwarding_context(asked), &asked.caller.scope);
        let server = asked.place.server();
        let concerns = |name: &ServerName| server.is_none_or(|server| name.as_str() == server);
        let catalog = self.gateway.client_catalog(&context, client, concerns).await?;
        let of = |server| catalog.tool_list_of(scope, era, server);
        Some(server.map_or_else(|| catalog.tool_list(scope, era), of))
    }

    /// With the headers of the caller for whichever server of the endpoint is asked, so that all that is asked of it goes
    /// over the connection of its calls. Each server takes from them what its entry names.
    pub(super) fn forwarding_context(&self, asked: &Asked<'_>) -> CallContext {
        let catalog = self.gateway.catalog_builder().catalog();
        let servers = asked.place.servers(&catalog, asked.caller);
        let entries: Vec<_> =
            servers.filter_map(|server| Some(Arc::clone(&server.upstream()?.config()))).collect();
        let forwarded = forwarded(&self.keys, &asked.head.headers, &entries);
        CallContext { forwarded, ..context(asked) }
    }
}
