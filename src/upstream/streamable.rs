//! The streamable HTTP transport, as its client (specification 2025-11-25 and 2026-07-28, "Transports").
//!
//! Each request is one POST, answered by JSON or by a stream of events; a caller reads its own answer on
//! its own task. Beside that runs, with servers that have sessions, one GET stream for what the server sends by itself.

mod declared;
mod link;
mod lost;
mod streams;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, Response};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub use declared::value as header_value;

use super::era_cache::EraCache;
use super::error::{EndReason, LinkError};
use super::event_stream::{Event, EventStream};
use super::exchange::{Exchange, Means};
use super::identity::Identity;
use super::intake::Bounds;
use super::link::{self as links, Answers, End, Ids, Opened, Outgoing, Step};
use super::message::{self, Reply, RpcError, Sorted};
use super::messages::Sender;
use super::stray;
use super::unpack::AnswerBody;
use crate::config::{HttpConfig, ServerName};
use crate::protocol::Era;
use crate::protocol::header::{LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID};
use crate::protocol::media_type::{self, EVENT_STREAM};
use crate::protocol::revision::WITH_SESSIONS;

/// How long a message may take that nobody waits for: a cancellation, the end of a session.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the first request may wait for the stream of what the server sends by itself to be open.
const LISTENING: Duration = Duration::from_millis(100);

struct Streamable {
    exchange: Exchange,
    session: ArcSwapOption<Session>,
    inbox: Sender,
    ids: Ids,
    era: EraCache,
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
    let (inbox, inbox_out) = links::inbox();
    let shared = Streamable {
        exchange,
        session: ArcSwapOption::empty(),
        inbox,
        ids: Ids::default(),
        era: EraCache::default(),
        end: Arc::default(),
        tasks: TaskTracker::new(),
        answers: Answers::default(),
    };
    Ok(Opened { link: Arc::new(StreamableLink(Arc::new(shared))), inbox: inbox_out })
}

#[derive(Deserialize)]
struct Negotiated<'a> {
    #[serde(borrow)]
    result: NegotiatedResult<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NegotiatedResult<'a> {
    #[serde(borrow)]
    protocol_version: Option<&'a RawValue>,
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
        let is_stateless = self.era.current() == Era::Stateless;
        if response.status().is_success() {
            if is_stateless && session.is_none() {
                self.session.store(Some(Arc::default()));
            }
            return Ok(Posted::Answer(response));
        }
        let (reason, body) = self.exchange.refusal(response).await;
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
            self.end.set(EndReason::Status(reason.clone()));
        }
        Err(LinkError::Status(reason))
    }

    fn to_inbox(&self, message: Bytes) {
        links::offer(&self.exchange.server, &self.inbox, message);
    }

    /// Sends a message; what the server answers goes to the inbox.
    async fn send(self: Arc<Self>, outgoing: Outgoing) -> Result<(), LinkError> {
        let posted = self.post(outgoing.message, Vec::new(), None).await;
        let response = match posted {
            Ok(Posted::Answer(response)) => response,
            Ok(Posted::Error(_)) => {
                return Err(LinkError::Malformed("it answers a message that asks for nothing".into()));
            }
            // It knows the session, and only has no use for being told so.
            Err(LinkError::Status(reason)) if outgoing.step == Step::Initialized && !self.end.is_set() => {
                let server = &self.exchange.server;
                tracing::warn!(mcp_server = %server, "{server} refuses `notifications/initialized`: {reason}");
                self.listen_beside().await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let session_id = response.headers().get(SESSION_ID).cloned();
        if media_type::is(response.headers(), EVENT_STREAM) {
            let mut events = EventStream::new(AnswerBody::of(response)?, &self.exchange.bounds, None);
            if outgoing.step == Step::Initialize {
                // The session must be known before the next message is sent.
                while let Some(Event { name, data }) = events.next().await? {
                    if name.as_deref() == Some("endpoint") {
                        let why = "it opens a stream of the older one; set `type` to `sse`".to_owned();
                        return Err(LinkError::NotSent(EndReason::OtherTransport(why)));
                    }
                    if matches!(message::sort(&data), Sorted::Stray) && stray::answers(&data).is_some() {
                        return Err(self.exchange.no_json(&data));
                    }
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
            let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
            let body = self.exchange.body(response, &None).await?;
            let messages = message::each(&body);
            if outgoing.step == Step::Initialize {
                if !messages.iter().any(|message| message::is_answer(message)) {
                    return Err(self.exchange.no_answer(status, kind.as_ref(), &body));
                }
                for message in &messages {
                    self.open_session(message, session_id.as_ref());
                }
            }
            for message in messages.into_iter().filter(|message| !message.is_empty()) {
                self.to_inbox(message);
            }
        }
        if outgoing.step == Step::Initialized {
            self.listen_beside().await;
        }
        Ok(())
    }

    /// Begins to read what the server sends by itself.
    async fn listen_beside(self: &Arc<Self>) {
        let this = self.clone();
        let (tell, listening) = oneshot::channel();
        self.tasks.spawn(async move {
            let end = this.end.clone();
            end.token().run_until_cancelled(this.listen(tell)).await;
        });
        // A stream that is opened later could be taken for one that resumes a request.
        let _later = tokio::time::timeout(LISTENING, listening).await;
    }

    fn open_session(&self, answer: &[u8], id: Option<&HeaderValue>) -> bool {
        let Ok(Negotiated { result }) = serde_json::from_slice::<Negotiated<'_>>(answer) else {
            return false;
        };
        let mut headers = Vec::new();
        // A server that says nothing of it, or something else, is told nothing of it.
        let agreed = result.protocol_version.and_then(|said| serde_json::from_str::<&str>(said.get()).ok());
        if let Some(agreed) = WITH_SESSIONS.into_iter().find(|known| Some(*known) == agreed) {
            headers.push((PROTOCOL_VERSION, HeaderValue::from_static(agreed)));
        }
        if let Some(id) = id {
            headers.push((SESSION_ID, id.clone()));
        }
        self.session.store(Some(Arc::new(Session { headers, has_id: id.is_some() })));
        true
    }

    /// The answer to request `id` in a body of several messages.
    fn answer_among(&self, id: u32, body: &Bytes) -> Option<Reply> {
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
    async fn get(&self, last_id: Option<&str>) -> Result<Response<Incoming>, LinkError> {
        let session = self.session.load_full();
        let mut headers = session.map(|session| session.headers.clone()).unwrap_or_default();
        headers.push((http::header::ACCEPT, HeaderValue::from_static(EVENT_STREAM)));
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.push((LAST_EVENT_ID, id));
        }
        self.exchange.send(Method::GET, &self.exchange.url(), &headers, Bytes::new()).await
    }
}
