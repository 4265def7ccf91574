//! `GET /.well-known/oauth-protected-resource`, with or without the path of an endpoint behind it: where the users of the
//! MCP endpoints sign in (RFC 9728).

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::SignIn;
use crate::http::{Problem, json_answer};

/// The metadata of the resource in the path.
pub async fn metadata(
    State(sign_in): State<Arc<SignIn>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let resource = sign_in.resources.resource(uri.path(), &headers).ok_or_else(Problem::not_found)?;
    let users = sign_in.keys.users();
    let own = users.own().map(|_| sign_in.resources.base(&headers));
    let servers: Vec<&str> = own.as_deref().into_iter().chain(users.issuers()).collect();
    let mut document = json!({
        "resource": resource,
        "resource_name": sign_in.config.document.name,
        "authorization_servers": servers,
        "bearer_methods_supported": ["header"],
    });
    let scopes = users.scopes();
    if !scopes.is_empty() {
        document["scopes_supported"] = json!(scopes);
    }
    Ok(json_answer(StatusCode::OK, document.to_string().into()))
}
