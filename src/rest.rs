//! REST: a `POST` for each tool, the documents that describe them, and the pages that show those.
//!
//! | endpoint | what |
//! |---|---|
//! | `POST /{server}/{tool}` | one call; `POST /{tool}` in single-server mode |
//! | `GET /openapi.json`, `/{server}/openapi.json` | OpenAPI 3.1 of all tools, of one server's |
//! | `GET /docs`, `/{server}/docs` | Swagger UI; `/redoc` leads there |
//! | `GET /servers` | the servers and their state, and that of the configuration, as JSON |
//! | `GET /servers/plan` | what a reload would change now, for `admin` keys |
//! | `GET /servers/lock` | what the servers say of their tools, for `tools.lock`; for `admin` keys |
//! | `GET /metrics` | what Prometheus scrapes; for keys that may see all |
//! | `GET /health`, `/ready` | alive; every required server is up |
//!
//! Everything is dispatched from the raw path ([`route`]): tool names may hold slashes, braces and anything
//! else once percent-encoded, which a router's templates cannot carry.

mod call;
mod failure;
mod no_oauth;
mod pages;
pub mod problem;
pub mod result;
pub mod route;
mod servers;
pub mod swagger;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};

use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::method_not_allowed;
use crate::http::{Access, BodyBudget, Keys, Problem, json_answer};
use route::{Mount, Route};

/// What the handlers share.
#[derive(Debug)]
pub struct Rest {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    mount: Mount,
    room: BodyBudget,
}

impl Rest {
    /// `room` is what large bodies share, whatever face they come to.
    pub fn new(gateway: Arc<Gateway>, keys: Arc<Keys>, config: Arc<Config>, room: BodyBudget) -> Self {
        let mount = Mount::new(&config.listen, config.single);
        Self { gateway, keys, config, mount, room }
    }
}

/// Answers every request that belongs to no other face.
pub async fn answer(rest: Arc<Rest>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let route = rest.or_no_oauth(rest.mount.route(path, head.method == Method::POST), path);
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
    let is_open = matches!(route, Route::Health | Route::Ready | Route::Asset { .. } | Route::NoOAuth);
    if rest.config.auth.strict && !is_open {
        // Not even whether a path exists is told without a key.
        pages::admit(rest, head, Access::Document)?;
    }
    match route {
        Route::Nothing => Err(Problem::not_found().into()),
        Route::NoOAuth => Ok(rest.no_oauth()),
        Route::Tool { server, tool } => Err(call::wrong_method(rest, head, server.as_deref(), &tool)),
        Route::Moved { to } => rest.moved(head, &to),
        route if matches!(head.method, Method::GET | Method::HEAD) => pages::page(rest, head, route).await,
        _ => Err(method_not_allowed("GET, HEAD").into()),
    }
}

/// An answer that ends a request early; boxed, since it is rare and large.
type Refused = Box<Response>;

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        use axum::response::IntoResponse as _;
        Self::new(problem.into_response())
    }
}

impl Rest {
    /// A path that is only missing or carrying a slash, when there is something behind it.
    fn moved(&self, head: &Parts, to: &str) -> Result<Response, Refused> {
        let exists = match self.mount.route(to, head.method == Method::POST) {
            Route::Tool { server, tool } if head.method != Method::POST || !tool.is_empty() => {
                call::exists(self, head, server.as_deref(), &tool)
            }
            Route::ServerRoot { server } | Route::Tool { server: Some(server), .. } => {
                let caller = pages::admit(self, head, Access::Document);
                caller.is_ok_and(|caller| self.visible_server(&caller, &server).is_ok())
            }
            _ => false,
        };
        if !exists {
            return Err(Problem::not_found().into());
        }
        let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(redirect(&format!("{to}{query}")))
    }
}

/// 307: the method and the body stay. Only a path, so that no Host header can lead it elsewhere.
fn redirect(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    match HeaderValue::from_str(to) {
        Ok(location) => {
            response.headers_mut().insert(header::LOCATION, location);
            response
        }
        Err(_) => *Refused::from(Problem::not_found()),
    }
}

/// A value as a JSON answer.
fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_answer(status, bytes.into()),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            *Refused::from(Problem::internal())
        }
    }
}
