//! `tools/list`: the tools that all clients of the caller's scope see, or the client's own list.
//!
//! A server may have tools for one client alone, mostly for one that it can ask something. A list must not begin a
//! process or a session at any server, most of which have no such tools, and waits for none. So it shows the shared
//! tools until the client's first call has opened a connection of its own to a server. The tools over that connection
//! are found a moment later; where they differ, the client gets a notification. A call needs no list before it: each name
//! says which one server may have the tool, and the gateway asks that server.

use arc_swap::Guard;
use bytes::Bytes;

use crate::catalog::{Caller, Catalog};
use crate::compute;
use crate::config::ServerName;
use crate::gateway::Client;
use crate::mcp::endpoint::Endpoint;
use crate::mcp::input::bridge::Bridge;
use crate::mcp::request::{RequestContext, kept};
use crate::mcp::response::fault::Fault;
use crate::mcp::stateless_result::{LIST_TTL, cache_members};
use crate::protocol::Era;
use crate::upstream::Freshness;

/// From so many tools on, their list is written apart from the workers.
const MANY_TOOLS: usize = 256;

/// Lists the tools, with a share of the memory for results.
///
/// # Errors
///
/// When the memory for results has no share for it in time.
pub async fn answer(request: &RequestContext, bridge: &Bridge) -> Result<Bytes, Fault> {
    request.first_outcomes().await;
    let era = bridge.era;
    let shared = shared_list(request, era).await;
    // The client's own list is much the same, so the length of the shared one stands for either.
    let share = request.reserve_for_list(shared.len()).await?;
    let own = match &bridge.client {
        Some(client) => own_list(request, client, era).await,
        None => None,
    };
    let is_own = own.is_some();
    let list = own.unwrap_or(shared);
    let mut text = Vec::with_capacity(list.len() + 10);
    text.extend_from_slice(b"{\"tools\":");
    text.extend_from_slice(&list);
    if bridge.era == Era::Stateless {
        text.extend_from_slice(freshness(request, is_own).as_bytes());
    }
    text.push(b'}');
    Ok(kept(share, text.into()))
}

/// The shortest time and the narrowest scope of the listed servers; the client's own list is private.
fn freshness(request: &RequestContext, is_own: bool) -> String {
    let catalog = request.mcp.gateway.catalog_builder().catalog();
    let listed = request.endpoint.servers(&catalog, &request.caller);
    let infos = listed.filter_map(|server| server.info.as_ref());
    let freshness = infos.fold(Freshness::default(), |all, info| all.and(info.freshness));
    cache_members(freshness, LIST_TTL, is_own || !request.mcp.is_open())
}

/// [`tool_list`] without keeping the worker: the text of ten thousand tools takes a while to write.
async fn shared_list(request: &RequestContext, era: Era) -> Bytes {
    let catalog = Guard::into_inner(request.mcp.gateway.catalog_builder().catalog());
    let tools: usize = catalog.servers.iter().map(|server| server.tools.len()).sum();
    let (caller, endpoint) = (request.caller.clone(), request.endpoint.clone());
    let list = move || tool_list(&catalog, &caller, &endpoint, era);
    if tools <= MANY_TOOLS { list() } else { compute::run(request.caller.owner("mcp"), list).await }
}

/// The list of `client` as JSON text; `None` when it is the shared one.
async fn own_list(request: &RequestContext, client: &Client, era: Era) -> Option<Bytes> {
    let (context, scope) = (request.forwarding_context(), &request.caller.scope);
    let server = request.endpoint.server();
    let concerns = |name: &ServerName| server.is_none_or(|server| name.as_str() == server);
    let catalog = request.mcp.gateway.client_catalog(&context, client, concerns).await?;
    let of = |server| catalog.tool_list_of(scope, era, server);
    Some(server.map_or_else(|| catalog.tool_list(scope, era), of))
}

/// The JSON text of the tools that `caller`, a client of `era`, sees at `endpoint`.
pub fn tool_list(catalog: &Catalog, caller: &Caller, endpoint: &Endpoint, era: Era) -> Bytes {
    match endpoint {
        Endpoint::All => catalog.tool_list(&caller.scope, era),
        Endpoint::One(name) => catalog.tool_list_of(&caller.scope, era, name),
    }
}
