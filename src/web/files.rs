//! The page's own files, in the binary, under a Content-Security-Policy that lets nothing in from outside and
//! nothing but these files run.
//!
//! Texts of servers reach the page as JSON and enter it as text nodes alone; `require-trusted-types-for` has the
//! browser refuse every other way.

use std::sync::LazyLock;

use axum::response::Response;
use http::{HeaderMap, HeaderValue};

use crate::http::Problem;
use crate::http::page::{HTML, PageFile, SCRIPT, STYLE};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

const IMAGE: &str = "image/svg+xml";

/// The attribute of the page for a gateway without keys; replaced when keys are configured.
const NO_KEYS: &str = "data-keys=\"none\"";
const KEYS: &str = "data-keys=\"required\"";
/// The same where the browser can be signed in.
const SIGN_IN: &str = "data-keys=\"sign-in\"";

/// The page of a gateway without keys, with keys, and with sign-in.
static PAGES: LazyLock<[PageFile; 3]> = LazyLock::new(|| {
    let text = include_str!("page/page.html");
    [NO_KEYS, KEYS, SIGN_IN].map(|keys| PageFile::new(HTML, text.replace(NO_KEYS, keys)))
});

static FILES: LazyLock<[(&str, PageFile); 10]> = LazyLock::new(|| {
    let file = |name, content_type, text: &'static str| (name, PageFile::new(content_type, text));
    [
        file("page.css", STYLE, include_str!("page/page.css")),
        file("main.js", SCRIPT, include_str!("page/main.js")),
        file("gateway.js", SCRIPT, include_str!("page/gateway.js")),
        file("elements.js", SCRIPT, include_str!("page/elements.js")),
        file("overview.js", SCRIPT, include_str!("page/overview.js")),
        file("replicas.js", SCRIPT, include_str!("page/replicas.js")),
        file("server.js", SCRIPT, include_str!("page/server.js")),
        file("schema.js", SCRIPT, include_str!("page/schema.js")),
        file("connect.js", SCRIPT, include_str!("page/connect.js")),
        file("icon.svg", IMAGE, include_str!("page/icon.svg")),
    ]
});

/// How the page comes to its data.
#[derive(Debug, Clone, Copy)]
pub enum PageAccess {
    Open,
    /// It asks for a key before it asks the gateway for anything.
    Key,
    /// The browser may be signed in already.
    SignIn,
}

/// The page.
pub fn page(access: PageAccess, request: &HeaderMap) -> Response {
    PAGES[access as usize].answer(&POLICY, request)
}

/// A file of the page; 404 for every other name.
pub fn file(name: &str, request: &HeaderMap) -> Result<Response, Problem> {
    let (_, file) = FILES.iter().find(|(own, _)| *own == name).ok_or_else(Problem::not_found)?;
    Ok(file.answer(&POLICY, request))
}
