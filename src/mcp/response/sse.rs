//! Responses that are streams of events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;
use http::{HeaderName, HeaderValue, header};

use crate::json::one_line_text;
use crate::protocol::media_type::EVENT_STREAM;

/// Proxies close connections that are silent for a minute or less.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Keeps nginx from holding events back.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A response of events that proxies neither hold back nor take for dead.
pub fn respond(events: impl Stream<Item = Result<Event, Infallible>> + Send + 'static) -> Response {
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

/// [`respond`] for events that are written already and keep the connection alive themselves.
///
/// axum's own events cannot have data that is empty.
pub fn written(events: impl Stream<Item = Result<String, Infallible>> + Send + 'static) -> Response {
    let mut response = Body::from_stream(events).into_response();
    for (name, value) in
        [(header::CONTENT_TYPE, EVENT_STREAM), (header::CACHE_CONTROL, "no-cache"), (BUFFERING, "no")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A message as the text of an event, which a line break would end.
pub fn event_text(message: &[u8]) -> Option<String> {
    std::str::from_utf8(message).ok().map(|text| one_line_text(text.to_owned()))
}
