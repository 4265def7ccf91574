//! The legacy HTTP+SSE transport, as its client (specification 2024-11-05, "HTTP with SSE").
//!
//! One GET stream brings everything that the server says; the first event names the address that takes
//! our messages. The stream's end is the connection's end: the supervisor makes a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, Uri};
use tokio::sync::oneshot;

use crate::protocol::media_type::EVENT_STREAM;
use crate::protocol::{Era, media_type};
use crate::shares::Principal;
use crate::sync::lock;
use crate::trace::TraceContext;
use crate::upstream::connection::{
    self, CloseSignal, Connection, HandshakeStep, INITIALIZE_ID, Opened, OutgoingMessage,
};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::error_text::name_the_session;
use crate::upstream::malformed;
use crate::upstream::message::{self, Reply, Sorted};
use crate::upstream::message_queue::Sender;
use crate::upstream::progress::Progress;
use crate::upstream::request::{self, Request};
use crate::upstream::transport::event_stream::{Event, EventStream};
use crate::upstream::transport::http::endpoint::{self, HttpEndpoint};
use crate::upstream::transport::http::link::HttpLink;
use crate::upstream::transport::http::status::AnsweredUrl;

struct Sse {
    link: HttpLink,
    messages: Uri,
    /// Open requests. A lock, unlike on the other transports: answers come on another task, and a legacy
    /// transport is not worth a second design.
    pending: Mutex<HashMap<u32, PendingReply>>,
}

struct SseConnection(Arc<Sse>);

struct PendingReply {
    reply: oneshot::Sender<Result<Reply, RequestError>>,
    progress: Option<Arc<Progress>>,
}

/// Opens the stream and waits for the address of messages.
pub async fn open(endpoint: HttpEndpoint) -> Result<Opened, CloseReason> {
    let url = endpoint.url();
    let accept = [(http::header::ACCEPT, HeaderValue::from_static(EVENT_STREAM))];
    let response = endpoint.send(Method::GET, &url, &accept, Bytes::new()).await.map_err(end_of)?;
    if !response.status().is_success() {
        return Err(CloseReason::Status(endpoint.refusal(response).await.0));
    }
    if !media_type::is(response.headers(), EVENT_STREAM) {
        return Err(CloseReason::OtherTransport(
            "it does not answer with an event stream; set `type` to `streamable-http` if it speaks that"
                .into(),
        ));
    }
    // The address is relative to that of the stream.
    let stream = response.extensions().get().map_or_else(|| endpoint.url(), |AnsweredUrl(url)| url.clone());
    let mut events = endpoint.events(response, Principal::default()).map_err(end_of)?;
    let address = loop {
        match events.next().await.map_err(end_of)? {
            Some(Event { name: Some(name), data }) if name == "endpoint" => break data,
            Some(_) => {}
            None => {
                let why = "the stream ended before it named an endpoint".to_owned();
                return Err(CloseReason::OtherTransport(why));
            }
        }
    };
    let messages = resolve_endpoint(&stream, &address)?;
    let (inbox, inbox_out) = connection::inbox();
    let shared = Arc::new(Sse { link: HttpLink::new(endpoint), messages, pending: Mutex::default() });
    shared.link.tasks.spawn(shared.clone().listen(events, inbox));
    Ok(Opened { connection: Arc::new(SseConnection(shared)), inbox: inbox_out })
}

fn end_of(error: RequestError) -> CloseReason {
    match error {
        RequestError::NotSent(reason) | RequestError::Lost(reason) => reason,
        RequestError::Status(reason) => CloseReason::Status(reason),
        other => CloseReason::Broken(other.to_string()),
    }
}

/// The endpoint may be relative, and must not lead our credentials to another origin.
fn resolve_endpoint(stream: &Uri, endpoint: &[u8]) -> Result<Uri, CloseReason> {
    let broken = |text: &str| CloseReason::Broken(text.to_owned());
    let base = url::Url::parse(&stream.to_string()).map_err(|error| CloseReason::Url(error.to_string()))?;
    let text = std::str::from_utf8(endpoint).map_err(|_| broken("its endpoint is not text"))?;
    let target = base.join(text.trim()).map_err(|_| broken("its endpoint is no address"))?;
    if target.origin() != base.origin() {
        return Err(broken("its endpoint lies on another origin, where our credentials do not go"));
    }
    Uri::try_from(target.as_str()).map_err(|_| broken("its endpoint is no address"))
}

impl Sse {
    async fn listen(self: Arc<Self>, mut events: EventStream, inbox: Sender) {
        let reading = async {
            loop {
                match events.next().await {
                    Ok(Some(Event { data, .. })) => self.take(data, &inbox),
                    Ok(None) => break CloseReason::Broken("the server ended the event stream".into()),
                    Err(error) => break end_of(error),
                }
            }
        };
        if let Some(reason) = self.link.end.token().run_until_cancelled(reading).await {
            self.link.end.set(reason);
        }
        let reason = self.link.end.reason();
        for (_, pending) in lock(&self.pending).drain() {
            let _caller_left = pending.reply.send(Err(RequestError::Lost(reason.clone())));
        }
    }

    fn take(&self, message: Bytes, inbox: &Sender) {
        let (id, reply) = match message::sort(&message) {
            Sorted::Result { id, range } => (id, Ok(Reply::Result(message.slice(range)))),
            Sorted::Error { id, error } => (id, Ok(Reply::Error(error))),
            Sorted::Progress { id } => {
                if let Some(PendingReply { progress: Some(progress), .. }) = lock(&self.pending).get(&id) {
                    progress.report(&message);
                }
                return;
            }
            Sorted::NotJson => match malformed::answers(&message) {
                Some(INITIALIZE_ID) => {
                    let why = self.link.endpoint.no_json(&message).to_string();
                    connection::offer(&self.link.endpoint.server, inbox, Reply::refusal(INITIALIZE_ID, &why));
                    return;
                }
                Some(id) => (id, Err(self.link.endpoint.no_json(&message))),
                None => return self.pass_on(message, inbox),
            },
            Sorted::Other | Sorted::ExitNotice(_) | Sorted::Echo { .. } => {
                return self.pass_on(message, inbox);
            }
        };
        let pending = lock(&self.pending).remove(&id);
        if let Some(pending) = pending {
            let _caller_left = pending.reply.send(reply);
        }
    }

    /// Passes on a message that answers no request: to the newest request that wants log messages, or to the inbox.
    fn pass_on(&self, message: Bytes, inbox: &Sender) {
        let is_taken = {
            let pending = lock(&self.pending);
            let open = pending.iter();
            let open = open.filter_map(|(id, pending)| Some((*id, pending.progress.as_deref()?)));
            Progress::beside_newest(open, &message)
        };
        if !is_taken {
            connection::offer(&self.link.endpoint.server, inbox, message);
        }
    }

    async fn post(&self, message: Bytes, trace: Option<&TraceContext>) -> Result<(), RequestError> {
        let headers = trace.map(endpoint::trace_headers).unwrap_or_default();
        let response = self.link.endpoint.send(Method::POST, &self.messages, &headers, message).await;
        let response = response.inspect_err(|error| self.link.heed(error))?;
        if !response.status().is_success() {
            let (reason, body) = self.link.endpoint.refusal(response).await;
            let names_session = name_the_session(&body);
            if names_session && matches!(reason.status, 400 | 401 | 403 | 404 | 410 | 422 | 503) {
                self.link.end.set(CloseReason::SessionLost);
                let ran_nothing = matches!(reason.status, 400 | 404 | 410 | 422);
                return Err(RequestError::SessionLost { ran_nothing });
            }
            // Nothing takes our messages any more, though the stream is open.
            if reason.status == 404 {
                self.link.end.set(CloseReason::Status(reason.clone()));
            }
            return Err(RequestError::Status(reason));
        }
        // The answer itself comes on the stream; what stands here is only read to keep the connection.
        self.link.endpoint.body(response, Principal::ANONYMOUS).await.map(drop)
    }
}

impl Connection for SseConnection {
    fn send(&self, outgoing: OutgoingMessage) -> BoxFuture<'static, Result<(), RequestError>> {
        let this = self.0.clone();
        Box::pin(async move { this.post(outgoing.message, None).await })
    }

    fn respond(&self, answer: Bytes) {
        self.0.link.respond(self.send(OutgoingMessage { message: answer, step: HandshakeStep::Other }));
    }

    fn request<'a>(
        &'a self,
        request: Request<'a>,
        progress: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, RequestError>> {
        Box::pin(async move {
            let this = &self.0;
            let id = this.link.ids.next();
            let (reply, answer) = oneshot::channel();
            lock(&this.pending).insert(id, PendingReply { reply, progress });
            if this.link.end.is_set() {
                lock(&this.pending).remove(&id);
                return Err(RequestError::NotSent(this.link.end.reason()));
            }
            let _open = SseCancelGuard { connection: this, id };
            this.post(Bytes::from(request.encode(id, Era::Sessions)), request.meta.trace).await?;
            match answer.await {
                Ok(reply) => reply,
                Err(_connection_gone) => Err(RequestError::Lost(this.link.end.reason())),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.link.close())
    }

    fn end(&self) -> &CloseSignal {
        &self.0.link.end
    }

    fn era(&self) -> &EraCache {
        &self.0.link.era
    }
}

/// Takes the request off the table, and cancels it at the server when it was still open.
struct SseCancelGuard<'a> {
    connection: &'a Arc<Sse>,
    id: u32,
}

impl Drop for SseCancelGuard<'_> {
    fn drop(&mut self) {
        let was_open = lock(&self.connection.pending).remove(&self.id).is_some();
        if !was_open || self.connection.link.end.is_set() {
            return;
        }
        let connection = self.connection.clone();
        let message = Bytes::from(request::cancelled(self.id));
        self.connection.link.cancel(async move { connection.post(message, None).await });
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
