//! Requests over one connection, and their cancellation.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use http::header::CONTENT_TYPE;

use crate::protocol::media_type::EVENT_STREAM;
use crate::protocol::{Era, media_type};
use crate::upstream::connection::{CloseSignal, Connection, HandshakeStep, OutgoingMessage};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::message::{self, Reply, Sorted};
use crate::upstream::progress::Progress;
use crate::upstream::request::{self, Request};
use crate::upstream::transport::http::endpoint;
use crate::upstream::transport::http::link::LAST_MESSAGE_LIMIT;
use crate::upstream::transport::streamable_http::request_headers;
use crate::upstream::transport::streamable_http::session::{Posted, StreamableHttp};

/// One connection. It owns the shared state through an `Arc`, so that tasks and cancellations can outlive a caller.
pub(super) struct StreamableConnection(pub(super) Arc<StreamableHttp>);

impl Connection for StreamableConnection {
    fn send(&self, outgoing: OutgoingMessage) -> BoxFuture<'static, Result<(), RequestError>> {
        Box::pin(self.0.clone().send(outgoing))
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
            if this.link.end.is_set() {
                return Err(RequestError::NotSent(this.link.end.reason()));
            }
            let (id, owner) = (this.link.ids.next(), request.meta.owner.clone());
            let mut open = HttpCancelGuard { connection: this, id, answered: request.meta.quiet };
            let reply = async {
                let era = this.link.era.current();
                let mut headers = match era {
                    Era::Sessions => Vec::new(),
                    Era::Stateless => request_headers::headers(&request),
                };
                if let Some(trace) = request.meta.trace {
                    headers.extend(endpoint::trace_headers(trace));
                }
                let response = match this.post(request.encode(id, era).into(), headers, Some(id)).await? {
                    Posted::Answer(response) => response,
                    Posted::Error(error) => return Ok(Reply::Error(error)),
                };
                if media_type::is(response.headers(), EVENT_STREAM) {
                    let events = this.link.endpoint.events(response, owner.clone())?;
                    return this.answer_in_events(id, &owner, events, progress.as_deref()).await;
                }
                let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
                let body = this.link.endpoint.body(response, &owner).await?;
                match message::sort(&body) {
                    Sorted::Result { id: of, range } if of == id => Ok(Reply::Result(body.slice(range))),
                    Sorted::Error { id: of, error } if of == id => Ok(Reply::Error(error)),
                    _ => this
                        .answer_among(id, &body)
                        .ok_or_else(|| this.link.endpoint.no_answer(status, kind.as_ref(), &body)),
                }
            };
            let mut reply = reply.await;
            if let Ok(Reply::Error(error)) = &reply
                && let Some(lost) = this.lost_by_error(error).await
            {
                reply = Err(lost);
            }
            open.answered = true;
            reply
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let this = &self.0;
            this.link.end.set(CloseReason::Stopping);
            let session = this.session.swap(None);
            if let Some(session) = session.filter(|session| session.has_id)
                && matches!(this.link.end.reason(), CloseReason::Stopping)
            {
                let url = this.link.endpoint.url();
                let deleting = this.link.endpoint.send(Method::DELETE, &url, &session.headers, Bytes::new());
                if !matches!(tokio::time::timeout(LAST_MESSAGE_LIMIT, deleting).await, Ok(Ok(_))) {
                    let server = &this.link.endpoint.server;
                    tracing::debug!(mcp_server = %server, "the end of the session could not be sent to {server}");
                }
            }
            this.link.close().await;
        })
    }

    fn end(&self) -> &CloseSignal {
        &self.0.link.end
    }

    fn era(&self) -> &EraCache {
        &self.0.link.era
    }

    fn mirrors_arguments(&self) -> bool {
        self.0.link.era.current() == Era::Stateless
    }
}

/// Cancels the request when its caller goes away before the answer.
struct HttpCancelGuard<'a> {
    connection: &'a Arc<StreamableHttp>,
    id: u32,
    answered: bool,
}

impl Drop for HttpCancelGuard<'_> {
    fn drop(&mut self) {
        // Without sessions, the end of the answer's stream says it (2026-07-28, streamable HTTP, "Cancellation").
        let ends_by_stream = self.connection.link.era.current() == Era::Stateless;
        if self.answered || self.connection.link.end.is_set() || ends_by_stream {
            return;
        }
        let connection = self.connection.clone();
        let message = Bytes::from(request::cancelled(self.id));
        self.connection.link.cancel(async move { connection.post(message, Vec::new(), None).await });
    }
}
