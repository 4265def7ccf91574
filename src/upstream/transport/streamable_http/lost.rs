//! Detects a forgotten session. Few servers answer as the specification has it (404), and their answers occur for
//! other refusals, too: so a ping in the same session asks.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::protocol::media_type::EVENT_STREAM;
use crate::protocol::{Era, media_type, method};
use crate::shares::Principal;
use crate::upstream::error::{CloseReason, RequestError, StatusReason};
use crate::upstream::error_text::name_the_session;
use crate::upstream::message::{self, RpcError, Sorted};
use crate::upstream::request::Request;
use crate::upstream::transport::streamable_http::session::{HttpSession, StreamableHttp};

/// How long the ping may take; a server that keeps silent has said nothing of the session.
const PING_LIMIT: Duration = Duration::from_secs(2);

impl StreamableHttp {
    /// The error when a refusal means a lost session; `None` when the server still knows the session.
    pub(super) async fn lost_by(&self, reason: &StatusReason, body: &[u8]) -> Option<RequestError> {
        let names_session = name_the_session(body);
        if !names_session && !matches!(reason.status, 400 | 401 | 403 | 404 | 410 | 422 | 503) {
            return None;
        }
        if self.knows_session().await {
            return None;
        }
        // Credentials that have run out are refused in the same way.
        if matches!(reason.status, 401 | 403) && !names_session {
            self.link.end.set(CloseReason::Status(reason.clone()));
            return Some(RequestError::Status(reason.clone()));
        }
        let ran_nothing = match reason.status {
            404 => true,
            400 | 410 | 422 => names_session,
            _ => false,
        };
        self.link.end.set(CloseReason::SessionLost);
        Some(RequestError::SessionLost { ran_nothing })
    }

    /// The error when an answer with status 200 and this error means a lost session.
    pub(super) async fn lost_by_error(&self, error: &RpcError) -> Option<RequestError> {
        if !name_the_session(error.message.as_bytes()) || self.knows_session().await {
            return None;
        }
        self.link.end.set(CloseReason::SessionLost);
        Some(RequestError::SessionLost { ran_nothing: true })
    }

    /// Whether the server knows the session, as far as a ping shows. Without a session nothing can be lost.
    pub(super) async fn knows_session(&self) -> bool {
        let session = self.session.load_full();
        let Some(session) = session.filter(|session| session.has_id) else { return true };
        if self.link.end.is_set() {
            return self.link.end.reason() != CloseReason::SessionLost;
        }
        let pong = tokio::time::timeout(PING_LIMIT, self.pong(&session));
        !matches!(pong.await, Ok(Ok(false)))
    }

    /// Whether the answer to a ping shows that the server knows the session.
    async fn pong(&self, session: &HttpSession) -> Result<bool, RequestError> {
        let ping = Request::other(method::PING, b"").encode(self.link.ids.next(), Era::Sessions);
        let url = self.link.endpoint.url();
        let response =
            self.link.endpoint.send(Method::POST, &url, &session.headers, Bytes::from(ping)).await?;
        match response.status() {
            status if status.is_success() => {}
            // It says nothing of the session.
            StatusCode::TOO_MANY_REQUESTS => return Ok(true),
            _ => {
                // Read, so that its connection can be used again.
                self.link.endpoint.refusal(response).await;
                return Ok(false);
            }
        }
        let answer = if media_type::is(response.headers(), EVENT_STREAM) {
            let mut events = self.link.endpoint.events(response, Principal::default())?;
            events.next().await?.map(|event| event.data).unwrap_or_default()
        } else {
            self.link.endpoint.body(response, Principal::ANONYMOUS).await?
        };
        Ok(match message::sort(&answer) {
            Sorted::Error { error, .. } => !name_the_session(error.message.as_bytes()),
            _ => true,
        })
    }
}
