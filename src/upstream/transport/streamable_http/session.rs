//! One connection over streamable HTTP: its session, and the messages that go to the server.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::protocol::header::{LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID};
use crate::protocol::media_type::EVENT_STREAM;
use crate::protocol::revision::WITH_SESSIONS;
use crate::protocol::{Era, media_type};
use crate::shares::Principal;
use crate::upstream::connection::{self, HandshakeStep, OutgoingMessage};
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::malformed;
use crate::upstream::message::{self, Reply, RpcError, Sorted};
use crate::upstream::message_queue::Sender;
use crate::upstream::transport::event_stream::Event;
use crate::upstream::transport::http::link::HttpLink;

/// How long the first request may wait until the stream of server messages is open.
pub(super) const LISTENING: Duration = Duration::from_millis(100);

pub(super) struct StreamableHttp {
    pub(super) link: HttpLink,
    pub(super) session: ArcSwapOption<HttpSession>,
    pub(super) inbox: Sender,
}

/// The outcome of a message.
pub(super) enum Posted {
    /// The head of a 2xx response.
    Answer(Response<Incoming>),
    /// A JSON-RPC error sent with a non-2xx status, as stateless servers do.
    Error(RpcError),
}

/// The headers of every message after `initialize`; empty after the first answer of a stateless server.
#[derive(Debug, Default)]
pub(super) struct HttpSession {
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) has_id: bool,
}

impl StreamableHttp {
    /// Sends one message with these headers beside those of the session. `id` is that of a request of our own.
    pub(super) async fn post(
        &self,
        message: Bytes,
        more: Vec<(HeaderName, HeaderValue)>,
        id: Option<u32>,
    ) -> Result<Posted, RequestError> {
        let session = self.session.load_full();
        let mut headers = Cow::Borrowed(session.as_ref().map_or(&[][..], |session| &session.headers));
        if !more.is_empty() {
            headers.to_mut().extend(more);
        }
        let url = self.link.endpoint.url();
        let response = self.link.endpoint.send(Method::POST, &url, &headers, message).await;
        let response = response.inspect_err(|error| self.link.heed(error))?;
        let is_stateless = self.link.era.current() == Era::Stateless;
        if response.status().is_success() {
            if is_stateless && session.is_none() {
                self.session.store(Some(Arc::default()));
            }
            return Ok(Posted::Answer(response));
        }
        let (reason, body) = self.link.endpoint.refusal(response).await;
        if let Sorted::Error { id: of, error } = message::sort(&body)
            && is_stateless
            && Some(of) == id
        {
            return Ok(Posted::Error(error));
        }
        if let Some(lost) = self.lost_by(&reason, &body).await {
            return Err(lost);
        }
        // 403 in the middle of a session may be about one tool only, and must not end the others' calls; so may 401 while
        // the session is known. A server may refuse the very question for its era, and still be one with sessions.
        let is_question = is_stateless && session.is_none();
        let is_about_us = match reason.status {
            401 => !is_question && !session.is_some_and(|session| session.has_id),
            403 => !is_question && session.is_none(),
            _ => false,
        };
        if is_about_us {
            self.link.end.set(CloseReason::Status(reason.clone()));
        }
        Err(RequestError::Status(reason))
    }

    pub(super) fn to_inbox(&self, message: Bytes) {
        connection::offer(&self.link.endpoint.server, &self.inbox, message);
    }

    /// Sends a message; what the server answers goes to the inbox.
    pub(super) async fn send(self: Arc<Self>, outgoing: OutgoingMessage) -> Result<(), RequestError> {
        let posted = self.post(outgoing.message, Vec::new(), None).await;
        let response = match posted {
            Ok(Posted::Answer(response)) => response,
            Ok(Posted::Error(_)) => {
                return Err(RequestError::Malformed("it answers a message that asks for nothing".into()));
            }
            // The server knows the session, and refuses the notification alone.
            Err(RequestError::Status(reason))
                if outgoing.step == HandshakeStep::Initialized && !self.link.end.is_set() =>
            {
                let server = &self.link.endpoint.server;
                tracing::warn!(mcp_server = %server, "{server} refuses `notifications/initialized`: {reason}");
                self.listen_beside().await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let session_id = response.headers().get(SESSION_ID).cloned();
        if media_type::is(response.headers(), EVENT_STREAM) {
            let mut events = self.link.endpoint.events(response, Principal::default())?;
            if outgoing.step == HandshakeStep::Initialize {
                // The session must be known before the next message is sent.
                while let Some(Event { name, data }) = events.next().await? {
                    if name.as_deref() == Some("endpoint") {
                        let why = "it opens a stream of the older one; set `type` to `sse`".to_owned();
                        return Err(RequestError::NotSent(CloseReason::OtherTransport(why)));
                    }
                    if matches!(message::sort(&data), Sorted::NotJson) && malformed::answers(&data).is_some()
                    {
                        return Err(self.link.endpoint.no_json(&data));
                    }
                    let opened = self.open_session(&data, session_id.as_ref());
                    self.to_inbox(data);
                    if opened {
                        return Ok(());
                    }
                }
                return Err(RequestError::Malformed("the stream ended before the answer".into()));
            }
            let this = self.clone();
            self.link.tasks.spawn(async move {
                let end = this.link.end.clone();
                let pump = async {
                    while let Ok(Some(Event { data, .. })) = events.next().await {
                        this.to_inbox(data);
                    }
                };
                end.token().run_until_cancelled(pump).await;
            });
        } else {
            let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
            let body = self.link.endpoint.body(response, Principal::ANONYMOUS).await?;
            let messages = message::each(&body);
            if outgoing.step == HandshakeStep::Initialize {
                if !messages.iter().any(|message| Reply::read(message).is_some()) {
                    return Err(self.link.endpoint.no_answer(status, kind.as_ref(), &body));
                }
                for message in &messages {
                    self.open_session(message, session_id.as_ref());
                }
            }
            for message in messages.into_iter().filter(|message| !message.is_empty()) {
                self.to_inbox(message);
            }
        }
        if outgoing.step == HandshakeStep::Initialized {
            self.listen_beside().await;
        }
        Ok(())
    }

    /// Opens the stream of messages that the server sends by itself.
    pub(super) async fn listen_beside(self: &Arc<Self>) {
        let this = self.clone();
        let (tell, listening) = oneshot::channel();
        self.link.tasks.spawn(async move {
            let end = this.link.end.clone();
            end.token().run_until_cancelled(this.listen(tell)).await;
        });
        // A stream that is opened later could be taken for one that resumes a request.
        let _later = tokio::time::timeout(LISTENING, listening).await;
    }

    fn open_session(&self, answer: &[u8], id: Option<&HeaderValue>) -> bool {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        let Some(result) = answer.get("result").and_then(Value::as_object) else { return false };
        let mut headers = Vec::new();
        // A server without a known revision gets no revision header.
        let agreed = result.get("protocolVersion").and_then(Value::as_str);
        if let Some(agreed) = WITH_SESSIONS.into_iter().find(|known| Some(*known) == agreed) {
            headers.push((PROTOCOL_VERSION, HeaderValue::from_static(agreed)));
        }
        if let Some(id) = id {
            headers.push((SESSION_ID, id.clone()));
        }
        self.session.store(Some(Arc::new(HttpSession { headers, has_id: id.is_some() })));
        true
    }

    /// The answer to request `id` in a body of several messages.
    pub(super) fn answer_among(&self, id: u32, body: &Bytes) -> Option<Reply> {
        let mut found = None;
        for message in message::each(body) {
            match message::sort(&message) {
                Sorted::Result { id: of, range } if of == id => {
                    found = Some(Reply::Result(message.slice(range)))
                }
                Sorted::Error { id: of, error } if of == id => found = Some(Reply::Error(error)),
                _ if message.len() == body.len() => {}
                _ => self.to_inbox(message),
            }
        }
        found
    }

    /// Opens an event stream with GET, from `last_id` on.
    pub(super) async fn get(&self, last_id: Option<&str>) -> Result<Response<Incoming>, RequestError> {
        let session = self.session.load_full();
        let mut headers = session.map(|session| session.headers.clone()).unwrap_or_default();
        headers.push((http::header::ACCEPT, HeaderValue::from_static(EVENT_STREAM)));
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.push((LAST_EVENT_ID, id));
        }
        self.link.endpoint.send(Method::GET, &self.link.endpoint.url(), &headers, Bytes::new()).await
    }
}
