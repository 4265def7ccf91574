//! One router over the faces: MCP, the OpenAI form, sign-ins and the page for people have their own paths, and REST
//! everything else.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;

use crate::mcp::Mcp;
use crate::openai::OpenAi;
use crate::rest::{self, Rest};
use crate::signin::SignIn;
use crate::web::Web;

/// The router of one configuration.
pub fn router(
    mcp: Arc<Mcp>,
    openai: Arc<OpenAi>,
    sign_in: Arc<SignIn>,
    web: Arc<Web>,
    rest: Arc<Rest>,
) -> Router {
    Router::new().fallback(move |request: Request<Body>| {
        let (mcp, openai, sign_in) = (mcp.clone(), openai.clone(), sign_in.clone());
        let (web, rest) = (web.clone(), rest.clone());
        async move {
            let path = request.uri().path();
            if mcp.is_at(path) {
                mcp.answer(request).await
            } else if openai.is_at(path) {
                openai.answer(request).await
            } else if sign_in.is_at(path) {
                sign_in.answer(request).await
            } else if web.is_at(request.method(), path) {
                web.answer(request).await
            } else {
                rest::answer(rest, request).await
            }
        }
    })
}
