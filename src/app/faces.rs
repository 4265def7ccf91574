//! One router over the faces: MCP and the OpenAI form have their own paths, and REST everything else.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;

use crate::mcp::Mcp;
use crate::openai::OpenAi;
use crate::rest::{self, Rest};

/// The router of one configuration.
pub fn router(mcp: Arc<Mcp>, openai: Arc<OpenAi>, rest: Arc<Rest>) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let (mcp, openai, rest) = (mcp.clone(), openai.clone(), rest.clone());
        async move {
            let path = request.uri().path();
            if mcp.is_at(path) {
                mcp.answer(request).await
            } else if openai.is_at(path) {
                openai.answer(request).await
            } else {
                rest::answer(rest, request).await
            }
        }
    })
}
