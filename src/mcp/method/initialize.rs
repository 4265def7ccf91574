//! `initialize`: opens a session.

use axum::response::Response;
use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::endpoint_info::EndpointInfo;
use crate::mcp::input::client::{LARGEST_CAPABILITIES, too_large_capabilities};
use crate::mcp::message::Message;
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::{self, Fault};
use crate::protocol::header::SESSION_ID;
use crate::protocol::revision::WITH_SESSIONS;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitializeParams<'a> {
    #[serde(default)]
    protocol_version: String,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
}

/// Opens a session, which counts against the rate of its key.
///
/// An unknown revision is answered with the latest one that has sessions.
pub async fn answer(request: &RequestContext, message: &Message<'_>) -> Response {
    let Message::Request { id, params, .. } = message else {
        return Fault::invalid_request("`initialize` is a request").response(None);
    };
    let Ok(wanted) = serde_json::from_str::<InitializeParams<'_>>(params) else {
        return Fault::invalid_params("`protocolVersion` must be a text").response(Some(id));
    };
    if wanted.capabilities.is_some_and(|declared| declared.get().len() > LARGEST_CAPABILITIES) {
        return too_large_capabilities().response(Some(id));
    }
    let revision = WITH_SESSIONS
        .into_iter()
        .find(|revision| *revision == wanted.protocol_version)
        .unwrap_or(WITH_SESSIONS[0]);
    // A session costs as much as a call, and may get a process of its own.
    let _turn = match request.mcp.gateway.admit(&request.caller, None).await {
        Ok(turn) => turn,
        Err(limited) => return Fault::limited(&limited).response(Some(id)),
    };
    let info = EndpointInfo::of(request).await;
    let (shares, idle) = (request.mcp.shares.sessions(), request.mcp.config.limits.session_idle);
    let opened = request.mcp.shared.sessions.open(
        &request.caller,
        &request.endpoint,
        shares,
        idle,
        wanted.capabilities,
        revision,
    );
    let session = match opened {
        Ok(session) => session,
        Err(error) => {
            tracing::error!(%error, "no session can be opened: the kernel gives no random numbers");
            return Fault::internal("no session can be opened now").response(Some(id));
        }
    };
    let mut result = json!({
        "protocolVersion": revision,
        "capabilities": info.capabilities,
        "serverInfo": info.implementation,
    });
    if let Some(instructions) = info.instructions {
        result["instructions"] = instructions.into();
    }
    let mut response = fault::result(id, &fault::text(&result));
    let value = HeaderValue::from_bytes(&session.id).expect("visible characters make a header");
    response.headers_mut().insert(SESSION_ID, value);
    response
}
