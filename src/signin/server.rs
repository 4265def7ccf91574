//! The endpoints of the gateway's own authorization server for clients: metadata, registration, tokens and revocation.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::SignIn;
use crate::authorization_server::{
    GrantError, Parameters, ServerPaths, SignInServer, openid_metadata, server_metadata,
};
use crate::http::answer::{json_text, method_not_allowed};
use crate::http::{Problem, json_answer};
use crate::protocol::media_type::{FORM, JSON};

/// `GET /.well-known/oauth-authorization-server` (RFC 8414).
pub async fn metadata(
    State(sign_in): State<Arc<SignIn>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    sign_in.metadata_at(uri.path(), ServerPaths::METADATA, &headers, server_metadata)
}

/// `GET /.well-known/openid-configuration`, for clients that look there.
pub async fn openid(
    State(sign_in): State<Arc<SignIn>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    sign_in.metadata_at(uri.path(), ServerPaths::OPENID, &headers, openid_metadata)
}

/// `GET /oauth/keys`: none, since nothing is signed.
pub async fn keys() -> Response {
    json_answer(StatusCode::OK, json!({ "keys": [] }).to_string().into())
}

/// `POST /oauth/register` (RFC 7591).
pub async fn register(State(sign_in): State<Arc<SignIn>>, request: Request) -> Result<Response, Problem> {
    let server = sign_in.own_server()?;
    let (_, body) = sign_in.forms.read(request, JSON).await?;
    let request = serde_json::from_slice(&body)
        .map_err(|_| GrantError::InvalidClientMetadata("the body is not the JSON of a registration"));
    match request.and_then(|request| server.register(request)) {
        Ok(registered) => secret_answer(StatusCode::CREATED, &registered),
        Err(error) => Ok(refusal(&error)),
    }
}

/// `POST /oauth/token` (RFC 6749 section 3.2).
pub async fn token(State(sign_in): State<Arc<SignIn>>, request: Request) -> Result<Response, Problem> {
    let server = sign_in.own_server()?;
    let (_, body) = sign_in.forms.read(request, FORM).await?;
    let form = Parameters::read(&body).ok_or(GrantError::InvalidRequest("a parameter stands twice"));
    let answer = match form {
        Ok(form) => server.token(&form, |key| sign_in.keys.caller_of_key(key).is_some()).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(tokens) => secret_answer(StatusCode::OK, &tokens),
        Err(error) => Ok(refusal(&error)),
    }
}

/// `POST /oauth/revoke` (RFC 7009): ends the sign-in of a token. A token that means nothing is no error.
pub async fn revoke(State(sign_in): State<Arc<SignIn>>, request: Request) -> Result<Response, Problem> {
    let server = sign_in.own_server()?;
    let (_, body) = sign_in.forms.read(request, FORM).await?;
    let form = Parameters::read(&body).unwrap_or_default();
    let Some(token) = form.get("token") else {
        return Ok(refusal(&GrantError::InvalidRequest("`token` is missing")));
    };
    server.revoke(token).await;
    secret_answer(StatusCode::OK, &json!({}))
}

/// Any other method at an endpoint for clients.
pub async fn not_allowed() -> Problem {
    method_not_allowed("POST")
}

impl SignIn {
    /// The gateway's own authorization server.
    pub(super) fn own_server(&self) -> Result<&Arc<SignInServer>, Problem> {
        self.keys.users().own().ok_or_else(Problem::not_found)
    }

    /// The metadata at the raw `path` below `well_known`, where the path of the issuer may stand.
    fn metadata_at(
        &self,
        path: &str,
        well_known: &str,
        headers: &HeaderMap,
        metadata: impl Fn(&str, bool) -> Value,
    ) -> Result<Response, Problem> {
        let issuer = self.resources.base(headers);
        let own =
            Url::parse(&issuer).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let behind = path.split_once(well_known).map_or("", |(_, behind)| behind.trim_end_matches('/'));
        if !behind.is_empty() && behind != own {
            return Err(Problem::not_found());
        }
        let metadata = metadata(&issuer, self.own_server()?.announces_documents());
        Ok(json_answer(StatusCode::OK, metadata.to_string().into()))
    }
}

/// An answer that no cache keeps.
fn secret_answer(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let mut response = json_answer(status, json_text(value)?);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The refusal of a client in OAuth's shape (RFC 6749 section 5.2) beside `detail`.
fn refusal(error: &GrantError) -> Response {
    let sentence = error.to_string();
    let status = match error {
        GrantError::Server => StatusCode::INTERNAL_SERVER_ERROR,
        GrantError::StoreAway => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = json!({ "detail": sentence, "error": error.code(), "error_description": sentence });
    let mut problem = Problem::new(status, error.code(), sentence)
        .with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if *error == GrantError::StoreAway {
        problem = problem.with_header(header::RETRY_AFTER, HeaderValue::from_static("2"));
    }
    problem.with_body(Bytes::from(body.to_string()))
}
