//! The streamable HTTP transport, as its client (specification 2025-11-25 and 2026-07-28, "Transports").
//!
//! Each request is one POST, answered by JSON or by a stream of events; a caller reads its own answer on
//! its own task. Beside that runs, with servers that have sessions, one GET stream for what the server sends by itself.

mod declared;
mod streams;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub use declared::value as header_value;

use super::error::{EndReason, LinkError, cut_words};
use super::event_stream::{Event, EventStream};
use super::exchange::{self, EVENTS, Exchange, Means};
use super::identity::Identity;
use super::intake::Bounds;
use super::link::{self, Answers, End, Ids, Link, Opened, Outgoing, Speech, Step};
use super::message::{self, Reply, RpcError, Sorted};
use super::messages::Sender;
use super::progress::Progress;
use super::request::{self, Manner, Request};
use crate::config::{HttpConfig, ServerName};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long a message may take that nobody waits for: a cancellation, the end of a session.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the first request may wait for the stream of what the server sends by itself to be open.
const LISTENING: Duration = Duration::from_millis(100);

struct Streamable {
    exchange: Exchange,
    session: ArcSwapOption<Session>,
    inbox: Sender,
    ids: Ids,
    speech: Speech,
    end: Arc<End>,
    tasks: TaskTracker,
    answers: Answers,
}

/// The link owns the shared state through an `Arc`, so that tasks and cancellations can outlive a caller.
struct StreamableLink(Arc<Streamable>);

/// What became of a message.
enum Posted {
    /// The head of an answer whose status is a success.
    Answer(Response<Incoming>),
    /// An error of the protocol, which a server without sessions sends with a status that is none.
    Error(RpcError),
}

/// What every message after `initialize` carries; empty with a server without sessions that has answered once.
#[derive(Debug, Default)]
struct Session {
    headers: Vec<(HeaderName, HeaderValue)>,
    has_id: bool,
}

/// Prepares the connection, for `identity` if there is one; nothing is sent before the handshake.
pub async fn open(
    server: &ServerName,
    config: &HttpConfig,
    means: Means<'_>,
    bounds: Bounds,
    identity: Option<&Identity>,
) -> Result<Opened, EndReason> {
    let exchange = Exchange::new(server, config, means, bounds, identity).await?;
    let (inbox, inbox_out) = link::inbox();
    let shared = Streamable {
        exchange,
        session: ArcSwapOption::empty(),
        inbox,
        ids: Ids::default(),
        speech: Speech::default(),
        end: Arc::default(),
        tasks: TaskTracker::new(),
        answers: Answers::default(),
    };
    Ok(Opened { link: Arc::new(StreamableLink(Arc::new(shared))), inbox: inbox_out })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Negotiated {
    result: NegotiatedResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NegotiatedResult {
    protocol_version: String,
}

impl Streamable {
    /// Sends one message with these headers beside those of the session. `id` is that of a request of our own.
    async fn post(
        &self,
        message: Bytes,
        more: Vec<(HeaderName, HeaderValue)>,
        id: Option<u32>,
    ) -> Result<Posted, LinkError> {
        let session = self.session.load_full();
        let mut headers = Cow::Borrowed(session.as_ref().map_or(&[][..], |session| &session.headers));
        if !more.is_empty() {
            headers.to_mut().extend(more);
        }
        let url = self.exchange.url();
        let response = match self.exchange.send(Method::POST, &url, &headers, message).await {
            Ok(response) => response,
            Err(error) => {
                if let LinkError::NotSent(reason) = &error {
                    self.end.set(reason.clone());
                }
                return Err(error);
            }
        };
        let is_stateless = self.speech.manner() == Manner::Stateless;
        let status = response.status();
        if status.is_success() {
            if is_stateless && session.is_none() {
                self.session.store(Some(Arc::default()));
            }
            return Ok(Posted::Answer(response));
        }
        let had_session = session.as_ref().is_some_and(|session| session.has_id);
        if status == StatusCode::NOT_FOUND && had_session {
            return Err(self.session_lost());
        }
        let reason = exchange::status_reason(&response);
        // 403 in the middle of a session may be about one tool only, and must not end the others' calls.
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN && session.is_none() {
            self.end.set(EndReason::Status(reason.clone()));
            return Err(LinkError::Status(reason));
        }
        let body = self.exchange.body(response, &None).await.unwrap_or_default();
        // The official TypeScript examples answer 400, not 404, to a session they do not know.
        let names_session = memchr::memmem::find(&body.to_ascii_lowercase(), b"session").is_some();
        if status == StatusCode::BAD_REQUEST && had_session && names_session {
            return Err(self.session_lost());
        }
        match message::sort(&body) {
            Sorted::Error { id: of, error } if is_stateless && Some(of) == id => Ok(Posted::Error(error)),
            Sorted::Error { error, .. } => {
                Err(LinkError::Refused { status: reason, message: cut_words(&error.message) })
            }
            _ => Err(LinkError::Status(reason)),
        }
    }

    fn session_lost(&self) -> LinkError {
        self.end.set(EndReason::SessionLost);
        LinkError::SessionLost
    }

    fn to_inbox(&self, message: Bytes) {
        link::offer(&self.exchange.server, &self.inbox, message);
    }

    /// Sends a message of rmcp; what the server answers goes to the inbox.
    async fn send(self: Arc<Self>, outgoing: Outgoing) -> Result<(), LinkError> {
        let Posted::Answer(response) = self.post(outgoing.message, Vec::new(), None).await? else {
            return Err(LinkError::Malformed("it answers a message that asks for nothing".into()));
        };
        let session_id = response.headers().get(SESSION_ID).cloned();
        if exchange::is_type(&response, EVENTS) {
            let mut events = EventStream::new(response.into_body(), &self.exchange.bounds, None);
            if outgoing.step == Step::Initialize {
                // The session must be known before rmcp sends the next message.
                while let Some(Event { data, .. }) = events.next().await? {
                    let opened = self.open_session(&data, session_id.as_ref());
                    self.to_inbox(data);
                    if opened {
                        return Ok(());
                    }
                }
                return Err(LinkError::Malformed("the stream ended before the answer".into()));
            }
            let this = self.clone();
            self.tasks.spawn(async move {
                let end = this.end.clone();
                let pump = async {
                    while let Ok(Some(Event { data, .. })) = events.next().await {
                        this.to_inbox(data);
                    }
                };
                end.token().run_until_cancelled(pump).await;
            });
        } else {
            let body = self.exchange.body(response, &None).await?;
            if outgoing.step == Step::Initialize {
                self.open_session(&body, session_id.as_ref());
            }
            if !body.is_empty() {
                self.to_inbox(body);
            }
        }
        if outgoing.step == Step::Initialized {
            let this = self.clone();
            let (tell, listening) = oneshot::channel();
            self.tasks.spawn(async move {
                let end = this.end.clone();
                end.token().run_until_cancelled(this.listen(tell)).await;
            });
            // A stream that is opened later could be taken for one that resumes a request.
            let _later = tokio::time::timeout(LISTENING, listening).await;
        }
        Ok(())
    }

    fn open_session(&self, answer: &[u8], id: Option<&HeaderValue>) -> bool {
        let Ok(Negotiated { result }) = serde_json::from_slice::<Negotiated>(answer) else { return false };
        let mut headers = Vec::new();
        if let Ok(version) = HeaderValue::from_str(&result.protocol_version) {
            headers.push((PROTOCOL_VERSION, version));
        }
        if let Some(id) = id {
            headers.push((SESSION_ID, id.clone()));
        }
        self.session.store(Some(Arc::new(Session { headers, has_id: id.is_some() })));
        true
    }

    /// Opens an event stream with GET, from `last_id` on.
    async fn get(&self, last_id: Option<&str>) -> Result<Response<Incoming>, LinkError> {
        let session = self.session.load_full();
        let mut headers = session.map(|session| session.headers.clone()).unwrap_or_default();
        headers.push((http::header::ACCEPT, HeaderValue::from_static(EVENTS)));
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.push((LAST_EVENT_ID, id));
        }
        self.exchange.send(Method::GET, &self.exchange.url(), &headers, Bytes::new()).await
    }
}

impl Link for StreamableLink {
    fn send(&self, outgoing: Outgoing) -> BoxFuture<'static, Result<(), LinkError>> {
        Box::pin(self.0.clone().send(outgoing))
    }

    fn tell(&self, answer: Bytes) {
        let telling = self.send(Outgoing { message: answer, step: Step::Other });
        self.0.answers.tell(&self.0.exchange.server, &self.0.tasks, self.0.end.clone(), telling);
    }

    fn request<'a>(
        &'a self,
        request: Request<'a>,
        progress: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, LinkError>> {
        Box::pin(async move {
            let this = &self.0;
            if this.end.is_set() {
                return Err(LinkError::NotSent(this.end.reason()));
            }
            let (id, owner) = (this.ids.next(), request.meta.owner.cloned());
            let mut open = Open { link: this, id, answered: request.meta.quiet };
            let reply = async {
                let manner = this.speech.manner();
                let mut headers = match manner {
                    Manner::Sessions => Vec::new(),
                    Manner::Stateless => declared::headers(&request),
                };
                if let Some(trace) = request.meta.trace {
                    headers.extend(exchange::trace_headers(trace));
                }
                let response = match this.post(request.encode(id, manner).into(), headers, Some(id)).await? {
                    Posted::Answer(response) => response,
                    Posted::Error(error) => return Ok(Reply::Error(error)),
                };
                if exchange::is_type(&response, EVENTS) {
                    let events = EventStream::new(response.into_body(), &this.exchange.bounds, owner.clone());
                    return this.answer_in_events(id, &owner, events, progress.as_deref()).await;
                }
                let body = this.exchange.body(response, &owner).await?;
                match message::sort(&body) {
                    Sorted::Result { id: of, range } if of == id => Ok(Reply::Result(body.slice(range))),
                    Sorted::Error { id: of, error } if of == id => Ok(Reply::Error(error)),
                    _ => Err(LinkError::Malformed("its answer is no answer to the request".into())),
                }
            };
            let reply = reply.await;
            open.answered = true;
            reply
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let this = &self.0;
            this.end.set(EndReason::Stopping);
            let session = this.session.swap(None);
            if let Some(session) = session.filter(|session| session.has_id)
                && matches!(this.end.reason(), EndReason::Stopping)
            {
                let url = this.exchange.url();
                let farewell = this.exchange.send(Method::DELETE, &url, &session.headers, Bytes::new());
                if !matches!(tokio::time::timeout(FAREWELL, farewell).await, Ok(Ok(_))) {
                    let server = &this.exchange.server;
                    tracing::debug!(mcp_server = %server, "{server} was not told that the session ends");
                }
            }
            this.tasks.close();
            this.tasks.wait().await;
        })
    }

    fn end(&self) -> &End {
        &self.0.end
    }

    fn speech(&self) -> &Speech {
        &self.0.speech
    }

    fn mirrors_arguments(&self) -> bool {
        self.0.speech.manner() == Manner::Stateless
    }
}

/// Cancels the request when its caller goes away before the answer.
struct Open<'a> {
    link: &'a Arc<Streamable>,
    id: u32,
    answered: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // Without sessions, the end of the answer's stream says it (2026-07-28, streamable HTTP, "Cancellation").
        let is_told = self.link.speech.manner() == Manner::Stateless;
        if self.answered || self.link.end.is_set() || is_told {
            return;
        }
        let link = self.link.clone();
        let message = Bytes::from(request::cancelled(self.id));
        self.link.tasks.spawn(async move {
            if !matches!(
                tokio::time::timeout(FAREWELL, link.post(message, Vec::new(), None)).await,
                Ok(Ok(_))
            ) {
                let server = &link.exchange.server;
                tracing::debug!(mcp_server = %server, "{server} was not told of a cancellation");
            }
        });
    }
}
