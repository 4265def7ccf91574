//! REST: a `POST` for each tool, the documents that describe them, and the pages that show those.
//!
//! | endpoint | answer |
//! |---|---|
//! | `POST /{server}/{tool}` | one call; `POST /{tool}` in single-server mode |
//! | `GET /openapi.json`, `/{server}/openapi.json` | OpenAPI 3.1 of all tools, of one server's |
//! | `GET /docs`, `/{server}/docs` | Swagger UI; `/redoc` leads there |
//! | `GET /servers` | the servers and their state, and that of the configuration, as JSON |
//! | `GET /servers/plan` | the changes that a reload would make now; for `admin` keys |
//! | `GET /servers/lock` | the tool definitions of all servers, for `tools.lock`; for `admin` keys |
//! | `GET /metrics` | the metrics for Prometheus; for keys that may see all |
//! | `GET /health`, `/ready` | alive; every required server is up |
//!
//! The handlers of pages and documents ([`pages`], [`servers`]) are lines of the table of routes. Calls are sorted from
//! the raw path ([`route`]): names of tools hold slashes, braces and anything else once percent-encoded.

mod call;
mod failure;
mod no_oauth;
pub mod pages;
pub mod problem;
pub mod result;
pub mod route;
pub mod servers;
pub mod swagger;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{Method, Request, StatusCode};

use crate::catalog::Caller;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::{json_text, method_not_allowed, redirect};
use crate::http::{Access, BodyBudget, Keys, Problem, json_answer};
use route::{PathSpace, Route};

/// The state that the handlers share.
#[derive(Debug)]
pub struct Rest {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    paths: PathSpace,
    bodies: BodyBudget,
}

impl Rest {
    /// `bodies` is the memory that large bodies share on all routes.
    pub fn new(gateway: Arc<Gateway>, keys: Arc<Keys>, config: Arc<Config>, bodies: BodyBudget) -> Self {
        let paths = PathSpace::new(&config.listen, config.single);
        Self { gateway, keys, config, paths, bodies }
    }
}

/// Answers a request that no line of the table of routes matches.
pub async fn answer(rest: Arc<Rest>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let route = rest.or_no_oauth(rest.paths.route(path, head.method == Method::POST), path);
    let timer = rest.gateway.metrics().http().request(head.method.as_str(), route.template());
    let answer = match route {
        Route::Tool { server, tool } if head.method == Method::POST => {
            call::call(&rest, &head, body, server.as_deref(), &tool).await
        }
        route => other_than_call(&rest, &head, route).await.unwrap_or_else(|refusal| *refusal),
    };
    timer.answered(answer.status().as_u16());
    answer
}

async fn other_than_call(rest: &Rest, head: &Parts, route: Route<'_>) -> Result<Response, Refused> {
    if matches!(route, Route::NoOAuth) {
        return Ok(rest.no_oauth());
    }
    if rest.config.auth.strict {
        // Hides from a caller without a key whether a path exists.
        admit(rest, head).await?;
    }
    match route {
        Route::Tool { server, tool } => Err(call::wrong_method(rest, head, server.as_deref(), &tool).await),
        Route::Moved { to } => rest.moved(head, &to).await,
        Route::ServerRoot { .. } if !matches!(head.method, Method::GET | Method::HEAD) => {
            Err(method_not_allowed("GET, HEAD").into())
        }
        Route::ServerRoot { .. } | Route::NoOAuth | Route::Nothing => Err(Problem::not_found().into()),
    }
}

/// The caller as one that reads documents.
async fn admit(rest: &Rest, head: &Parts) -> Result<Caller, Refused> {
    let admitted = rest.keys.admit(&head.headers, Access::Document).await;
    admitted.map_err(|refusal| Refused::from(refusal.problem().clone()))
}

/// An answer that ends a request early; boxed, since it is rare and large.
type Refused = Box<Response>;

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::new(problem.into_response())
    }
}

impl Rest {
    /// A path that is only missing or carrying a slash, when there is something behind it.
    async fn moved(&self, head: &Parts, to: &str) -> Result<Response, Refused> {
        let exists = match self.paths.route(to, head.method == Method::POST) {
            Route::Tool { server, tool } if head.method != Method::POST || !tool.is_empty() => {
                call::exists(self, head, server.as_deref(), &tool).await
            }
            Route::ServerRoot { server } | Route::Tool { server: Some(server), .. } => {
                let caller = admit(self, head).await;
                caller.is_ok_and(|caller| self.visible_server(&caller, &server).is_ok())
            }
            _ => false,
        };
        if !exists {
            return Err(Problem::not_found().into());
        }
        let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        redirect(StatusCode::TEMPORARY_REDIRECT, &format!("{to}{query}")).map_err(Refused::from)
    }
}

/// A value as a JSON answer.
fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    json_text(value).map(|text| json_answer(status, text)).into_response()
}
