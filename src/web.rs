//! The page for people: every server with its state, its tools, and how to wire each client to it.
//!
//! | endpoint | answer |
//! |---|---|
//! | `GET /` | the page; it holds nothing of any server, and needs no key |
//! | `GET /assets/page/{file}` | its style, script and icon |
//! | `GET /servers/{server}/tools` | the tools of a server as it defined them, under their exposed names |
//! | `GET /servers/lobechat.json`, `/servers/{server}/lobechat.json` | plugin manifests for LobeChat ([`manifest`]) |
//!
//! The page fetches its data like any client: `GET /servers` again and again with the last entity tag, and
//! `POST /{server}/{tool}` to try a tool, with the key that was typed into it. With `signIn.apiKeys` a cookie opens what it
//! reads, and calls still need the key. Links are relative to the page, so
//! that a path prefix, a root path or a proxy changes nothing.

mod files;
pub mod manifest;
mod tools;

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use crate::catalog::Caller;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::http::answer::redirect;
use crate::http::{Keys, Problem, until_taken};
use files::PageAccess;

/// The pages for people under one configuration.
#[derive(Debug)]
pub struct Web {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
}

impl Web {
    pub fn new(gateway: Arc<Gateway>, keys: Arc<Keys>, config: Arc<Config>) -> Self {
        Self { gateway, keys, config }
    }
}

/// `GET /`
pub async fn page(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    let access = match (web.keys.is_open(), web.keys.users().own()) {
        (true, _) => PageAccess::Open,
        (false, None) => PageAccess::Key,
        (false, Some(_)) => PageAccess::SignIn,
    };
    files::page(access, &headers)
}

/// Leads from the path prefix without its slash to the page.
pub fn to_page(prefix: &str) -> Result<Response, Problem> {
    // Relative, because a proxy in front may have another scheme, host and root path.
    redirect(StatusCode::TEMPORARY_REDIRECT, &format!("{}/", prefix.rsplit('/').next().unwrap_or_default()))
}

/// `GET /assets/page/{file}`
pub async fn file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    files::file(&name, &headers)
}

/// `GET /servers/{server}/tools`
pub async fn tools(
    State(web): State<Arc<Web>>,
    Path(server): Path<String>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let server = web.gateway.catalog_builder().catalog().visible_server(&caller.scope, &server).cloned();
    let server = server.ok_or_else(Problem::not_found)?;
    let owner = caller.principal.clone();
    let list = tools::list(server, caller, &headers).await?;
    Ok(until_taken(list, web.gateway.results(), &owner).await)
}

/// `GET /servers/lobechat.json`
pub async fn gateway_manifest(State(web): State<Arc<Web>>, head: Parts) -> Result<Response, Problem> {
    manifest::manifest(&web.config, None, &head)
}

/// `GET /servers/{server}/lobechat.json`
pub async fn server_manifest(
    State(web): State<Arc<Web>>,
    Path(server): Path<String>,
    Extension(caller): Extension<Caller>,
    head: Parts,
) -> Result<Response, Problem> {
    let catalog = web.gateway.catalog_builder().catalog();
    let server = catalog.visible_server(&caller.scope, &server).ok_or_else(Problem::not_found)?;
    manifest::manifest(&web.config, Some(server), &head)
}
