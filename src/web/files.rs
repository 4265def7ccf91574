//! The page's own files, in the binary, under a Content-Security-Policy that lets nothing in from outside and
//! nothing but these files run.
//!
//! Texts of servers reach the page as JSON and enter it as text nodes alone; `require-trusted-types-for` has the
//! browser refuse every other way.

use std::sync::LazyLock;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use crate::http::answer::etag_of;
use crate::http::{Problem, document_answer};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// The attribute of the page for a gateway without keys; replaced when keys are configured.
const NO_KEYS: &str = "data-keys=\"none\"";
const KEYS: &str = "data-keys=\"required\"";

/// A file's bytes, type and entity tag.
#[derive(Debug)]
struct File {
    name: &'static str,
    bytes: Bytes,
    content_type: &'static str,
    etag: String,
}

impl File {
    fn new(name: &'static str, content_type: &'static str, bytes: Bytes) -> Self {
        let etag = etag_of(&bytes);
        Self { name, bytes, content_type, etag }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let mut response = document_answer(&self.bytes, &self.etag, self.content_type, request);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

/// The page of a gateway without keys, and with keys.
static PAGES: LazyLock<[File; 2]> = LazyLock::new(|| {
    let text = include_str!("page/page.html");
    [NO_KEYS, KEYS].map(|keys| File::new("", HTML, Bytes::from(text.replace(NO_KEYS, keys))))
});

static FILES: LazyLock<[File; 9]> = LazyLock::new(|| {
    let file = |name, content_type, text: &'static str| {
        File::new(name, content_type, Bytes::from_static(text.as_bytes()))
    };
    [
        file("page.css", STYLE, include_str!("page/page.css")),
        file("main.js", SCRIPT, include_str!("page/main.js")),
        file("gateway.js", SCRIPT, include_str!("page/gateway.js")),
        file("elements.js", SCRIPT, include_str!("page/elements.js")),
        file("overview.js", SCRIPT, include_str!("page/overview.js")),
        file("server.js", SCRIPT, include_str!("page/server.js")),
        file("schema.js", SCRIPT, include_str!("page/schema.js")),
        file("connect.js", SCRIPT, include_str!("page/connect.js")),
        file("icon.svg", IMAGE, include_str!("page/icon.svg")),
    ]
});

/// The page. `keys`: it asks for one before it asks the gateway for anything.
pub fn page(keys: bool, request: &HeaderMap) -> Response {
    PAGES[usize::from(keys)].answer(request)
}

/// A file of the page; 404 for every other name.
pub fn file(name: &str, request: &HeaderMap) -> Result<Response, Problem> {
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(Problem::not_found)?;
    Ok(file.answer(request))
}
