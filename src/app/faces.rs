//! One path space over the faces: MCP, the OpenAI form, sign-ins and the page for people have their own paths, and REST
//! everything else.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Request;

use crate::http::{Problem, Responder};
use crate::mcp::{self, Mcp};
use crate::openai::OpenAi;
use crate::rest::{self, Rest};
use crate::signin::SignIn;
use crate::web::Web;

/// The faces of one configuration.
pub struct Faces {
    pub mcp: Arc<Mcp>,
    pub openai: Arc<OpenAi>,
    pub sign_in: Arc<SignIn>,
    pub web: Arc<Web>,
    pub rest: Arc<Rest>,
}

impl Responder for Faces {
    // Each face has a box of its own size: that of a REST call is less than half of that of MCP.
    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response> {
        let path = request.uri().path();
        if let Some(place) = self.mcp.place(path) {
            self.mcp.clone().answer(request, place).boxed()
        } else if self.openai.is_at(path) {
            self.openai.clone().answer(request).boxed()
        } else if self.sign_in.is_at(path) {
            self.sign_in.clone().answer(request).boxed()
        } else if self.web.is_at(request.method(), path) {
            self.web.clone().answer(request).boxed()
        } else {
            rest::answer(self.rest.clone(), request).boxed()
        }
    }

    fn refuse(&self, path: &str, problem: Problem) -> Response {
        match self.mcp.place(path) {
            Some(_) => mcp::refused(problem),
            None => problem.into_response(),
        }
    }
}
