//! What `GET` answers: documents, pages, and the state of the servers.

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::request::Parts;
use serde_json::json;

use super::route::Route;
use super::{Refused, Rest, json, redirect, swagger};
use crate::catalog::openapi::path_segment;
use crate::catalog::{Caller, CatalogServer};
use crate::config::ServerName;
use crate::http::answer::JSON;
use crate::http::{Access, Problem, document_answer, health};

/// Answers `GET` and `HEAD`.
pub async fn page(rest: &Rest, head: &Parts, route: Route<'_>) -> Result<Response, Refused> {
    match route {
        Route::Root => Ok(redirect(&format!("{}/docs", rest.mount.base()))),
        Route::Health => Ok(health::health().await),
        Route::Ready => Ok(ready(rest)),
        Route::Servers => {
            let caller = admit(rest, head, Access::Call)?;
            Ok(json(StatusCode::OK, &json!({ "servers": rest.gateway.servers(&caller) })))
        }
        Route::Document => {
            let caller = admit(rest, head, Access::Document)?;
            let keeper = rest.gateway.keeper();
            keeper.first_outcomes(|server| caller.scope.allows_server(server)).await;
            let documents = keeper.catalog().documents(&caller.scope).clone();
            Ok(document_answer(&documents.combined.bytes, &documents.combined.etag, JSON, &head.headers))
        }
        Route::ServerDocument { server } => {
            let caller = admit(rest, head, Access::Document)?;
            let name = rest.visible_server(&caller, &server)?;
            let keeper = rest.gateway.keeper();
            keeper.first_outcomes(|server| *server == name).await;
            let documents = keeper.catalog().documents(&caller.scope).clone();
            let document = documents.server(&name).ok_or_else(Problem::not_found)?;
            Ok(document_answer(&document.bytes, &document.etag, JSON, &head.headers))
        }
        Route::Docs => {
            let documents = rest.documents_of(admit_page(rest, head)?.as_ref());
            Ok(swagger::page(&rest.config.document.name, &documents, &head.headers))
        }
        Route::ServerDocs { server } => {
            if let Some(caller) = admit_page(rest, head)? {
                rest.visible_server(&caller, &server)?;
            }
            Ok(swagger::page(&server, &[rest.document_of(&server)], &head.headers))
        }
        Route::Redoc => Ok(redirect(&format!("{}/docs", rest.mount.base()))),
        Route::ServerRedoc { server } => {
            let base = rest.mount.base();
            Ok(redirect(&format!("{base}/{}/docs", path_segment(&server))))
        }
        Route::Asset { file } => Ok(swagger::asset(&file, &head.headers)),
        Route::ServerRoot { .. } | Route::Tool { .. } | Route::Moved { .. } | Route::Nothing => {
            Err(Problem::not_found().into())
        }
    }
}

fn admit(rest: &Rest, head: &Parts, access: Access) -> Result<Caller, Refused> {
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

fn ready(rest: &Rest) -> Response {
    match rest.gateway.required_servers_are_ready() {
        true => json(StatusCode::OK, &json!({ "status": "ready" })),
        false => json(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "not ready" })),
    }
}

impl Rest {
    fn visible_server(&self, caller: &Caller, name: &str) -> Result<ServerName, Refused> {
        let catalog = self.gateway.keeper().catalog();
        let server = catalog.server(name).filter(|server| caller.scope.allows_server(&server.name));
        Ok(server.ok_or_else(Problem::not_found)?.name.clone())
    }

    /// Name and address of each document that the selector of `/docs` offers.
    fn documents_of(&self, caller: Option<&Caller>) -> Vec<(String, String)> {
        let combined = format!("{}/openapi.json", self.mount.base());
        let mut documents = vec![(self.config.document.name.clone(), combined)];
        if let Some(caller) = caller.filter(|_| !self.config.single) {
            let catalog = self.gateway.keeper().catalog();
            let visible = |server: &&std::sync::Arc<CatalogServer>| caller.scope.allows_server(&server.name);
            let servers = catalog.servers.iter().filter(visible);
            documents.extend(servers.map(|server| self.document_of(server.name.as_str())));
        }
        documents
    }

    fn document_of(&self, server: &str) -> (String, String) {
        let path = format!("{}/{}/openapi.json", self.mount.base(), path_segment(server));
        (server.to_owned(), path)
    }
}
