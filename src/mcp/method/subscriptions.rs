//! `resources/subscribe` and `resources/unsubscribe` of clients with a session.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::pass_through::forward;
use crate::json::member;
use crate::mcp::aggregate::{find_uri, resource_not_found};
use crate::mcp::capabilities::{any_sends, offers_subscriptions};
use crate::mcp::endpoint::Endpoint;
use crate::mcp::input::bridge::Bridge;
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::Fault;
use crate::mcp::session::interest::Interest;
use crate::mcp::session::resource_subscription::{MOST_FOLLOWED, ResourceSubscription};
use crate::mcp::session::state::Session;
use crate::protocol::{Era, method};
use crate::shares::Held;
use crate::upstream::Upstream;

/// The longest URI of a resource that can be followed, in bytes: it is kept for as long.
const LONGEST_URI: usize = 4096;

/// Answers both methods. The server is asked once for all clients that follow the same resource.
///
/// # Errors
///
/// When the resource is not found or cannot be followed, or the client follows as many as it may.
pub async fn answer(
    request: &RequestContext,
    session: &Arc<Session>,
    method: &str,
    params: &str,
) -> Result<Bytes, Fault> {
    let Some(uri) = member::<String>(params, "uri") else {
        return Err(Fault::invalid_params("`uri` must be a text"));
    };
    let is_end = method == method::RESOURCES_UNSUBSCRIBE;
    // Also of a server that is gone.
    if is_end && uri.len() <= LONGEST_URI {
        let (shared, interest) = (&request.mcp.shared, Interest::Resource(uri.as_str().into()));
        let end = || session.followed().remove(&*uri);
        if shared.change_interest(session, interest, end).await.is_some() {
            return Ok(Bytes::from_static(b"{}"));
        }
    }
    if !any_sends(&request.mcp, &request.caller, &request.endpoint, "resources", "subscribe") {
        return Err(Fault::method_not_found(method));
    }
    let Some((upstream, own)) = find_resource(request, &uri) else {
        return Err(resource_not_found(Era::Sessions, &uri));
    };
    if !offers_subscriptions(&upstream) {
        let name = upstream.name();
        return Err(Fault::invalid_params(format!("{name} sends no notifications about its resources")));
    }
    if is_end {
        return Ok(Bytes::from_static(b"{}"));
    }
    if session.followed().len() >= MOST_FOLLOWED {
        return Err(Fault::invalid_params(format!("a session follows {MOST_FOLLOWED} resources at most")));
    }
    let held = take_followed(request, &uri)?;
    if upstream.era() == Era::Sessions {
        let params = json!({ "uri": own }).to_string();
        forward(request, &upstream, method, &params, &Bridge::plain(Era::Sessions)).await?;
    }
    let followed = ResourceSubscription::new(&upstream, &own, &uri, held);
    let (shared, uri) = (&request.mcp.shared, Box::<str>::from(uri));
    let follow = || session.followed().insert(uri.clone(), followed);
    let _followed_before = shared.change_interest(session, Interest::Resource(uri.clone()), follow).await;
    Ok(Bytes::from_static(b"{}"))
}

/// The part of the caller's share that the resource `uri` takes.
///
/// # Errors
///
/// When the caller follows as many as it may, or the URI is too long to be kept.
pub fn take_followed(request: &RequestContext, uri: &str) -> Result<Held, Fault> {
    if uri.len() > LONGEST_URI {
        return Err(Fault::invalid_params(format!("`uri` may have {LONGEST_URI} bytes at most")));
    }
    request.mcp.take_followed(&request.caller)
}

/// The server that has the resource `uri` of the endpoint, and the server's own URI.
pub fn find_resource(request: &RequestContext, uri: &str) -> Option<(Arc<Upstream>, String)> {
    match &request.endpoint {
        Endpoint::One(name) => Some((request.mcp.upstream(name)?, uri.to_owned())),
        Endpoint::All => {
            find_uri(&request.mcp, &request.caller, uri).map(|(upstream, own)| (upstream, own.into_owned()))
        }
    }
}
