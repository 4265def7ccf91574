//! The response to a request during which servers may send messages: JSON or a stream of events.
//!
//! A result that comes first is sent as JSON. Progress, a log message or a question to the client that comes first makes
//! the response a stream of events, with the result as its last event.
//!
//! In a session such a stream outlives its connection: the work continues as a task of its own, and its events are kept
//! for a client that reconnects ([`crate::mcp::session::event_log`]).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use memchr::memmem::Finder;
use serde_json::Value;

use super::fault;
use super::finished::{Finished, Work};
use super::sse::{self, event_text};
use crate::json::{Members, Splices, member, one_line_text};
use crate::mcp::session::event_log::LogWriter;
use crate::mcp::session::state::{OpenStream, Session};
use crate::mcp::state::SharedState;
use crate::memory_budget::{MemoryBudget, Reservation, SMALL};
use crate::protocol::media_type::EVENT_STREAM;
use crate::protocol::notification::PROGRESS;
use crate::protocol::{Era, json_rpc, meta};
use crate::shares::Principal;
use crate::upstream::Progress;
use crate::upstream::message_queue::Receiver;
use crate::upstream::progress::WAITING;

/// The time after which a response becomes a stream before its first message, so that its client can come back to it.
///
/// Most calls are over by then, and are answered by plain JSON.
const WORTH_RESUMING: Duration = Duration::from_millis(50);

/// The response to one request in progress.
pub struct ResponseStream {
    /// The id of the request, as JSON text.
    id: String,
    work: Work,
    /// Messages that come before the result.
    messages: Receiver,
    /// The client's token for the request's progress.
    token: Option<Value>,
    /// Set in a session, whose streams can be resumed.
    resumable: Option<Resumable>,
    /// The end of the work, with the number of messages that may still go before its result.
    finished: Option<(Finished, usize)>,
    /// The memory budget for results and the owner of a share in it, for a large last message.
    results: Option<(MemoryBudget, Principal)>,
}

/// The session and the progress of a stream that can be resumed.
pub struct Resumable {
    pub session: Arc<Session>,
    pub progress: Arc<Progress>,
    pub shared: Arc<SharedState>,
}

enum Piece {
    Message(String),
    Finished(Finished),
}

/// The client's token, if it asks for progress.
pub fn progress_token(params: &str) -> Option<Value> {
    // Most requests have no token, and are not parsed for it.
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"progressToken\""));
    NAME.find(params.as_bytes())?;
    let meta: Members<'_> = member(params, "_meta")?;
    // A list or an object would be a tree of many times its size.
    meta.get(meta::PROGRESS_TOKEN).filter(|token| !token.get().starts_with(['[', '{']))?;
    let token: Value = meta.read(meta::PROGRESS_TOKEN)?;
    (token.is_string() || token.is_number()).then_some(token)
}

/// Whether the client can be sent a stream.
pub fn takes_events(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains(EVENT_STREAM))
}

impl ResponseStream {
    /// The response to the request `id` (JSON text); `token` is the client's token for its progress.
    pub fn new(
        id: &str,
        work: Work,
        messages: Receiver,
        token: Option<Value>,
        resumable: Option<Resumable>,
        results: Option<(MemoryBudget, Principal)>,
    ) -> Self {
        Self { id: id.to_owned(), work, messages, token, resumable, finished: None, results }
    }

    /// Waits for the first piece, and responds.
    pub async fn respond(mut self) -> Response {
        let is_primed = self.resumable.as_ref().is_some_and(|resumable| resumable.session.is_primed());
        let first = if is_primed {
            tokio::time::timeout(WORTH_RESUMING, self.next()).await.ok()
        } else {
            Some(self.next().await)
        };
        let first = match (first, &self.resumable) {
            (Some(Piece::Finished(Finished::Result(result))), _) => return fault::result(&self.id, &result),
            (Some(Piece::Finished(Finished::Fault(fault))), resumable) => {
                let era = if resumable.is_some() { Era::Sessions } else { Era::Stateless };
                return fault.response_in(era, Some(&self.id));
            }
            (Some(Piece::Finished(Finished::Cancelled)), _) => return StatusCode::ACCEPTED.into_response(),
            (Some(Piece::Message(first)), _) => Some(first),
            (None, _) => None,
        };
        if let Some(resumable) = self.resumable.take() {
            let session = &resumable.session;
            let (log, reader) = session.event_logs.open(session.is_primed());
            if let Some(first) = first {
                log.push(first);
            }
            let events = reader.events(session.stream());
            let open = session.stream();
            resumable.shared.tasks.clone().spawn(self.record(log, open, resumable));
            return sse::written(events);
        }
        let rest = RemainingStream { first, streamed: Some(self), _share: None };
        sse::respond(stream::unfold(rest, async |mut rest| {
            let text = rest.next().await?;
            Some((Ok::<_, Infallible>(Event::default().event("message").data(text)), rest))
        }))
    }

    /// Runs the request with or without a reader, and cancels it after too long without one.
    async fn record(mut self, log: LogWriter, open: OpenStream, resumable: Resumable) {
        let Resumable { session, progress, shared } = resumable;
        let last = {
            let mut abandoned = pin!(log.abandoned(&shared.closing));
            loop {
                tokio::select! {
                    biased;
                    () = &mut abandoned => return,
                    // The server closed its stream to let the gateway poll, and the gateway does the same to its client.
                    () = progress.paused(), if session.is_primed() => log.hang_up(),
                    piece = self.next() => match piece {
                        Piece::Message(text) => log.push(text),
                        Piece::Finished(finished) => break self.last(&finished),
                    },
                }
            }
        };
        if let Some(share) = self.share(last.as_deref()) {
            log.hold(share);
        }
        let room = self.results.take();
        drop((self, session, progress, open));
        log.finish(last, room.as_ref(), &shared.closing).await;
    }

    async fn next(&mut self) -> Piece {
        while self.finished.is_none() {
            tokio::select! {
                // The work first: messages without end do not keep it from its result, or its deadline.
                biased;
                finished = &mut self.work => self.finished = Some((finished, WAITING)),
                Some(message) = self.messages.recv() => {
                    if let Some(text) = self.shown(&message) {
                        return Piece::Message(text);
                    }
                }
            }
        }
        // Messages that came before the result go before it.
        while let Some((_, left)) = &mut self.finished
            && *left > 0
            && let Some(message) = self.messages.try_recv()
        {
            *left -= 1;
            if let Some(text) = self.shown(&message) {
                return Piece::Message(text);
            }
        }
        let (finished, _) = self.finished.take().expect("nothing else takes it");
        Piece::Finished(finished)
    }

    /// A message as the client is to see it; progress has the client's token, and is left out without one.
    fn shown(&self, message: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(message).ok()?;
        if memchr::memmem::find(message, PROGRESS.as_bytes()).is_some() {
            let notification: Members<'_> = serde_json::from_str(text).ok()?;
            if notification.get("method").is_some_and(|method| method.get().trim_matches('"') == PROGRESS) {
                let params: Members<'_> = notification.read("params")?;
                let theirs = params.get(meta::PROGRESS_TOKEN)?;
                let ours = self.token.as_ref()?.to_string();
                let mut splices = Splices::new(text);
                splices.set_json(theirs, ours);
                return Some(one_line_text(splices.applied().into_owned()));
            }
        }
        Some(one_line_text(text.to_owned()))
    }

    fn share(&self, last: Option<&str>) -> Option<Reservation> {
        let (results, owner) = self.results.as_ref()?;
        last.filter(|last| last.len() > SMALL).map(|last| results.reserve_now(owner, last.len()))
    }

    fn last(&self, finished: &Finished) -> Option<String> {
        match finished {
            Finished::Result(result) => event_text(&json_rpc::result(&self.id, result)),
            Finished::Fault(fault) => event_text(&fault.text(Some(&self.id))),
            Finished::Cancelled => None,
        }
    }
}

/// The rest of a response that is a stream.
struct RemainingStream {
    first: Option<String>,
    streamed: Option<ResponseStream>,
    /// The share of the last message, held until the client has taken it.
    _share: Option<Reservation>,
}

impl RemainingStream {
    /// The next message; `None` after the result.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        match self.streamed.as_mut()?.next().await {
            Piece::Message(text) => Some(text),
            Piece::Finished(finished) => {
                let streamed = self.streamed.take()?;
                let last = streamed.last(&finished);
                self._share = streamed.share(last.as_deref());
                last
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use bytes::Bytes;

    use super::*;
    use crate::upstream::progress::queue;

    #[tokio::test]
    async fn messages_without_end_do_not_hold_up_the_result() {
        let (send, messages) = queue();
        let mut left = 3;
        let work = std::future::poll_fn(move |context| {
            context.waker().wake_by_ref();
            left -= 1;
            if left == 0 { Poll::Ready(Finished::Cancelled) } else { Poll::Pending }
        });
        let mut streamed = ResponseStream::new("1", Box::pin(work), messages, None, None, None);
        for _ in 0..=3 + WAITING {
            let _full = send.offer(Bytes::from_static(b"{}"));
            if matches!(streamed.next().await, Piece::Finished(_)) {
                return;
            }
        }
        panic!("the result does not come");
    }
}
