//! The pages and documents of the table of routes: their handlers. The table has admitted the caller.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{OriginalUri, Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;

use super::swagger::DocumentLink;
use super::{Rest, json, swagger};
use crate::catalog::Caller;
use crate::catalog::openapi::path_segment;
use crate::config::ServerName;
use crate::http::answer::redirect;
use crate::http::{Access, Problem, document_answer};
use crate::metrics::CONTENT_TYPE;
use crate::protocol::media_type::JSON;

/// `GET /ready`
pub async fn ready(State(rest): State<Arc<Rest>>) -> Response {
    match rest.gateway.is_ready() {
        true => json(StatusCode::OK, &json!({ "status": "ready" })),
        false => json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "not ready" })),
    }
}

/// `GET /servers/plan`: the changes that a reload would make. It names servers of every scope, and its problems name files.
pub async fn plan(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    check_admin(&caller, "the plan of a reload is for keys with the `admin` right")?;
    let upstreams = rest.gateway.catalog_builder().upstreams().to_vec();
    Ok(match rest.gateway.configuration().plan(rest.config.clone(), upstreams).await {
        Ok((_, plan)) => json(StatusCode::OK, &json!({ "text": plan.to_string(), "plan": plan })),
        Err(failed) => json(StatusCode::OK, &json!({ "problems": failed.texts() })),
    })
}

/// `GET /servers/lock`: the tool definitions of all servers. It names tools of every scope.
pub async fn lock(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    check_admin(&caller, "the lock of all tools is for keys with the `admin` right")?;
    rest.gateway.catalog_builder().first_outcomes(|_| true).await;
    Ok(json(StatusCode::OK, &rest.gateway.tools_lock().await))
}

/// `GET /metrics`: the metrics of every server and tool, for a key that may read them.
pub async fn metrics(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    if !caller.metrics {
        let sentence = "Metrics name every server and tool, and this API key is limited to some of them: give it \
                        `metrics`, or use one without `servers` and `readOnly`";
        return Err(Problem::new(StatusCode::FORBIDDEN, "limited_key", sentence));
    }
    match rest.gateway.scrape().await {
        Ok(text) => Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()),
        Err(error) => {
            tracing::error!(error, "the metrics could not be written: {error}");
            Err(Problem::internal())
        }
    }
}

/// `GET /openapi.json`
pub async fn document(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let catalog_builder = rest.gateway.catalog_builder();
    catalog_builder.first_outcomes(|server| caller.scope.allows_server(server)).await;
    let document = catalog_builder.document(&caller, None).await;
    document_answer(&document.bytes, &document.etag, JSON, &headers)
}

/// `GET /{server}/openapi.json`
pub async fn server_document(
    State(rest): State<Arc<Rest>>,
    Path(server): Path<String>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let name = rest.visible_server(&caller, &server)?;
    let catalog_builder = rest.gateway.catalog_builder();
    catalog_builder.first_outcomes(|server| *server == name).await;
    let document = catalog_builder.document(&caller, Some(&name)).await;
    Ok(document_answer(&document.bytes, &document.etag, JSON, &headers))
}

/// `GET /docs`: the page is empty for a caller that may see no document.
pub async fn docs(State(rest): State<Arc<Rest>>, headers: HeaderMap) -> Response {
    swagger::page(&rest.config.document.name, "", &headers)
}

/// `GET /docs/swagger-initializer.js`
pub async fn initializer(
    State(rest): State<Arc<Rest>>,
    OriginalUri(whole): OriginalUri,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let is_prefixed = rest.paths.prefix.within_root(whole.path()).len() > uri.path().len();
    let caller = rest.keys.admit_reader(&headers, Access::Document).await.ok().map(|(caller, _)| caller);
    let documents = rest.documents_of(caller.as_ref(), is_prefixed);
    let links: Vec<DocumentLink<'_>> =
        documents.iter().map(|(name, url)| DocumentLink { name, url }).collect();
    swagger::initializer(&links, None, &headers)
}

/// `GET /{server}/docs`
pub async fn server_docs(
    State(rest): State<Arc<Rest>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    rest.check_visible(&headers, &server).await?;
    Ok(swagger::page(&server, "../", &headers))
}

/// `GET /{server}/docs/swagger-initializer.js`
pub async fn server_initializer(
    State(rest): State<Arc<Rest>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    rest.check_visible(&headers, &server).await?;
    // Relative to the page `/{server}/docs`, not to this script.
    let document = DocumentLink { name: &server, url: "openapi.json" };
    Ok(swagger::initializer(&[document], None, &headers))
}

/// `GET /redoc`
pub async fn to_docs() -> Result<Response, Problem> {
    // Relative, because a proxy in front may have another scheme, host and prefix.
    redirect(StatusCode::TEMPORARY_REDIRECT, "docs")
}

/// `GET /docs/`, `GET /redoc/`
pub async fn up_to_docs() -> Result<Response, Problem> {
    redirect(StatusCode::TEMPORARY_REDIRECT, "../docs")
}

/// `GET /assets/swagger/{file}`
pub async fn asset(Path(file): Path<String>, headers: HeaderMap) -> Response {
    swagger::asset(&file, &headers)
}

fn check_admin(caller: &Caller, refusal: &'static str) -> Result<(), Problem> {
    if caller.admin { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, "needs_admin", refusal)) }
}

impl Rest {
    /// The server's own name, if the caller may see it.
    pub fn visible_server(&self, caller: &Caller, name: &str) -> Result<ServerName, Problem> {
        let catalog = self.gateway.catalog_builder().catalog();
        let server = catalog.visible_server(&caller.scope, name);
        Ok(server.ok_or_else(Problem::not_found)?.name.clone())
    }

    /// Refuses a caller that may see documents, but not this server. A caller that may see none gets the empty page,
    /// and does not learn from it whether the server exists.
    async fn check_visible(&self, headers: &HeaderMap, server: &str) -> Result<(), Problem> {
        match self.keys.admit_reader(headers, Access::Document).await {
            Ok((caller, _)) => self.visible_server(&caller, server).map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Name and address of each document that the selector of `/docs` offers. Addresses are relative to
    /// the page, so that whatever a proxy adds or strips before it does not matter.
    fn documents_of(&self, caller: Option<&Caller>, prefixed: bool) -> Vec<(String, String)> {
        let mut documents = vec![(self.config.document.name.clone(), "openapi.json".to_owned())];
        if let Some(caller) = caller.filter(|_| !self.config.single) {
            let to_servers = match self.paths.prefix.prefix().trim_start_matches('/') {
                prefix if prefixed || prefix.is_empty() => String::new(),
                prefix => format!("{prefix}/"),
            };
            let catalog = self.gateway.catalog_builder().catalog();
            let visible = catalog.servers.iter().filter(|server| caller.scope.allows_server(&server.name));
            documents.extend(visible.map(|server| {
                let name = server.name.as_str();
                (name.to_owned(), format!("{to_servers}{}/openapi.json", path_segment(name)))
            }));
        }
        documents
    }
}
