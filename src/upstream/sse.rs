//! The legacy HTTP+SSE transport, as its client (specification 2024-11-05, "HTTP with SSE").
//!
//! One GET stream brings everything that the server says; the first event names the address that takes
//! our messages. The stream's end is the connection's end: the supervisor makes a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Uri};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::era_cache::EraCache;
use super::error::{EndReason, LinkError};
use super::event_stream::{Event, EventStream};
use super::exchange::{self, Answered, Exchange, Means};
use super::identity::Identity;
use super::intake::Bounds;
use super::link::{self, Answers, End, INITIALIZE_ID, Ids, Link, Opened, Outgoing, Step};
use super::message::{self, Answer, Reply, Sorted};
use super::messages::Sender;
use super::progress::Progress;
use super::request::{self, Request};
use super::stray;
use super::unpack::AnswerBody;
use super::words::name_the_session;
use crate::config::{HttpConfig, ServerName};
use crate::protocol::Era;
use crate::protocol::media_type::{self, EVENT_STREAM};
use crate::trace::TraceContext;

/// How long a cancellation may take.
const FAREWELL: Duration = Duration::from_secs(2);

struct Sse {
    exchange: Exchange,
    messages: Uri,
    /// Open requests. A lock, unlike on the other transports: answers come on another task, and a legacy
    /// transport is not worth a second design.
    pending: Mutex<HashMap<u32, Pending>>,
    ids: Ids,
    /// Always that of sessions: the transport is older than the other.
    era: EraCache,
    end: Arc<End>,
    tasks: TaskTracker,
    answers: Answers,
}

struct SseLink(Arc<Sse>);

struct Pending {
    reply: oneshot::Sender<Result<Reply, LinkError>>,
    progress: Option<Arc<Progress>>,
}

/// Opens the stream, for `identity` if there is one, and waits for the address of messages.
pub async fn open(
    server: &ServerName,
    config: &HttpConfig,
    means: Means<'_>,
    bounds: Bounds,
    identity: Option<&Identity>,
) -> Result<Opened, EndReason> {
    let exchange = Exchange::new(server, config, means, bounds, identity).await?;
    let url = exchange.url();
    let accept = [(http::header::ACCEPT, HeaderValue::from_static(EVENT_STREAM))];
    let response = exchange.send(Method::GET, &url, &accept, Bytes::new()).await.map_err(end_of)?;
    if !response.status().is_success() {
        return Err(EndReason::Status(exchange.refusal(response).await.0));
    }
    if !media_type::is(response.headers(), EVENT_STREAM) {
        return Err(EndReason::OtherTransport(
            "it does not answer with an event stream; set `type` to `streamable-http` if it speaks that"
                .into(),
        ));
    }
    // Where the stream is of, its endpoint is relative to.
    let stream = response.extensions().get().map_or_else(|| exchange.url(), |Answered(url)| url.clone());
    let mut events = EventStream::new(AnswerBody::of(response).map_err(end_of)?, &exchange.bounds, None);
    let endpoint = loop {
        match events.next().await.map_err(end_of)? {
            Some(Event { name: Some(name), data }) if name == "endpoint" => break data,
            Some(_) => {}
            None => {
                let why = "the stream ended before it named an endpoint".to_owned();
                return Err(EndReason::OtherTransport(why));
            }
        }
    };
    let messages = resolve_endpoint(&stream, &endpoint)?;
    let (inbox, inbox_out) = link::inbox();
    let shared = Arc::new(Sse {
        exchange,
        messages,
        pending: Mutex::default(),
        ids: Ids::default(),
        era: EraCache::default(),
        end: Arc::default(),
        tasks: TaskTracker::new(),
        answers: Answers::default(),
    });
    shared.tasks.spawn(shared.clone().listen(events, inbox));
    Ok(Opened { link: Arc::new(SseLink(shared)), inbox: inbox_out })
}

fn end_of(error: LinkError) -> EndReason {
    match error {
        LinkError::NotSent(reason) | LinkError::Lost(reason) => reason,
        LinkError::Status(reason) => EndReason::Status(reason),
        other => EndReason::Broken(other.to_string()),
    }
}

/// The endpoint may be relative, and must not lead our credentials to another origin.
fn resolve_endpoint(stream: &Uri, endpoint: &[u8]) -> Result<Uri, EndReason> {
    let broken = |text: &str| EndReason::Broken(text.to_owned());
    let base = url::Url::parse(&stream.to_string()).map_err(|error| EndReason::Url(error.to_string()))?;
    let text = std::str::from_utf8(endpoint).map_err(|_| broken("its endpoint is not text"))?;
    let target = base.join(text.trim()).map_err(|_| broken("its endpoint is no address"))?;
    if target.origin() != base.origin() {
        return Err(broken("its endpoint lies on another origin, where our credentials do not go"));
    }
    Uri::try_from(target.as_str()).map_err(|_| broken("its endpoint is no address"))
}

impl Sse {
    fn pending(&self) -> MutexGuard<'_, HashMap<u32, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(self: Arc<Self>, mut events: EventStream, inbox: Sender) {
        let reading = async {
            loop {
                match events.next().await {
                    Ok(Some(Event { data, .. })) => self.take(data, &inbox),
                    Ok(None) => break EndReason::Broken("the server ended the event stream".into()),
                    Err(error) => break end_of(error),
                }
            }
        };
        if let Some(reason) = self.end.token().run_until_cancelled(reading).await {
            self.end.set(reason);
        }
        let reason = self.end.reason();
        for (_, pending) in self.pending().drain() {
            let _caller_left = pending.reply.send(Err(LinkError::Lost(reason.clone())));
        }
    }

    fn take(&self, message: Bytes, inbox: &Sender) {
        let (id, reply) = match message::sort(&message) {
            Sorted::Result { id, range } => (id, Ok(Reply::Result(message.slice(range)))),
            Sorted::Error { id, error } => (id, Ok(Reply::Error(error))),
            Sorted::Progress { id } => {
                if let Some(Pending { progress: Some(progress), .. }) = self.pending().get(&id) {
                    progress.tell(&message);
                }
                return;
            }
            Sorted::Stray => match stray::answers(&message) {
                Some(INITIALIZE_ID) => {
                    let why = self.exchange.no_json(&message).to_string();
                    link::offer(&self.exchange.server, inbox, Answer::refusal(INITIALIZE_ID, &why));
                    return;
                }
                Some(id) => (id, Err(self.exchange.no_json(&message))),
                None => return self.pass_on(message, inbox),
            },
            Sorted::Other | Sorted::Farewell(_) | Sorted::Echo { .. } => {
                return self.pass_on(message, inbox);
            }
        };
        let pending = self.pending().remove(&id);
        if let Some(pending) = pending {
            let _caller_left = pending.reply.send(reply);
        }
    }

    /// A message that answers nothing: to the newest request that wants to hear it, or to the inbox.
    fn pass_on(&self, message: Bytes, inbox: &Sender) {
        let is_taken = {
            let pending = self.pending();
            let open = pending.iter();
            let open = open.filter_map(|(id, pending)| Some((*id, pending.progress.as_deref()?)));
            Progress::beside_newest(open, &message)
        };
        if !is_taken {
            link::offer(&self.exchange.server, inbox, message);
        }
    }

    async fn post(&self, message: Bytes, trace: Option<&TraceContext>) -> Result<(), LinkError> {
        let headers = trace.map(exchange::trace_headers).unwrap_or_default();
        let response = self.exchange.send(Method::POST, &self.messages, &headers, message).await;
        let response = response.inspect_err(|error| {
            if let LinkError::NotSent(reason) = error {
                self.end.set(reason.clone());
            }
        })?;
        if !response.status().is_success() {
            let (reason, body) = self.exchange.refusal(response).await;
            let names_session = name_the_session(&body);
            if names_session && matches!(reason.status, 400 | 401 | 403 | 404 | 410 | 422 | 503) {
                self.end.set(EndReason::SessionLost);
                let ran_nothing = matches!(reason.status, 400 | 404 | 410 | 422);
                return Err(LinkError::SessionLost { ran_nothing });
            }
            // Nothing takes our messages any more, though the stream is open.
            if reason.status == 404 {
                self.end.set(EndReason::Status(reason.clone()));
            }
            return Err(LinkError::Status(reason));
        }
        // The answer itself comes on the stream; what stands here is only read to keep the connection.
        self.exchange.body(response, &None).await.map(drop)
    }
}

impl Link for SseLink {
    fn send(&self, outgoing: Outgoing) -> BoxFuture<'static, Result<(), LinkError>> {
        let this = self.0.clone();
        Box::pin(async move { this.post(outgoing.message, None).await })
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
            let id = this.ids.next();
            let (reply, answer) = oneshot::channel();
            this.pending().insert(id, Pending { reply, progress });
            if this.end.is_set() {
                this.pending().remove(&id);
                return Err(LinkError::NotSent(this.end.reason()));
            }
            let _open = Open { link: this, id };
            this.post(Bytes::from(request.encode(id, Era::Sessions)), request.meta.trace).await?;
            match answer.await {
                Ok(reply) => reply,
                Err(_connection_gone) => Err(LinkError::Lost(this.end.reason())),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.0.end.set(EndReason::Stopping);
            self.0.tasks.close();
            self.0.tasks.wait().await;
        })
    }

    fn end(&self) -> &End {
        &self.0.end
    }

    fn era(&self) -> &EraCache {
        &self.0.era
    }
}

/// Takes the request off the table, and tells the server when it was still open.
struct Open<'a> {
    link: &'a Arc<Sse>,
    id: u32,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let was_open = self.link.pending().remove(&self.id).is_some();
        if !was_open || self.link.end.is_set() {
            return;
        }
        let link = self.link.clone();
        let message = Bytes::from(request::cancelled(self.id));
        self.link.tasks.spawn(async move {
            if !matches!(tokio::time::timeout(FAREWELL, link.post(message, None)).await, Ok(Ok(()))) {
                let server = &link.exchange.server;
                tracing::debug!(mcp_server = %server, "{server} was not told of a cancellation");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_stays_on_the_origin_of_the_stream() {
        let stream = Uri::from_static("http://a.test:81/x/sse");
        let resolved = resolve_endpoint(&stream, b"/messages?id=1").expect("same origin");
        assert_eq!(resolved.to_string(), "http://a.test:81/messages?id=1");
        for bad in ["http://b.test/messages", "//b.test/m", "https://a.test:81/m"] {
            assert!(resolve_endpoint(&stream, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
