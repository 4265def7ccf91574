//! Tools that a server has for one client alone, mostly for one that it can ask something.
//!
//! At the endpoint of one server, that server is asked over the client's own connection, which the client is about to use
//! anyway. At the endpoint of all, a list must not begin a process or a session at each of them, most of which have nothing
//! of the kind. So only those servers are asked there
//!
//! - that were seen to have other tools for clients that declare the same (found out a moment
//!   after the first of these clients gets a connection of its own, by a call or at the endpoint of that server), or
//! - whose own connection with this client is open and has said that its tools are others now.
//!
//! They are asked at once, and within a deadline, as far as they are ready: a list tries none that is down. When the first
//! of them is found, clients are told that the list has changed, and find more in it. A call needs no list before it:
//! each name tells which one server it may be of, and that is asked.

use std::sync::Arc;

use bytes::Bytes;

use super::Mcp;
use super::answer::Fault;
use super::calls::context;
use super::methods::Asked;
use super::place::Place;
use crate::catalog::CatalogServer;
use crate::gateway::{CallContext, Client, FindError, Target};
use crate::http::forwarded;

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
            Place::All => self.gateway.find_offered_prefixed(&context, client, name).await,
            Place::One(server) => {
                let upstream = self.upstream(server).ok_or(FindError::Tool)?;
                self.gateway.find_offered(&context, &upstream, client, name, CatalogServer::tool_called).await
            }
        }
    }

    /// The list of the tools of `client`, as JSON text; `None` when it is that of everybody. While a server is down, what
    /// everybody was told last is told here, too.
    ///
    /// # Errors
    ///
    /// At the endpoint of one server: the caller's key asks too often to get a connection of its own.
    pub(super) async fn own_tool_list(
        &self,
        asked: &Asked<'_>,
        client: &Client,
    ) -> Result<Option<Bytes>, Fault> {
        let (context, scope) = (self.forwarding_context(asked), &asked.caller.scope);
        match asked.place {
            Place::All => {
                let catalog = self.gateway.offered_together(&context, client).await;
                Ok(catalog.map(|catalog| catalog.tool_list(scope)))
            }
            Place::One(name) => {
                let Some(upstream) = self.upstream(name) else { return Ok(None) };
                match self.gateway.offered_to(&context, &upstream, client).await {
                    Ok(catalog) => Ok(catalog.map(|catalog| catalog.tool_list_of(scope, name))),
                    Err(FindError::Limited(limited)) => Err(Fault::limited(&limited)),
                    Err(_) => Ok(None),
                }
            }
        }
    }

    /// With the headers of the caller for whichever server of the endpoint is asked, so that all that is asked of it goes
    /// over the connection of its calls. Each server takes from them what its entry names.
    pub(super) fn forwarding_context(&self, asked: &Asked<'_>) -> CallContext {
        let catalog = self.gateway.keeper().catalog();
        let servers = asked.place.servers(&catalog, asked.caller);
        let entries: Vec<_> =
            servers.filter_map(|server| Some(Arc::clone(&server.upstream()?.config()))).collect();
        let forwarded = forwarded(&self.keys, &asked.head.headers, &entries);
        CallContext { forwarded, ..context(asked) }
    }
}
