//! One request to a gateway, and its answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;

use crate::http::answer::ERROR_CODE;
use crate::protocol::media_type::JSON;

/// One request to a gateway.
#[derive(Debug, Clone)]
pub struct GatewayRequest {
    pub method: Method,
    /// From the root of the origin, percent-encoded.
    pub path: String,
    pub accept: &'static str,
    pub body: Bytes,
}

/// The gateway's answer.
#[derive(Debug)]
pub struct GatewayResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl GatewayRequest {
    pub fn get(path: String) -> Self {
        Self { method: Method::GET, path, accept: JSON, body: Bytes::new() }
    }

    pub fn call(path: String, accept: &'static str, body: Bytes) -> Self {
        Self { method: Method::POST, path, accept, body }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(self.accept));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("mcpo/", env!("CARGO_PKG_VERSION"))),
        );
        if self.method == Method::POST {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
        }
        headers
    }

    /// The request to `uri`, with one header more.
    pub fn request(
        self,
        uri: &str,
        more: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut headers = self.headers();
        headers.extend(more.map(|(name, value)| (Some(name), value)));
        let mut request = Request::builder().method(self.method).uri(uri).body(Full::new(self.body))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

impl GatewayResponse {
    /// The gateway's stable code of a fault of its own.
    pub fn code(&self) -> Option<&str> {
        self.headers.get(ERROR_CODE)?.to_str().ok()
    }

    /// Whether there is nothing at the path, as the gateway says it; a server's own 404 is another matter.
    pub fn is_nothing_there(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.code() == Some("not_found")
    }
}
