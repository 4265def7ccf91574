//! `GET` at an endpoint: the stream of a session, or the rest of one of its answers.

use axum::response::Response;
use http::StatusCode;

use super::notification_stream::NotificationStream;
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::{Fault, Status};
use crate::mcp::response::sse;
use crate::protocol::header::{LAST_EVENT_ID, SESSION_ID};

/// Opens the stream of the session that the request names, or resumes an answer.
///
/// `Last-Event-ID` names the last event of the answer that the client received.
pub fn open(request: &RequestContext) -> Response {
    let headers = &request.head.headers;
    if !headers.contains_key(SESSION_ID) {
        let fault =
            Fault::invalid_request("the header Mcp-Session-Id is missing: open a session with `initialize`");
        return fault.at(Status::Always(StatusCode::BAD_REQUEST)).response(None);
    }
    let Some(session) = request.session() else { return Fault::session_not_found().response(None) };
    if let Some(last) = headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty()) {
        let reader = last.to_str().ok().and_then(|last| session.event_logs.resume(last));
        let Some(reader) = reader else { return Fault::not_resumable().response(None) };
        return sse::written(reader.events(session.stream()));
    }
    let held = match request.mcp.take_listener(&request.caller) {
        Ok(held) => held,
        Err(fault) => return fault.response(None),
    };
    let mut stream = NotificationStream::new(request, held);
    if session.has_missed_changes() {
        stream.report_told();
    }
    stream.session = Some(session.listen());
    stream.respond()
}
