//! `server/discover` of the stateless era.

use bytes::Bytes;
use serde_json::json;

use super::endpoint_info::EndpointInfo;
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault;
use crate::protocol::meta::SERVER_INFO;
use crate::protocol::revision::STATELESS;

/// The result: the revision, capabilities and instructions of the endpoint.
pub async fn answer(request: &RequestContext) -> Bytes {
    let info = EndpointInfo::of(request).await;
    let mut result = json!({
        "supportedVersions": [STATELESS],
        "capabilities": info.capabilities,
        "_meta": { SERVER_INFO: info.implementation },
    });
    if let Some(instructions) = info.instructions {
        result["instructions"] = instructions.into();
    }
    fault::text(&result)
}
