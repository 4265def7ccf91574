//! The link of one connection: requests of our own, and their cancellation.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use http::header::CONTENT_TYPE;

use super::{FAREWELL, Posted, Streamable, StreamableLink, declared};
use crate::protocol::Era;
use crate::protocol::media_type::{self, EVENT_STREAM};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::{EndReason, LinkError};
use crate::upstream::event_stream::EventStream;
use crate::upstream::exchange;
use crate::upstream::link::{End, Link, Outgoing, Step};
use crate::upstream::message::{self, Reply, Sorted};
use crate::upstream::progress::Progress;
use crate::upstream::request::{self, Request};
use crate::upstream::unpack::AnswerBody;

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
                let era = this.era.current();
                let mut headers = match era {
                    Era::Sessions => Vec::new(),
                    Era::Stateless => declared::headers(&request),
                };
                if let Some(trace) = request.meta.trace {
                    headers.extend(exchange::trace_headers(trace));
                }
                let response = match this.post(request.encode(id, era).into(), headers, Some(id)).await? {
                    Posted::Answer(response) => response,
                    Posted::Error(error) => return Ok(Reply::Error(error)),
                };
                if media_type::is(response.headers(), EVENT_STREAM) {
                    let events =
                        EventStream::new(AnswerBody::of(response)?, &this.exchange.bounds, owner.clone());
                    return this.answer_in_events(id, &owner, events, progress.as_deref()).await;
                }
                let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE).cloned());
                let body = this.exchange.body(response, &owner).await?;
                match message::sort(&body) {
                    Sorted::Result { id: of, range } if of == id => Ok(Reply::Result(body.slice(range))),
                    Sorted::Error { id: of, error } if of == id => Ok(Reply::Error(error)),
                    _ => this
                        .answer_among(id, &body)
                        .ok_or_else(|| this.exchange.no_answer(status, kind.as_ref(), &body)),
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

    fn era(&self) -> &EraCache {
        &self.0.era
    }

    fn mirrors_arguments(&self) -> bool {
        self.0.era.current() == Era::Stateless
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
        let is_told = self.link.era.current() == Era::Stateless;
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
