//! Answers that all handlers share: errors in FastAPI's shape with a stable code, and documents with an ETag.
//!
//! An error's body is `{"detail": ...}` (as in mcpo 0.0.20), and its header `x-mcpo-error` is a code that
//! clients may rely on where the sentence may change.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::json::hex;
use crate::protocol::media_type::JSON;

/// Carries the stable code of a fault of the gateway itself.
pub const ERROR_CODE: HeaderName = HeaderName::from_static("x-mcpo-error");

/// A refusal or fault that ends a request: status, stable code, and a plain sentence for the caller.
///
/// The sentence must hold no secret, no path of this machine and nothing a server wrote to its stderr.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, detail: detail.into(), headers: Vec::new() }
    }

    /// The answer for a path that leads nowhere, in FastAPI's words.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not Found")
    }

    /// The answer for our own faults; the log has the rest.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal Server Error")
    }

    /// Adds a header to the answer, beside others of its name.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same without headers of its own.
    pub fn without_headers(mut self) -> Self {
        self.headers.clear();
        self
    }

    /// Adds `Retry-After`, in whole seconds.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// The refusal of a caller that calls too often; `wait` is the time until the next try can succeed.
    pub fn too_many(code: &'static str, sentence: String, wait: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, sentence).retry_after(whole_seconds(wait))
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The answer with `body`, which is JSON, in place of that of FastAPI.
    pub fn with_body(self, body: Bytes) -> Response {
        let response = coded_answer(self.status, self.code, body);
        self.marked(response)
    }

    /// `response` with the headers of this problem.
    fn marked(self, mut response: Response) -> Response {
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let response = error_answer(self.status, self.code, &self.detail);
        self.marked(response)
    }
}

/// `{"detail": detail}` with `code` in [`ERROR_CODE`]; for details that are more than a sentence (422).
pub fn error_answer(status: StatusCode, code: &'static str, detail: &(impl Serialize + ?Sized)) -> Response {
    #[derive(Serialize)]
    struct Body<'a, D: ?Sized> {
        detail: &'a D,
    }
    match json_text(&Body { detail }) {
        Ok(body) => coded_answer(status, code, body),
        Err(problem) => problem.into_response(),
    }
}

/// An error with `code` in [`ERROR_CODE`]; `body` is its JSON text.
pub fn coded_answer(status: StatusCode, code: &'static str, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, JSON), (ERROR_CODE, code)], body).into_response()
}

/// `value` as JSON text.
pub fn json_text(value: &impl Serialize) -> Result<Bytes, Problem> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Problem::internal()
    })
}

/// The value of `Retry-After`: rounded up and at least one, so that the next try is not early.
pub fn whole_seconds(wait: Duration) -> u64 {
    (wait + Duration::from_millis(999)).as_secs().max(1)
}

/// An answer whose body is JSON already.
pub fn json_answer(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], Body::from(body)).into_response()
}

/// Answers a prebuilt document: 200 with its bytes, or 304 when the caller has them already.
///
/// `etag` is the quoted entity tag. Documents differ by key, so shared caches keep callers apart
/// (`Vary: Authorization`), and every cache asks again (`no-cache`). `HEAD` needs nothing from here: the
/// edge drops the body and keeps the head.
pub fn document_answer(
    body: &Bytes,
    etag: &str,
    content_type: &'static str,
    request: &HeaderMap,
) -> Response {
    let caching =
        [(header::ETAG, etag), (header::CACHE_CONTROL, "no-cache"), (header::VARY, "Authorization")];
    if is_known(etag, request) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, content_type)], body.clone()).into_response()
}

/// The quoted entity tag of a body: a function of its bytes alone.
pub fn etag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", hex(&Sha256::digest(bytes)[..12]))
}

/// The answer to `HEAD` where `GET` would give `response`.
pub fn without_body(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(length) = hyper::body::Body::size_hint(&body).exact() {
        head.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(head, Body::empty())
}

/// A redirect to `location`, which is a path.
///
/// An address with a host could be led elsewhere by the `Host` header.
///
/// # Errors
///
/// 404 when the path cannot stand in a header.
pub fn redirect(status: StatusCode, location: &str) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(location).map_err(|_| Problem::not_found())?;
    Ok((status, [(header::LOCATION, location)]).into_response())
}

/// 405; `allow` lists the methods that are served.
pub fn method_not_allowed(allow: &'static str) -> Problem {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed");
    problem.with_header(header::ALLOW, HeaderValue::from_static(allow))
}

/// Whether `If-None-Match` names `etag`, by the weak comparison of RFC 9110 section 13.1.2.
fn is_known(etag: &str, request: &HeaderMap) -> bool {
    fn opaque(tag: &str) -> &str {
        tag.strip_prefix("W/").unwrap_or(tag)
    }
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .any(|tag| tag == "*" || opaque(tag) == opaque(etag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(if_none_match: &str) -> Response {
        let mut request = HeaderMap::new();
        request.insert(header::IF_NONE_MATCH, if_none_match.parse().unwrap());
        document_answer(&Bytes::from_static(b"{}"), "\"abc\"", JSON, &request)
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn redirects_are_relative() {
        let response = redirect(StatusCode::TEMPORARY_REDIRECT, "../docs").unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[header::LOCATION]),
            (307, &"../docs".parse().unwrap())
        );
    }

    #[tokio::test]
    async fn a_problem_is_fastapis_detail_with_a_stable_code() {
        let problem =
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "server_unavailable", "not now").retry_after(3);
        let response = problem.into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[ERROR_CODE], "server_unavailable");
        assert_eq!(response.headers()[header::RETRY_AFTER], "3");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(text(response).await, r#"{"detail":"not now"}"#);
    }

    #[test]
    fn waiting_is_told_in_whole_seconds_and_never_as_zero() {
        let seconds = |milliseconds| whole_seconds(Duration::from_millis(milliseconds));
        assert_eq!([seconds(0), seconds(1), seconds(1000), seconds(1001)], [1, 1, 1, 2]);
    }

    #[test]
    fn a_known_document_is_not_sent_again() {
        for known in ["\"abc\"", "W/\"abc\"", "\"x\", \"abc\"", "*"] {
            assert_eq!(asked(known).status(), 304, "{known}");
        }
    }

    #[tokio::test]
    async fn an_unknown_document_is_sent_whole_and_never_cached_across_keys() {
        let response = asked("\"abcd\"");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::ETAG], "\"abc\"");
        assert_eq!(response.headers()[header::VARY], "Authorization");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(text(response).await, "{}");
    }
}
