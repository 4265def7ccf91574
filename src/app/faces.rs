//! One router over the faces: MCP and the page for people have their own paths, and REST everything else.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;

use crate::mcp::Mcp;
use crate::rest::{self, Rest};
use crate::web::Web;

/// The router of one configuration.
pub fn router(mcp: Arc<Mcp>, web: Arc<Web>, rest: Arc<Rest>) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let (mcp, web, rest) = (mcp.clone(), web.clone(), rest.clone());
        async move {
            let path = request.uri().path();
            if mcp.is_at(path) {
                mcp.answer(request).await
            } else if web.is_at(request.method(), path) {
                web.answer(request).await
            } else {
                rest::answer(rest, request).await
            }
        }
    })
}
