//! What every request passes on its way to the router, in one place: [`Edge::respond`].
//!
//! It is a plain function and not a stack of tower layers: a router boxes each layer it is given once per
//! request, and none of these needs that.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use tower::Service;

use super::Peer;
use super::answer::{ERROR_CODE, Problem};
use super::cors::Cors;
use super::host::{HostRule, HostRuleError};
use crate::config::ListenConfig;

/// The router with the rules that stand before it; shared by all connections.
#[derive(Debug)]
pub struct Edge {
    router: Router,
    cors: Cors,
    hosts: HostRule,
}

impl Edge {
    /// `keyless` says that no API key is configured ([`super::Keys::is_empty`]).
    pub fn new(router: Router, listen: &ListenConfig, keyless: bool) -> Result<Self, HostRuleError> {
        // A router is prepared for its first request once, here, and not by each connection.
        let router = router.with_state(());
        Ok(Self { router, cors: Cors::new(listen, keyless), hosts: HostRule::new(listen, keyless)? })
    }

    /// Answers one request; never fails and never panics. From the outside in:
    ///
    /// 1. **CORS**: answers preflights, and marks every answer that leaves, refusals and faults included.
    /// 2. **`nosniff`** on every answer.
    /// 3. **The log line of a refusal**, so that whoever answered it, it is written once.
    /// 4. **Host and Origin rules**, before anything else may be learnt.
    /// 5. **The panic catcher**, around handlers only: a panic costs one request, not the connection's others.
    /// 6. **The router.** Keys are checked in there, because only a route knows what it asks of a caller;
    ///    bodies are read in there, after that, because only a route knows whether it wants one.
    pub async fn respond<B>(&self, mut request: Request<B>, peer: Peer) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let origin = request.headers().get(header::ORIGIN).cloned();
        if origin.is_some()
            && let Some(preflight) = self.cors.preflight(request.method(), request.headers())
        {
            return preflight;
        }
        let method = request.method().clone();
        let uri = request.uri().clone();
        request.extensions_mut().insert(peer);
        let mut response = match self.hosts.check(&uri, request.headers(), peer) {
            Ok(()) => self.route(request).await,
            Err(problem) => problem.into_response(),
        };
        note_refusal(&response, &method, &uri, peer);
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(origin) = origin {
            self.cors.mark(&origin, headers);
        }
        response
    }

    async fn route<B>(&self, request: Request<B>) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut router = self.router.clone();
        // A caught panic leaves nothing half done behind: what handlers share is swapped in whole.
        let outcome = AssertUnwindSafe(async move { router.call(request).await }).catch_unwind().await;
        match outcome {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panic) => {
                tracing::error!(panic = panic_text(panic.as_ref()), "a handler panicked");
                Problem::internal().into_response()
            }
        }
    }
}

/// One line per refusal, at info. The query is left out: people put secrets there.
fn note_refusal(response: &Response, method: &Method, uri: &Uri, peer: Peer) {
    let refused = matches!(
        response.status(),
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::MISDIRECTED_REQUEST
    );
    if !refused {
        return;
    }
    let code = response.headers().get(ERROR_CODE).and_then(|code| code.to_str().ok()).unwrap_or("refused");
    let status = response.status().as_u16();
    tracing::info!(outcome = code, status, %method, path = uri.path(), %peer, "{method} {} from {peer} refused: {status} {code}", uri.path());
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::{get, post};

    async fn boom() {
        panic!("boom");
    }

    fn edge(keyless: bool) -> Edge {
        let router = Router::new()
            .route("/ok", get(|| async { "fine" }))
            .route("/boom", get(boom))
            .route("/refuse", post(|| async { Problem::new(StatusCode::FORBIDDEN, "wrong_key", "no") }));
        Edge::new(router, &ListenConfig::default(), keyless).unwrap()
    }

    async fn ask(edge: &Edge, method: &str, path: &str, headers: &[(&str, &str)]) -> (Response, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = Peer::tcp(std::net::SocketAddr::from(([127, 0, 0, 1], 1)));
        let response = edge.respond(request.body(Body::empty()).unwrap(), peer).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        (Response::from_parts(parts, Body::empty()), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_one_answer_and_the_next_request_is_served() {
        let edge = edge(true);
        let (response, body) = ask(&edge, "GET", "/boom", &[("host", "localhost")]).await;
        assert_eq!(response.status(), 500);
        assert_eq!(body, r#"{"detail":"Internal Server Error"}"#);
        assert_eq!(response.headers()[ERROR_CODE], "internal");
        assert_eq!(ask(&edge, "GET", "/ok", &[("host", "localhost")]).await.0.status(), 200);
    }

    #[tokio::test]
    async fn errors_carry_cors_and_nosniff_like_every_answer() {
        let edge = edge(false);
        for (method, path, status) in [("GET", "/ok", 200), ("POST", "/refuse", 403), ("GET", "/none", 404)] {
            let (response, _) = ask(&edge, method, path, &[("origin", "http://x.test")]).await;
            assert_eq!(response.status(), status, "{path}");
            assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "{path}");
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        }
    }

    #[tokio::test]
    async fn answers_to_no_browser_carry_no_cors() {
        let (response, body) = ask(&edge(false), "GET", "/ok", &[]).await;
        assert_eq!(body, "fine");
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[tokio::test]
    async fn a_foreign_host_never_reaches_a_handler() {
        let edge = edge(true);
        let (response, body) = ask(&edge, "GET", "/boom", &[("host", "evil.example")]).await;
        assert_eq!(response.status(), 421);
        assert!(body.contains("allowedHosts"), "{body}");
        let foreign = [("host", "localhost"), ("origin", "http://evil.example")];
        let (response, _) = ask(&edge, "GET", "/boom", &foreign).await;
        assert_eq!(response.status(), 403);
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }
}
