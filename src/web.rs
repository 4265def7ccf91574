//! The page for people: every server with its state, its tools, and how to wire each client to it.
//!
//! | endpoint | what |
//! |---|---|
//! | `GET /` | the page; it holds nothing of any server, and needs no key |
//! | `GET /assets/page/{file}` | its style, script and icon |
//! | `GET /servers/{server}/tools` | the tools of a server as it defined them, under their exposed names |
//! | `GET /servers/lobechat.json`, `/servers/{server}/lobechat.json` | plugin manifests for LobeChat ([`manifest`]) |
//!
//! What the page shows it asks for like any client: `GET /servers` again and again with the last entity tag, and
//! `POST /{server}/{tool}` to try a tool, with the key that was typed into it. Links are relative to the page, so
//! that a path prefix, a root path or a proxy changes nothing.

mod files;
pub mod manifest;
mod place;
mod tools;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};

use crate::catalog::{Caller, Catalog, CatalogServer};
use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::method_not_allowed;
use crate::http::mount::Prefixes;
use crate::http::{Access, Keys, Problem, until_taken};
use place::Place;

/// The face under one configuration.
#[derive(Debug)]
pub struct Web {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    prefixes: Prefixes,
}

impl Web {
    pub fn new(gateway: Arc<Gateway>, keys: Arc<Keys>, config: Arc<Config>) -> Self {
        let prefixes = Prefixes::new(&config.listen);
        Self { gateway, keys, config, prefixes }
    }

    /// Whether a request for a raw path (percent-encoded, without query) belongs to this face. In single-server
    /// mode every `POST` is a call.
    pub fn is_at(&self, method: &Method, raw: &str) -> bool {
        !(self.config.single && method == Method::POST) && self.place(raw).is_some()
    }

    /// Answers a request to such a path.
    pub async fn answer(self: Arc<Self>, request: Request<Body>) -> Response {
        let (head, _) = request.into_parts();
        let Some(place) = self.place(head.uri.path()) else { return Problem::not_found().into_response() };
        let timer = self.gateway.metrics().http().request(head.method.as_str(), place.template());
        let answer = match head.method {
            Method::GET | Method::HEAD => self.page(&head, place).await,
            _ => Err(method_not_allowed("GET, HEAD")),
        };
        let answer = answer.unwrap_or_else(Problem::into_response);
        timer.answered(answer.status().as_u16());
        answer
    }

    fn place<'a>(&self, raw: &'a str) -> Option<Place<'a>> {
        Place::of(raw, &self.prefixes)
    }

    async fn page(&self, head: &Parts, place: Place<'_>) -> Result<Response, Problem> {
        match place {
            Place::Page => Ok(files::page(!self.keys.is_empty(), &head.headers)),
            Place::Moved { to } => Ok(moved(&to)),
            Place::File { name } => files::file(&name, &head.headers),
            Place::Tools { server } => {
                let caller = self.admit(head, Access::Call)?;
                let catalog = self.gateway.catalog_builder().catalog();
                let server = visible(&catalog, &caller, &server)?.clone();
                drop(catalog);
                let owner = caller.key_name.clone();
                let list = tools::list(server, caller, &head.headers).await?;
                Ok(until_taken(list, self.gateway.results(), &owner).await)
            }
            Place::Manifest { server } => {
                let caller = self.admit(head, Access::Document)?;
                let catalog = self.gateway.catalog_builder().catalog();
                let server = server.map(|server| visible(&catalog, &caller, &server)).transpose()?;
                manifest::manifest(&self.config, server.map(|server| &**server), head)
            }
        }
    }

    fn admit(&self, head: &Parts, access: Access) -> Result<Caller, Problem> {
        self.keys.admit(&head.headers, access).map_err(|refusal| refusal.problem().clone())
    }
}

/// The server, if the caller may see it.
fn visible<'a>(catalog: &'a Catalog, caller: &Caller, name: &str) -> Result<&'a Arc<CatalogServer>, Problem> {
    let server = catalog.server(name).filter(|server| caller.scope.allows_server(&server.name));
    server.ok_or_else(Problem::not_found)
}

fn moved(to: &str) -> Response {
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    match HeaderValue::from_str(to) {
        Ok(to) => {
            response.headers_mut().insert(header::LOCATION, to);
            response
        }
        Err(_) => Problem::not_found().into_response(),
    }
}
