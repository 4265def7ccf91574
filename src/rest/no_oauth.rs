//! The answer to clients that look for a sign-in after a refusal: this gateway has no sign-in for its callers.
//!
//! After a 401 they ask for metadata below `/.well-known/`; without metadata they guess the endpoints of OAuth at the top
//! of the path space. Some clients show the sentence of the last answer to people.

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::Rest;
use super::route::Route;
use crate::catalog::ServerSource;
use crate::http::Problem;

/// Endpoints that clients guess (specification 2025-03-26, authorization, "Fallbacks for Servers without Metadata").
const GUESSED: [&str; 3] = ["register", "authorize", "token"];

impl Rest {
    /// `route`, or `NoOAuth` for a guessed endpoint that no server or tool has as its name.
    pub(super) fn or_no_oauth<'a>(&self, route: Route<'a>, path: &str) -> Route<'a> {
        if !matches!(route, Route::Tool { server: None, .. } | Route::Moved { .. } | Route::Nothing) {
            return route;
        }
        match self.paths.top_level(path) {
            Some(name) if GUESSED.contains(&name) && !self.is_taken(name) => Route::NoOAuth,
            _ => route,
        }
    }

    fn is_taken(&self, name: &str) -> bool {
        let catalog = self.gateway.catalog_builder().catalog();
        if !self.config.single {
            return catalog.server(name).is_some();
        }
        let mut servers =
            catalog.servers.iter().filter(|server| matches!(server.source, ServerSource::Upstream(_)));
        // Until the server has listed its tools, one of them may have the name.
        servers.any(|server| server.info.is_none() || server.tool(name).is_some())
    }

    /// 404 in OAuth's shape (RFC 6749, section 5.2) beside `detail`.
    pub(super) fn no_oauth(&self) -> Response {
        let sentence = match self.keys.is_open() {
            true => "This gateway has no OAuth: it asks for no sign-in and no API key",
            false => "This gateway has no OAuth: send an API key as `Authorization: Bearer KEY`",
        };
        let body = json!({ "detail": sentence, "error": "invalid_request", "error_description": sentence });
        Problem::new(StatusCode::NOT_FOUND, "no_oauth", sentence).with_body(Bytes::from(body.to_string()))
    }
}
