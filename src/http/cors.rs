//! CORS, as mcpo had it (as in mcpo 0.0.20), on every answer, errors too: a browser that may not read a 401
//! reports a CORS failure instead of the missing key.
//!
//! `*` (the default) with credentials allowed; a preflight mirrors its origin. Without an API key `*` does not
//! count and only origins listed by name are let in ([`super::host`] says why).

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::config::ListenConfig;

const METHODS: HeaderValue = HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Mcp-Session-Id, Retry-After, WWW-Authenticate, X-Mcpo-Error, X-Request-Id",
);
const TRUE: HeaderValue = HeaderValue::from_static("true");
const STAR: HeaderValue = HeaderValue::from_static("*");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// Which origins a browser may let read our answers.
#[derive(Debug)]
pub enum Cors {
    Any,
    Listed(Vec<String>),
}

impl Cors {
    /// `keyless` says that no API key is configured.
    pub fn new(listen: &ListenConfig, keyless: bool) -> Self {
        let origins = &listen.cors_allow_origins;
        if !keyless && origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        let listed = origins.iter().filter(|origin| *origin != "*");
        Self::Listed(listed.map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect())
    }

    /// The answer to a preflight, `None` for every other request. A preflight carries no credentials and is
    /// answered for any path.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if *method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        let allowed = self.allows(origin);
        let (status, text) = match allowed {
            true => (StatusCode::OK, "OK"),
            false => (StatusCode::BAD_REQUEST, "Disallowed CORS origin"),
        };
        let mut response = (status, [(header::VARY, VARY_ORIGIN)], text).into_response();
        if allowed {
            let answer = response.headers_mut();
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
            answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            answer.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            if let Some(wanted) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            }
        }
        Some(response)
    }

    /// Adds the headers without which a browser keeps the answer from a page of `origin`.
    pub fn mark(&self, origin: &HeaderValue, answer: &mut HeaderMap) {
        let shown = match self {
            Self::Any => STAR,
            Self::Listed(_) => {
                answer.append(header::VARY, VARY_ORIGIN);
                if !self.allows(origin) {
                    return;
                }
                origin.clone()
            }
        };
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, shown);
        answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(origins) => origin
                .to_str()
                .is_ok_and(|origin| origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(origins: &[&str]) -> ListenConfig {
        ListenConfig {
            cors_allow_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            ..ListenConfig::default()
        }
    }

    fn preflight(cors: &Cors, origin: &'static str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("authorization"));
        cors.preflight(&Method::OPTIONS, &headers).unwrap()
    }

    fn marked(cors: &Cors, origin: &'static str) -> HeaderMap {
        let mut answer = HeaderMap::new();
        cors.mark(&HeaderValue::from_static(origin), &mut answer);
        answer
    }

    #[tokio::test]
    async fn a_preflight_mirrors_its_origin() {
        let response = preflight(&Cors::new(&listen(&["*"]), false), "http://x.test");
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "http://x.test");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "authorization");
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "OK");
    }

    #[tokio::test]
    async fn a_preflight_of_an_origin_that_is_not_listed_is_disallowed() {
        for cors in [
            Cors::new(&listen(&["https://chat.example"]), false),
            Cors::new(&listen(&["*"]), true),
            Cors::new(&listen(&["*", "https://chat.example"]), true),
        ] {
            let response = preflight(&cors, "http://x.test");
            assert_eq!(response.status(), 400);
            assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
            let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(body, "Disallowed CORS origin");
        }
    }

    #[test]
    fn answers_name_the_star_or_the_listed_origin() {
        let any = marked(&Cors::new(&listen(&["*"]), false), "http://x.test");
        assert_eq!(any[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(
            any[header::ACCESS_CONTROL_EXPOSE_HEADERS],
            "ETag, Mcp-Session-Id, Retry-After, WWW-Authenticate, X-Mcpo-Error, X-Request-Id"
        );
        let listed = Cors::new(&listen(&["https://Chat.example/"]), true);
        let ours = marked(&listed, "https://chat.example");
        assert_eq!(ours[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://chat.example");
        assert_eq!(ours[header::VARY], "Origin");
        let other = marked(&listed, "https://other.example");
        assert!(!other.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(other[header::VARY], "Origin");
    }

    #[test]
    fn other_requests_are_no_preflight() {
        let cors = Cors::Any;
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("http://x"));
        assert!(cors.preflight(&Method::OPTIONS, &headers).is_none());
        headers.insert(header::ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        assert!(cors.preflight(&Method::POST, &headers).is_none());
        assert!(cors.preflight(&Method::OPTIONS, &headers).is_some());
    }
}
