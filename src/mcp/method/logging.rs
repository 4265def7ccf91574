//! `logging/setLevel`: the least level of the log messages that a client with a session gets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::pass_through::forward;
use crate::gateway::Client;
use crate::json::member;
use crate::mcp::endpoint::Endpoint;
use crate::mcp::input::bridge::Bridge;
use crate::mcp::input::client::SessionClient;
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::Fault;
use crate::mcp::session::interest::Interest;
use crate::mcp::session::state::Session;
use crate::mcp::stateless::LEVELS;
use crate::protocol::{Era, method};
use crate::upstream::Upstream;

/// How long all servers together may take to get another level of their log.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Sets the level for the session, which has connections of its own from now on.
///
/// Servers send their log to a connection and not to a request. The connections that are open get the level at once,
/// the others when they are opened; at the endpoint of one server, its connection is opened now.
///
/// # Errors
///
/// When the level is not one of the protocol's, or the one server cannot be reached.
pub async fn set_level(
    request: &RequestContext,
    session: &Arc<Session>,
    params: &str,
) -> Result<Bytes, Fault> {
    let Some(level) = member::<String>(params, "level") else {
        return Err(Fault::invalid_params("`level` must be a text"));
    };
    if !LEVELS.contains(&level.as_str()) {
        return Err(Fault::invalid_params(format!("`level` must be one of {}", LEVELS.join(", "))));
    }
    let client = &session.client;
    let set = || client.set_log_level(level.into());
    request.mcp.shared.change_interest(session, Interest::Log, set).await;
    open_connections(request, client).await
}

/// Opens the connections that bring `client` the log at its level.
///
/// # Errors
///
/// When the one server cannot be reached.
pub async fn open_connections(request: &RequestContext, client: &Arc<SessionClient>) -> Result<Bytes, Fault> {
    let Some(side) = client.side() else { return Ok(Bytes::from_static(b"{}")) };
    let (context, is_all) = (request.forwarding_context(), request.endpoint == Endpoint::All);
    let identity = |upstream: &Upstream| context.identity_at(upstream);
    let concerned: Vec<Arc<Upstream>> = {
        let catalog = request.mcp.gateway.catalog_builder().catalog();
        let servers = request.endpoint.servers(&catalog, &request.caller);
        let gets_level = |upstream: &&Arc<Upstream>| {
            upstream.era() == Era::Sessions
                && (!is_all || upstream.own_relay(identity(upstream).as_ref(), &side).is_some())
        };
        servers.filter_map(|server| server.upstream()).filter(gets_level).cloned().collect()
    };
    // The level is set before anything is asked over the connection.
    if is_all {
        // They are open already; one that hangs gets the level when it is used next.
        let set = concerned.iter().map(|upstream| {
            let (identity, side) = (identity(upstream), &side);
            async move { upstream.connection(identity.as_ref(), Some(side)).await.map(drop) }
        });
        let _set_later = timeout(LONGEST_WAIT, join_all(set)).await;
        return Ok(Bytes::from_static(b"{}"));
    }
    let client = Some(Client { side, handler: client.clone() });
    let bridge = Bridge { client, ..Bridge::plain(Era::Sessions) };
    for upstream in &concerned {
        forward(request, upstream, method::PING, "{}", &bridge).await?;
    }
    Ok(Bytes::from_static(b"{}"))
}
