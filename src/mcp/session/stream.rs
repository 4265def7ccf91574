//! `GET` at an endpoint: the stream of a session, or the rest of one of its answers.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;

use super::notification_stream::NotificationStream;
use crate::mcp::method::logging;
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::{Fault, Status};
use crate::mcp::response::sse;
use crate::protocol::header::{LAST_EVENT_ID, SESSION_ID};

/// Opens the stream of the session that the request names, or resumes an answer.
///
/// `Last-Event-ID` names the last event of the answer that the client received.
pub fn open(request: Arc<RequestContext>) -> Response {
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
    let mut stream = NotificationStream::new(&request, held);
    stream.session = Some(session.listen());
    if session.has_missed_changes() {
        stream.report_told();
        if session.client.log_level().is_some() {
            let (tasks, closing) = (request.mcp.shared.tasks.clone(), request.mcp.shared.closing.clone());
            tasks.spawn(async move {
                let opening = logging::open_connections(&request, &session.client);
                if let Some(Err(fault)) = closing.run_until_cancelled(opening).await {
                    let why = fault.message();
                    tracing::debug!(
                        "the log of a session that is open again begins with its next call: {why}"
                    );
                }
            });
        }
    }
    stream.respond()
}
