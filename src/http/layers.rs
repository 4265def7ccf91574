//! The edge: the steps that every request passes before its handler, in one place ([`Edge::respond`]).
//!
//! A plain function instead of tower layers: axum boxes each layer once per request, and a call passes all of these.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use tower::ServiceExt as _;

use super::answer::{ERROR_CODE, Problem, without_body};
use super::correlation;
use super::cors::Cors;
use super::host::{HostRule, HostRuleError, ORIGIN_NOT_ALLOWED};
use crate::config::ListenConfig;
use crate::json::clip;
use crate::metrics::HttpMetrics;
use crate::shares::Principal;
use crate::trace::{Peer, RequestId};

/// `answer`, with the caller's principal for the log if it is a refusal.
pub fn under_key(principal: &Principal, mut answer: Response) -> Response {
    if !principal.is_anonymous() && !answer.status().is_success() {
        answer.extensions_mut().insert(principal.clone());
    }
    answer
}

/// The longest path in the log, in bytes: any client chooses the path.
const PATH_LENGTH: usize = 200;

/// Answers the requests that the edge lets through.
pub trait Responder: Send + Sync {
    /// May panic: the edge catches it.
    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response>;

    /// The answer to a request to the raw `path` that the edge itself refuses.
    fn refuse(&self, _path: &str, problem: Problem) -> Response {
        problem.into_response()
    }
}

/// The handlers behind the rules of the edge; shared by all connections.
pub struct Edge {
    behind: Box<dyn Responder>,
    cors: Cors,
    hosts: HostRule,
    metrics: Arc<HttpMetrics>,
}

impl Edge {
    /// `keyless` says that no API key is configured ([`super::Keys::is_empty`]).
    pub fn new(
        behind: impl Responder + 'static,
        listen: &ListenConfig,
        keyless: bool,
    ) -> Result<Self, HostRuleError> {
        let hosts = HostRule::new(listen, keyless)?;
        let cors = Cors::new(listen, keyless);
        Ok(Self { behind: Box::new(behind), cors, hosts, metrics: Arc::default() })
    }

    /// Counts connections, refusals, and the requests that the edge answers itself, with `metrics`.
    #[must_use]
    pub fn counted_with(self, metrics: Arc<HttpMetrics>) -> Self {
        Self { metrics, ..self }
    }

    pub fn metrics(&self) -> &HttpMetrics {
        &self.metrics
    }

    /// Answers one request; never fails and never panics. From the outside in:
    ///
    /// 1. **The request's id**, the caller's or a new one: handlers find it as an extension of the request
    ///    ([`RequestId`]), and every answer carries it.
    /// 2. **CORS**: answers preflights, and marks every answer that leaves, refusals and faults included.
    /// 3. **`nosniff`** on every answer, and no body on one to `HEAD`.
    /// 4. **The log line of a refusal**, written once, wherever the refusal comes from.
    /// 5. **Host and Origin rules**, before the answer can reveal anything.
    /// 6. **The panic catcher**, around handlers only: a panic costs one request, not the connection's others.
    /// 7. **The handlers.** Keys are checked there, because each route asks for another key; bodies are read after
    ///    that, because only some routes take one.
    pub async fn respond<B>(&self, mut request: Request<B>, peer: Peer) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let id = correlation::request_id(request.headers());
        let origin = request.headers().get(header::ORIGIN).cloned();
        if origin.is_some()
            && let Some(mut preflight) = self.cors.preflight(request.method(), request.headers())
        {
            correlation::mark(&id, preflight.headers_mut());
            if !preflight.status().is_success() {
                note_preflight(&origin, request.uri(), peer, &id);
                self.metrics.refused(ORIGIN_NOT_ALLOWED);
            }
            self.metrics.request("OPTIONS", "").answered(preflight.status().as_u16());
            return preflight;
        }
        let method = request.method().clone();
        let uri = request.uri().clone();
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(id.clone());
        let mut response = match self.hosts.check(&request, peer) {
            Ok(()) => self.route(request, &id).await,
            Err(problem) => {
                self.metrics.request(method.as_str(), "").answered(problem.status().as_u16());
                self.behind.refuse(uri.path(), problem)
            }
        };
        if let Some(code) = note_refusal(&response, &method, &uri, peer, &id) {
            self.metrics.refused(code);
        }
        // hyper does it for HTTP/1 only.
        if method == Method::HEAD {
            response = without_body(response);
        }
        let headers = response.headers_mut();
        correlation::mark(&id, headers);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(origin) = origin {
            self.cors.mark(&origin, headers);
        }
        response
    }

    async fn route<B>(&self, mut request: Request<B>, id: &RequestId) -> Response
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        // HTTP/2 names the host in `:authority` alone, and handlers make addresses from `Host` (RFC 9112, section 3.2.2).
        let authority = request.uri().authority();
        if let Some(host) = authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
            request.headers_mut().insert(header::HOST, host);
        }
        // Safe after a panic: handlers share only state that is swapped in whole.
        let answering = async { self.behind.respond(request.map(Body::new)).await };
        match AssertUnwindSafe(answering).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => {
                let text = panic_text(panic.as_ref());
                tracing::error!(panic = text, request_id = id.as_str(), "a handler panicked: {text} ({id})");
                Problem::internal().into_response()
            }
        }
    }
}

/// Writes the line of a refused preflight: the browser shows the reason in the console of its developer tools alone.
fn note_preflight(origin: &Option<HeaderValue>, uri: &Uri, peer: Peer, id: &RequestId) {
    let origin = origin.as_ref().and_then(|origin| origin.to_str().ok()).unwrap_or("(no text)");
    let origin = clip(origin, PATH_LENGTH);
    let path = clip(uri.path(), PATH_LENGTH);
    tracing::info!(
        target: "mcpo::refusal",
        outcome = ORIGIN_NOT_ALLOWED,
        status = StatusCode::BAD_REQUEST.as_u16(),
        path,
        origin,
        %peer,
        request_id = id.as_str(),
        "OPTIONS {path} refused: the page at {origin} is not listed in `corsAllowOrigins`, where `*` counts only with \
         an API key; from {peer} ({id})"
    );
}

/// One line per refusal, at info. The query is left out: people put secrets there. Gives the code of a refusal.
fn note_refusal<'a>(
    response: &'a Response,
    method: &Method,
    uri: &Uri,
    peer: Peer,
    id: &RequestId,
) -> Option<&'a str> {
    let refused = matches!(
        response.status(),
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::MISDIRECTED_REQUEST
    );
    if !refused {
        return None;
    }
    let code = response.headers().get(ERROR_CODE).and_then(|code| code.to_str().ok()).unwrap_or("refused");
    let status = response.status().as_u16();
    let principal = response.extensions().get::<Principal>().cloned().unwrap_or_default();
    let (key, user) = (principal.key_name(), principal.user());
    let by = user.or(key).unwrap_or("-");
    let path = clip(uri.path(), PATH_LENGTH);
    tracing::info!(
        target: "mcpo::refusal",
        outcome = code,
        status,
        %method,
        path,
        %peer,
        api_key_name = key,
        user,
        request_id = id.as_str(),
        "{method} {path} refused: {status} {code} by {by} from {peer} ({id})"
    );
    Some(code)
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Edge").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

/// A table of routes, which boxes its answers itself.
impl Responder for axum::Router {
    fn respond(&self, request: Request<Body>) -> BoxFuture<'static, Response> {
        let router = self.clone();
        let answering = async move {
            let mut answer = router.oneshot(request).await.unwrap_or_else(|never| match never {});
            // axum states the length of every body. That of a 304 is the document's, which it does not know.
            if answer.status() == StatusCode::NOT_MODIFIED {
                answer.headers_mut().remove(header::CONTENT_LENGTH);
            }
            answer
        };
        answering.boxed()
    }
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
    use super::correlation::REQUEST_ID;
    use super::*;
    use axum::Router;
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
        // HTTP/1.1 has a Host.
        let version = if headers.iter().any(|(name, _)| *name == "host") {
            http::Version::HTTP_11
        } else {
            http::Version::HTTP_10
        };
        let mut request = Request::builder().method(method).uri(path).version(version);
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
    async fn an_answer_to_head_has_the_length_of_its_body_and_no_body() {
        for (path, length) in [("/ok", "4"), ("/boom", "34"), ("/none", "0")] {
            let (response, body) = ask(&edge(true), "HEAD", path, &[("host", "localhost")]).await;
            assert_eq!(
                (&*body, &response.headers()[header::CONTENT_LENGTH]),
                ("", &length.parse().unwrap()),
                "{path}"
            );
        }
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
    async fn every_answer_carries_the_id_of_its_request() {
        let edge = edge(true);
        let local = ("host", "localhost");
        let preflight = [local, ("origin", "http://localhost"), ("access-control-request-method", "POST")];
        for (method, path, headers, status) in [
            ("GET", "/ok", &[local][..], 200),
            ("GET", "/none", &[local], 404),
            ("GET", "/boom", &[local], 500),
            ("POST", "/refuse", &[local], 403),
            ("GET", "/ok", &[("host", "evil.example")], 421),
            ("OPTIONS", "/ok", &preflight, 400),
        ] {
            let (made, _) = ask(&edge, method, path, headers).await;
            assert_eq!(made.status(), status, "{path}");
            assert!(made.headers().contains_key(REQUEST_ID), "{path}");
            let headers = [headers, &[("x-request-id", "mine/1")]].concat();
            let (given, _) = ask(&edge, method, path, &headers).await;
            assert_eq!(given.headers()[REQUEST_ID], "mine/1", "{path}");
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
