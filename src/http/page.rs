//! The shared parts of pages for people: files in the binary, under a Content-Security-Policy, and escaped text.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};

use super::answer::{document_answer, etag_of};

pub const HTML: &str = "text/html; charset=utf-8";
pub const STYLE: &str = "text/css; charset=utf-8";
pub const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of a page, with its type and entity tag.
#[derive(Debug)]
pub struct PageFile {
    bytes: Bytes,
    content_type: &'static str,
    etag: String,
}

impl PageFile {
    pub fn new(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { etag: etag_of(&bytes), bytes, content_type }
    }

    /// The answer to `request`, under `policy`.
    pub fn answer(&self, policy: &HeaderValue, request: &HeaderMap) -> Response {
        let mut response = document_answer(&self.bytes, &self.etag, self.content_type, request);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

/// `text` as markup that shows it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The value of the cookie `name`.
pub fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
}
