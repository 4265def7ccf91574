//! The head of an HTTP response: its address, its media type, and the meaning of its status.

use std::time::{Duration, SystemTime};

use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, Response, Uri};

use crate::upstream::error::StatusReason;

/// In the extensions of an answer: the address that it is of, behind all redirects.
#[derive(Debug, Clone)]
pub struct AnsweredUrl(pub Uri);

/// The reason in the head of a non-2xx response.
pub(super) fn status_reason<B>(response: &Response<B>) -> StatusReason {
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let target = || {
        let AnsweredUrl(from) = response.extensions().get()?;
        let target = url::Url::parse(&from.to_string()).ok()?.join(text(LOCATION)?).ok()?;
        // A query may hold secrets.
        Some(format!("{}{}", target.origin().ascii_serialization(), target.path()).into())
    };
    StatusReason {
        status: response.status().as_u16(),
        retry_after: text(RETRY_AFTER).and_then(wait_of),
        target: response.status().is_redirection().then(target).flatten(),
        words: None,
    }
}

/// The value of `Retry-After`: seconds, or a moment (RFC 9110, section 10.2.3).
fn wait_of(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The media type of a `Content-Type` in lower case, without parameters; empty when it names none.
pub(super) fn media_type(content_type: Option<&HeaderValue>) -> String {
    let value = content_type.and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}
