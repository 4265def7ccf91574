//! `/oauth/page`: a browser signs in at the status page and Swagger UI with an API key, and out again.
//!
//! It gets a cookie, which opens the pages and what they read, and never a call: those need the key itself, or a token.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::SignIn;
use super::authorize::unsealed;
use super::cookie::strict_cookie;
use super::typed_key::KeyRefusal;
use crate::authorization_server::{PAGE_COOKIE, PAGE_FOR};
use crate::http::answer::method_not_allowed;
use crate::http::auth::is_foreign;
use crate::http::{Peer, Problem};
use crate::protocol::media_type::JSON;

/// `POST /oauth/page`: signs in.
pub async fn open(
    State(sign_in): State<Arc<SignIn>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Response, Problem> {
    #[derive(Deserialize)]
    struct TypedKey {
        key: String,
    }
    let server = sign_in.own_server()?;
    let (head, body) = sign_in.forms.read(request, JSON).await?;
    refuse_foreign(&head.headers)?;
    let typed: TypedKey = serde_json::from_slice(&body).map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "bad_sign_in", "The body must be JSON with the text `key`")
    })?;
    let key = sign_in.typed_key(server, peer, &typed.key, "the page");
    let key = key.map_err(|KeyRefusal { status, code, why }| Problem::new(status, code, why))?;
    let value = server.page_cookie(key).map_err(unsealed)?;
    Ok(with_cookie(&sign_in.resources.base(&head.headers), &value, PAGE_FOR))
}

/// `DELETE /oauth/page`: signs out.
pub async fn close(State(sign_in): State<Arc<SignIn>>, headers: HeaderMap) -> Result<Response, Problem> {
    refuse_foreign(&headers)?;
    Ok(with_cookie(&sign_in.resources.base(&headers), "", 0))
}

/// Any other method.
pub async fn not_allowed() -> Problem {
    method_not_allowed("POST, DELETE")
}

fn with_cookie(base: &str, value: &str, seconds: u64) -> Response {
    let headers = [
        (header::SET_COOKIE, strict_cookie(base, (PAGE_COOKIE, value), "/", seconds)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

fn refuse_foreign(headers: &HeaderMap) -> Result<(), Problem> {
    match is_foreign(headers) {
        false => Ok(()),
        true => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "Only the gateway's own page may sign a browser in or out",
        )),
    }
}
