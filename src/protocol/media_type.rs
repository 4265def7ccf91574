//! Media types of messages.

use http::{HeaderMap, HeaderValue, header};

/// One message, and every other JSON body. Sent without a charset, as LobeChat wants it.
pub const JSON: &str = "application/json";
/// A form of HTML.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// Server-sent events, one for each message.
pub const EVENT_STREAM: &str = "text/event-stream";

/// The media type at the beginning of a header's value, without its parameters.
pub fn essence(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether the body behind `headers` is declared to be of this media type.
pub fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    essence(declared).eq_ignore_ascii_case(media_type.as_bytes())
}

/// Whether `Accept` names a type that begins with `media_type`.
pub fn is_accepted(headers: &HeaderMap, media_type: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with(media_type))
}
