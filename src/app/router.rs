//! The paths of the port: one table of routes, and in front of it the calls.
//!
//! A request has passed the edge (its id, CORS, Host and Origin rules). The table says for each route which key it asks
//! for, and its middleware admits the caller before a body is read. Tools are no lines of the table, since their names
//! come and go with the servers: what no line matches is a call, a redirect by a slash, or nothing (`rest`).
//!
//! The calls (`POST` to a tool, MCP, `/v1/tools/call`) do not go through the table, although its fallback would serve
//! them the same: axum boxes each layer and each handler once per request, and a call is boxed once.
//!
//! A route with a new first segment needs that segment in `config::name::RESERVED`, or a server may take its name; one
//! behind `/{server}/` needs its name in `is_call` and in the reserved names of `catalog::server::selection`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any, get, post};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::Method;
use percent_encoding::percent_decode_str;

use crate::authorization_server::ServerPaths;
use crate::config::Config;
use crate::config::name::RESERVED;
use crate::http::Access::{self, Call, Document, Open};
use crate::http::admission::{admit, measure, name_key};
use crate::http::answer::method_not_allowed;
use crate::http::health::health;
use crate::http::path_prefix::{PathPrefix, without_start};
use crate::http::protected_resource::WELL_KNOWN;
use crate::http::{Keys, Problem, Responder};
use crate::mcp::{self, Mcp};
use crate::metrics::HttpMetrics;
use crate::openai::{self, OpenAi};
use crate::rest::{self, Rest, pages, servers};
use crate::signin::{self, SignIn, authorize, page_cookie, server};
use crate::web::{self, Web};

/// The handlers under one configuration, and the state of their middleware.
pub struct Rooms {
    pub mcp: Arc<Mcp>,
    pub openai: Arc<OpenAi>,
    pub sign_in: Arc<SignIn>,
    pub web: Arc<Web>,
    pub rest: Arc<Rest>,
    pub keys: Arc<Keys>,
    pub config: Arc<Config>,
    pub metrics: Arc<HttpMetrics>,
}

/// Leads each request to its handler; built once for a configuration.
pub struct Router {
    rooms: Rooms,
    prefix: PathPrefix,
    table: axum::Router,
    /// For the prefix itself, which may be named like a route of the table.
    page: axum::Router,
}

impl Router {
    pub fn new(rooms: Rooms) -> Self {
        let prefix = PathPrefix::new(&rooms.config.listen);
        let inside = match rooms.config.single {
            true => rooms.gateway_routes(),
            false => rooms.gateway_routes().merge(rooms.server_routes()),
        };
        let inside = inside.fallback(unmatched).with_state(rooms.rest.clone());
        let (table, page) = match prefix.prefix() {
            "" => (inside.clone(), inside),
            _ => {
                let prefixed = Arc::new(Prefixed {
                    prefix: prefix.clone(),
                    inside,
                    rest: rooms.rest.clone(),
                    metrics: rooms.metrics.clone(),
                });
                let behind =
                    |routes: axum::Router<_>| routes.fallback(within_prefix).with_state(prefixed.clone());
                (behind(rooms.gateway_routes()), behind(axum::Router::new()))
            }
        };
        Self { rooms, prefix, table, page }
    }

    /// Whether a `POST` to `path` calls a tool for certain; the table's fallback serves the others that do.
    fn is_call(&self, path: &str) -> bool {
        let inside = self.prefix.within_prefix(path);
        if self.rooms.config.single {
            let is_own = |path: &str| path.starts_with("/v1/") || path.starts_with("/oauth/");
            return !is_own(path) && !inside.is_some_and(is_own);
        }
        let is_reserved = |path: &str| RESERVED.contains(&path.split('/').nth(1).unwrap_or_default());
        let Some((_, tool)) = inside.and_then(|path| path.strip_prefix('/')?.split_once('/')) else {
            return false;
        };
        match tool {
            "docs" | "openapi.json" => false,
            "redoc" => true,
            _ => !tool.contains('/') && !is_reserved(path) && !inside.is_some_and(is_reserved),
        }
    }
}

impl Responder for Router {
    fn respond(&self, request: Request) -> BoxFuture<'static, Response> {
        let is_post = *request.method() == Method::POST;
        let raw = request.uri().path();
        let path = self.prefix.within_root(raw);
        // The table would take an empty segment for a name, and answer one that is no UTF-8 itself.
        let has_names = || !path.contains("//") && percent_decode_str(path).decode_utf8().is_ok();
        if let Some(endpoint) = self.rooms.mcp.endpoint(raw) {
            mcp::answer(self.rooms.mcp.clone(), request, endpoint).boxed()
        } else if is_post && self.is_call(path) || !has_names() {
            rest::answer(self.rooms.rest.clone(), request).boxed()
        } else if is_post && path == openai::CALL {
            openai::call(State(self.rooms.openai.clone()), request).boxed()
        } else {
            let root = raw.len() - path.len();
            let is_page = path.strip_suffix('/').unwrap_or(path) == self.prefix.prefix();
            let table = if is_page { &self.page } else { &self.table };
            table.respond(without_start(request, root))
        }
    }

    fn refuse(&self, path: &str, problem: Problem) -> Response {
        match self.rooms.mcp.endpoint(path) {
            Some(_) => mcp::refused(problem),
            None => problem.into_response(),
        }
    }
}

impl Rooms {
    /// The routes of the whole gateway, which are there with and without the path prefix.
    fn gateway_routes<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        let open = axum::Router::new()
            .route("/health", self.read(Open, health))
            .route("/ready", self.read(Open, pages::ready))
            .route("/assets/swagger/{file}", self.read(Open, pages::asset))
            .with_state(self.rest.clone());
        let rest = axum::Router::new()
            .route("/servers", self.read(Call, servers::list))
            .route("/servers/plan", self.read(Call, pages::plan))
            .route("/servers/lock", self.read(Call, pages::lock))
            .route("/metrics", self.read(Call, pages::metrics))
            .route("/openapi.json", self.read(Document, pages::document))
            .route("/docs", self.read(Open, pages::docs))
            .route("/docs/swagger-initializer.js", self.read(Open, pages::initializer))
            .route("/redoc", self.read(Open, pages::to_docs))
            .route("/docs/", self.read(Open, pages::up_to_docs))
            .route("/redoc/", self.read(Open, pages::up_to_docs))
            .with_state(self.rest.clone());
        let web = axum::Router::new()
            .route("/", self.read(Open, web::page))
            .route("/assets/page/{file}", self.read(Open, web::file))
            .route("/servers/{server}/tools", self.read(Call, web::tools))
            .route("/servers/lobechat.json", self.read(Document, web::gateway_manifest))
            .route("/servers/{server}/lobechat.json", self.read(Document, web::server_manifest))
            .with_state(self.web.clone());
        let sign_in = axum::Router::new()
            .route("/oauth/callback", self.read(Open, signin::callback))
            .route("/oauth/client-metadata.json", self.read(Open, signin::client_document))
            .route(
                "/oauth/{server}/start",
                self.read(Open, signin::ask).post(signin::begin).fallback(signin::not_allowed),
            )
            .route("/oauth/user/callback", self.read(Open, signin::proven))
            .route("/oauth/{server}/user", any(signin::only_post).post(signin::prove))
            .route("/oauth/{server}/sign-out", any(signin::only_post).post(signin::sign_out))
            .merge(self.resource_metadata())
            .merge(self.authorization_server())
            .with_state(self.sign_in.clone())
            .route_layer(from_fn_with_state(self.keys.clone(), name_key));
        let openai = axum::Router::new()
            .route("/v1/tools", any(openai::tools))
            .route("/v1/tools/", any(openai::tools))
            .route("/v1/tools/call", any(openai::call))
            .route("/v1/tools/call/", any(openai::call))
            .with_state(self.openai.clone());
        self.measured(open.merge(self.hidden(rest)).merge(web).merge(sign_in)).merge(openai)
    }

    /// Where users sign in; not there without users.
    fn resource_metadata(&self) -> axum::Router<Arc<SignIn>> {
        let metadata = || self.read(Open, signin::resource::metadata);
        match self.keys.users().is_empty() {
            true => axum::Router::new(),
            false => axum::Router::new()
                .route(WELL_KNOWN, metadata())
                .route(&format!("{WELL_KNOWN}/{{*path}}"), metadata()),
        }
    }

    /// The gateway's own authorization server; not there unless a configuration wants it.
    fn authorization_server(&self) -> axum::Router<Arc<SignIn>> {
        if self.keys.users().own().is_none() {
            return axum::Router::new();
        }
        let below = |path: &str| format!("{path}/{{*path}}");
        let (metadata, openid) = (|| self.read(Open, server::metadata), || self.read(Open, server::openid));
        let to_clients = |handler: MethodRouter<Arc<SignIn>>| handler.fallback(server::not_allowed);
        axum::Router::new()
            .route(ServerPaths::METADATA, metadata())
            .route(&below(ServerPaths::METADATA), metadata())
            .route(ServerPaths::OPENID, openid())
            .route(&below(ServerPaths::OPENID), openid())
            .route(ServerPaths::KEYS, self.read(Open, server::keys))
            .route(
                ServerPaths::AUTHORIZE,
                get(authorize::ask).post(authorize::answer).fallback(signin::not_allowed),
            )
            .route(
                ServerPaths::PAGE,
                post(page_cookie::open).delete(page_cookie::close).fallback(page_cookie::not_allowed),
            )
            .route(ServerPaths::REGISTER, to_clients(post(server::register)))
            .route(ServerPaths::TOKEN, to_clients(post(server::token)))
            .route(ServerPaths::REVOKE, to_clients(post(server::revoke)))
    }

    /// The routes of each server, which are there behind the path prefix alone; not in single-server mode.
    fn server_routes<S: Clone + Send + Sync + 'static>(&self) -> axum::Router<S> {
        let rest = axum::Router::new()
            .route("/{server}/openapi.json", self.read(Document, pages::server_document))
            .route("/{server}/docs", self.read(Open, pages::server_docs))
            .route("/{server}/docs/swagger-initializer.js", self.read(Open, pages::server_initializer))
            .route("/{server}/redoc", self.read(Open, pages::to_docs))
            .route("/{server}/docs/", self.read(Open, pages::up_to_docs))
            .route("/{server}/redoc/", self.read(Open, pages::up_to_docs))
            .with_state(self.rest.clone());
        self.measured(self.hidden(rest))
    }

    /// A page or document at `GET` and `HEAD`, for a caller with the key that `access` asks for.
    fn read<H, T, S>(&self, access: Access, handler: H) -> MethodRouter<S>
    where
        H: Handler<T, S>,
        T: 'static,
        S: Clone + Send + Sync + 'static,
    {
        // With `any`, axum adds no `Allow` of its own: the refusal of a hidden route would reveal it.
        let refusal = any(|| async { method_not_allowed("GET, HEAD") });
        match access {
            Open => refusal.get(handler),
            Document | Call => refusal
                .merge(get(handler).route_layer(from_fn_with_state((self.keys.clone(), access), admit))),
        }
    }

    /// In strict mode, hides from a caller without a key whether these routes exist.
    fn hidden<S: Clone + Send + Sync + 'static>(&self, routes: axum::Router<S>) -> axum::Router<S> {
        match self.config.auth.strict {
            true => routes.route_layer(from_fn_with_state((self.keys.clone(), Document), admit)),
            false => routes,
        }
    }

    fn measured<S: Clone + Send + Sync + 'static>(&self, routes: axum::Router<S>) -> axum::Router<S> {
        routes.route_layer(from_fn_with_state(self.metrics.clone(), measure))
    }
}

/// The table behind the path prefix, and the state of its fallback.
struct Prefixed {
    prefix: PathPrefix,
    inside: axum::Router,
    rest: Arc<Rest>,
    metrics: Arc<HttpMetrics>,
}

/// Answers a path that is no route without the prefix.
async fn within_prefix(
    State(prefixed): State<Arc<Prefixed>>,
    whole: OriginalUri,
    request: Request,
) -> Response {
    let (path, prefix) = (request.uri().path(), prefixed.prefix.prefix());
    if path == prefix {
        let timer = prefixed.metrics.request(request.method().as_str(), "/");
        let answer = match *request.method() {
            Method::GET | Method::HEAD => web::to_page(prefix).into_response(),
            _ => method_not_allowed("GET, HEAD").into_response(),
        };
        timer.answered(answer.status().as_u16());
        return answer;
    }
    match prefixed.prefix.within_prefix(path) {
        Some(_) => prefixed.inside.respond(without_start(request, prefix.len())).await,
        None => unmatched(State(prefixed.rest.clone()), whole, request).await,
    }
}

/// Answers a request that no route matches, under its whole path.
async fn unmatched(
    State(rest): State<Arc<Rest>>,
    OriginalUri(whole): OriginalUri,
    mut request: Request,
) -> Response {
    *request.uri_mut() = whole;
    rest::answer(rest, request).await
}
