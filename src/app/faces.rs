//! One router over the faces: MCP has its own paths, and REST everything else.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;

use crate::mcp::Mcp;
use crate::rest::{self, Rest};

/// The router of one configuration.
pub fn router(mcp: Arc<Mcp>, rest: Arc<Rest>) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let (mcp, rest) = (mcp.clone(), rest.clone());
        async move {
            match mcp.is_at(request.uri().path()) {
                true => mcp.answer(request).await,
                false => rest::answer(rest, request).await,
            }
        }
    })
}
