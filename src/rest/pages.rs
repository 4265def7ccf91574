//! What `GET` answers: documents, pages, and the state of the servers.

use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::route::Route;
use super::swagger::DocumentLink;
use super::{Refused, Rest, json, servers, swagger};
use crate::catalog::Caller;
use crate::catalog::openapi::path_segment;
use crate::config::ServerName;
use crate::http::{Access, Problem, document_answer, health};
use crate::metrics::CONTENT_TYPE;
use crate::protocol::media_type::JSON;

/// Answers `GET` and `HEAD`.
pub async fn page(rest: &Rest, head: &Parts, route: Route<'_>) -> Result<Response, Refused> {
    match route {
        Route::Health => Ok(health::health().await),
        Route::Ready => Ok(ready(rest)),
        Route::Servers => servers::list(rest, head).await,
        Route::Plan => plan(rest, &admit(rest, head, Access::Call)?).await,
        Route::Lock => lock(rest, &admit(rest, head, Access::Call)?).await,
        Route::Metrics => metrics(rest, head).await,
        Route::Document => {
            let caller = admit(rest, head, Access::Document)?;
            let catalog_builder = rest.gateway.catalog_builder();
            catalog_builder.first_outcomes(|server| caller.scope.allows_server(server)).await;
            let document = catalog_builder.document(&caller, None).await;
            Ok(document_answer(&document.bytes, &document.etag, JSON, &head.headers))
        }
        Route::ServerDocument { server } => {
            let caller = admit(rest, head, Access::Document)?;
            let name = rest.visible_server(&caller, &server)?;
            let catalog_builder = rest.gateway.catalog_builder();
            catalog_builder.first_outcomes(|server| *server == name).await;
            let document = catalog_builder.document(&caller, Some(&name)).await;
            Ok(document_answer(&document.bytes, &document.etag, JSON, &head.headers))
        }
        Route::Docs => {
            admit_page(rest, head)?;
            Ok(swagger::page(&rest.config.document.name, "", &head.headers))
        }
        Route::Initializer { prefixed } => {
            let caller = admit_page(rest, head)?;
            let documents = rest.documents_of(caller.as_ref(), prefixed);
            let links: Vec<DocumentLink<'_>> =
                documents.iter().map(|(name, url)| DocumentLink { name, url }).collect();
            Ok(swagger::initializer(&links, None, &head.headers))
        }
        Route::ServerDocs { server } => {
            rest.admit_server_page(head, &server)?;
            Ok(swagger::page(&server, "../", &head.headers))
        }
        Route::ServerInitializer { server } => {
            rest.admit_server_page(head, &server)?;
            // Relative to the page `/{server}/docs`, not to this script.
            let document = DocumentLink { name: &server, url: "openapi.json" };
            Ok(swagger::initializer(&[document], None, &head.headers))
        }
        Route::Page { to } => Ok(swagger::redirect(to)),
        Route::Asset { file } => Ok(swagger::asset(&file, &head.headers)),
        Route::ServerRoot { .. }
        | Route::Tool { .. }
        | Route::Moved { .. }
        | Route::NoOAuth
        | Route::Nothing => Err(Problem::not_found().into()),
    }
}

/// Who asks, or the refusal.
pub fn admit(rest: &Rest, head: &Parts, access: Access) -> Result<Caller, Refused> {
    rest.keys.admit(&head.headers, access).map_err(|refusal| Refused::new(refusal.into_response()))
}

/// Who looks at a page; `None` for somebody who may see the empty page only: its documents ask for a key.
fn admit_page(rest: &Rest, head: &Parts) -> Result<Option<Caller>, Refused> {
    match admit(rest, head, Access::Document) {
        Ok(caller) => Ok(Some(caller)),
        Err(refused) if rest.config.auth.strict => Err(refused),
        Err(_) => Ok(None),
    }
}

/// What a reload would change. It names servers of every scope, and its problems name files.
async fn plan(rest: &Rest, caller: &Caller) -> Result<Response, Refused> {
    if !caller.admin {
        let needs_admin = "the plan of a reload is for keys with the `admin` right";
        return Err(Problem::new(StatusCode::FORBIDDEN, "needs_admin", needs_admin).into());
    }
    let upstreams = rest.gateway.catalog_builder().upstreams().to_vec();
    Ok(match rest.gateway.configuration().plan(rest.config.clone(), upstreams).await {
        Ok((_, plan)) => json(StatusCode::OK, &json!({ "text": plan.to_string(), "plan": plan })),
        Err(failed) => json(StatusCode::OK, &json!({ "problems": failed.texts() })),
    })
}

/// What the servers say of their tools. It names tools of every scope.
async fn lock(rest: &Rest, caller: &Caller) -> Result<Response, Refused> {
    if !caller.admin {
        let needs_admin = "the lock of all tools is for keys with the `admin` right";
        return Err(Problem::new(StatusCode::FORBIDDEN, "needs_admin", needs_admin).into());
    }
    rest.gateway.catalog_builder().first_outcomes(|_| true).await;
    Ok(json(StatusCode::OK, &rest.gateway.tools_lock().await))
}

/// Every server and tool is named there, and nothing is left out for a key that may not call them all.
async fn metrics(rest: &Rest, head: &Parts) -> Result<Response, Refused> {
    let caller = admit(rest, head, Access::Call)?;
    if !caller.metrics {
        let sentence = "Metrics name every server and tool, and this API key is limited to some of them: give it \
                        `metrics`, or use one without `servers` and `readOnly`";
        return Err(Problem::new(StatusCode::FORBIDDEN, "limited_key", sentence).into());
    }
    match rest.gateway.scrape().await {
        Ok(text) => {
            let mut response = Response::new(text.into());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
            Ok(response)
        }
        Err(error) => {
            tracing::error!(error, "the metrics could not be written: {error}");
            Err(Problem::internal().into())
        }
    }
}

fn ready(rest: &Rest) -> Response {
    match rest.gateway.required_servers_are_ready() {
        true => json(StatusCode::OK, &json!({ "status": "ready" })),
        false => json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "not ready" })),
    }
}

impl Rest {
    /// The server's own name, if the caller may see it.
    pub fn visible_server(&self, caller: &Caller, name: &str) -> Result<ServerName, Refused> {
        let catalog = self.gateway.catalog_builder().catalog();
        let server = catalog.server(name).filter(|server| caller.scope.allows_server(&server.name));
        Ok(server.ok_or_else(Problem::not_found)?.name.clone())
    }

    /// Somebody who may see no documents may see the empty page, and does not learn from it whether the
    /// server exists.
    fn admit_server_page(&self, head: &Parts, server: &str) -> Result<(), Refused> {
        match admit_page(self, head)? {
            Some(caller) => self.visible_server(&caller, server).map(drop),
            None => Ok(()),
        }
    }

    /// Name and address of each document that the selector of `/docs` offers. Addresses are relative to
    /// the page, so that whatever a proxy adds or strips before it does not matter.
    fn documents_of(&self, caller: Option<&Caller>, prefixed: bool) -> Vec<(String, String)> {
        let mut documents = vec![(self.config.document.name.clone(), "openapi.json".to_owned())];
        if let Some(caller) = caller.filter(|_| !self.config.single) {
            let to_servers = match self.mount.prefix() {
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
