//! The id (`X-Request-Id`) and the trace (W3C Trace Context) of a request. Every answer carries the id, so that a
//! caller can name the request in a question about it.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::trace::{Origin, Peer, RequestId, TraceContext};

/// Carries the id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The caller's own id when it is usable, else a new one.
pub fn request_id(headers: &HeaderMap) -> RequestId {
    let given = headers.get(REQUEST_ID).map(|id| Bytes::copy_from_slice(id.as_bytes()));
    given.and_then(RequestId::given).unwrap_or_default()
}

/// The trace that the caller is part of, if it names one.
pub fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let parents = headers.get_all(TRACEPARENT);
    parents.iter().next()?;
    let states = headers.get_all(TRACESTATE);
    TraceContext::read(parents.iter().map(HeaderValue::as_bytes), states.iter().map(HeaderValue::as_bytes))
}

/// The origin of the request with this `head`.
pub fn origin(head: &Parts) -> Origin {
    let extensions = &head.extensions;
    let request_id = extensions.get::<RequestId>().cloned().unwrap_or_default();
    Origin { request_id, trace: trace(&head.headers), peer: extensions.get::<Peer>().copied() }
}

/// Writes the id into an answer.
pub fn mark(id: &RequestId, answer: &mut HeaderMap) {
    if let Ok(id) = HeaderValue::from_maybe_shared(id.to_bytes()) {
        answer.insert(REQUEST_ID, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_over_or_made_and_always_answered() {
        let mut headers = HeaderMap::new();
        let made = request_id(&headers);
        headers.insert(REQUEST_ID, HeaderValue::from_static("mine-1"));
        assert_eq!(request_id(&headers).as_str(), "mine-1");
        headers.insert(REQUEST_ID, HeaderValue::from_static("not mine"));
        assert_ne!(request_id(&headers), made);
        let mut answer = HeaderMap::new();
        mark(&made, &mut answer);
        assert_eq!(answer[REQUEST_ID], made.as_str());
    }

    #[test]
    fn a_trace_comes_from_its_two_headers() {
        let mut headers = HeaderMap::new();
        assert_eq!(trace(&headers), None);
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", HeaderValue::from_static(parent));
        headers.append("tracestate", HeaderValue::from_static("a=1"));
        headers.append("tracestate", HeaderValue::from_static("b=2"));
        let found = trace(&headers).unwrap();
        assert_eq!((found.traceparent(), found.tracestate()), (parent, Some("a=1,b=2")));
        headers.append("traceparent", HeaderValue::from_static(parent));
        assert_eq!(trace(&headers), None);
    }
}
