//! The headers in which a stateless request says what its body says, for what stands between the two ends
//! (specification 2026-07-28, streamable HTTP, "Request Metadata").

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};

use crate::protocol::header::{METHOD, NAME, PROTOCOL_VERSION};
use crate::protocol::revision::STATELESS;
use crate::upstream::request::Request;

const VERSION: HeaderValue = HeaderValue::from_static(STATELESS);

/// The headers of one request.
pub fn headers(request: &Request<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(3 + request.meta.headers.len());
    headers.push((PROTOCOL_VERSION, VERSION));
    headers.push((METHOD, value(request.method())));
    if let Some(name) = request.name() {
        headers.push((NAME, value(name)));
    }
    headers.extend_from_slice(request.meta.headers);
    headers
}

/// A text as a header value, encoded where a header cannot hold it ("Value Encoding").
pub fn value(text: &str) -> HeaderValue {
    let looks_encoded = text.starts_with("=?base64?") && text.ends_with("?=");
    let is_bare = text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && text.trim_matches(' ') == text;
    let is_plain = is_bare && !looks_encoded;
    let shown = match is_plain {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(text))),
    };
    HeaderValue::from_str(&shown).expect("printable ASCII makes a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded_where_a_header_cannot_hold_them() {
        for (text, shown) in [
            ("us-west1", "us-west1"),
            ("a b", "a b"),
            ("", ""),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(value(text), shown, "{text:?}");
        }
    }
}
