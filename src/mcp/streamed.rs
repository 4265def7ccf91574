//! The answer to a request that may have more to say than its result: what comes first decides. A result alone is sent
//! as JSON; progress, a log message or a question to the client makes it a stream of events, the result its last.
//!
//! In a session such a stream outlives the connection that brings it: its work goes on as a task of its own, and what it
//! says is kept for a client that comes back ([`super::replay`]).

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer::{self, Fault};
use super::replay::{Recording, Replay};
use super::session::Session;
use super::shared::Shared;
use super::stream::respond as respond_events;
use crate::json::{Members, Splices, one_line_text};
use crate::memory_budget::{BudgetOwner, MemoryBudget, Reservation, SMALL};
use crate::protocol::media_type::EVENT_STREAM;
use crate::protocol::notification::PROGRESS;
use crate::protocol::{json_rpc, meta};
use crate::upstream::Progress;
use crate::upstream::message_queue::Receiver;
use crate::upstream::progress::WAITING;

/// Most calls are over by then, and are answered by plain JSON. What takes longer becomes a stream before it says
/// anything, so that its client can come back to it.
const WORTH_RESUMING: Duration = Duration::from_millis(50);

/// What became of a request.
#[derive(Debug)]
pub enum Finished {
    Result(Bytes),
    Fault(Fault),
    /// Whoever cancels expects no answer.
    Cancelled,
}

/// The work on a request. Dropping it cancels the request at its server.
pub type Work = Pin<Box<dyn Future<Output = Finished> + Send>>;

/// One request's answer in the making.
pub struct Streamed {
    /// The id of the request, as JSON text.
    id: String,
    work: Work,
    /// What comes before the result.
    messages: Receiver,
    /// The name that the client gave to the request's progress.
    token: Option<Value>,
    /// What a stream that can be resumed needs; in the stateless era there is none.
    resumable: Option<Resumable>,
    /// Once the work is done, with the number of messages that may still go before its result.
    finished: Option<(Finished, usize)>,
    /// What a large last message has a share of, and whose it is.
    results: Option<(MemoryBudget, BudgetOwner)>,
}

/// Where a stream that can be resumed belongs.
pub struct Resumable {
    pub session: Arc<Session>,
    pub progress: Arc<Progress>,
    pub shared: Arc<Shared>,
}

enum Piece {
    Message(String),
    Finished(Finished),
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    progress_token: Option<&'a RawValue>,
}

/// The name under which the client wants to hear of progress, if it does.
pub fn progress_token(params: &str) -> Option<Value> {
    // Most requests have none, and need not be looked through for it.
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"progressToken\""));
    NAME.find(params.as_bytes())?;
    let params: Params<'_> = serde_json::from_str(params).ok()?;
    // A list or an object would be a tree of many times its size.
    let token = params.meta?.progress_token.filter(|token| !token.get().starts_with(['[', '{']))?;
    let token: Value = serde_json::from_str(token.get()).ok()?;
    (token.is_string() || token.is_number()).then_some(token)
}

/// Whether the client can be sent a stream.
pub fn takes_events(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains(EVENT_STREAM))
}

impl Streamed {
    /// The answer to the request `id` (JSON text). `token` is the client's own name for its progress, `resumable` what a
    /// stream that can be resumed needs.
    pub fn new(
        id: &str,
        work: Work,
        messages: Receiver,
        token: Option<Value>,
        resumable: Option<Resumable>,
    ) -> Self {
        Self { id: id.to_owned(), work, messages, token, resumable, finished: None, results: None }
    }

    /// The same, whose last message has its share of `results` for as long as it is in memory.
    #[must_use]
    pub fn among(self, results: &MemoryBudget, owner: &BudgetOwner) -> Self {
        Self { results: Some((results.clone(), owner.clone())), ..self }
    }

    /// Waits for the first piece of the answer, and answers.
    pub async fn respond(mut self) -> Response {
        let is_primed = self.resumable.as_ref().is_some_and(|resumable| resumable.session.is_primed());
        let first = if is_primed {
            tokio::time::timeout(WORTH_RESUMING, self.next()).await.ok()
        } else {
            Some(self.next().await)
        };
        let first = match (first, &self.resumable) {
            (Some(Piece::Finished(Finished::Result(result))), _) => return answer::result(&self.id, &result),
            (Some(Piece::Finished(Finished::Fault(fault))), None) => return fault.response(Some(&self.id)),
            (Some(Piece::Finished(Finished::Fault(fault))), Some(_)) => {
                return fault.response_in_session(&self.id);
            }
            (Some(Piece::Finished(Finished::Cancelled)), _) => return StatusCode::ACCEPTED.into_response(),
            (Some(Piece::Message(first)), _) => Some(first),
            (None, _) => None,
        };
        if let Some(resumable) = self.resumable.take() {
            let (recording, reader) = Replay::open(&resumable.session);
            if let Some(first) = first {
                recording.push(first);
            }
            resumable.shared.tasks.clone().spawn(self.record(recording, resumable));
            return reader.respond();
        }
        let rest = Rest { first, streamed: Some(self), _share: None };
        respond_events(stream::unfold(rest, async |mut rest| {
            let text = rest.next().await?;
            Some((Ok::<_, Infallible>(Event::default().event("message").data(text)), rest))
        }))
    }

    /// Works on, whether or not somebody reads what comes; when nobody has for too long, the request is cancelled.
    async fn record(mut self, recording: Recording, resumable: Resumable) {
        let Resumable { session, progress, shared } = resumable;
        let last = {
            let mut abandoned = pin!(recording.abandoned(&shared.closing));
            loop {
                tokio::select! {
                    biased;
                    () = &mut abandoned => return,
                    // What the server wants of its client, ours can do as well.
                    () = progress.paused(), if session.is_primed() => recording.hang_up(),
                    piece = self.next() => match piece {
                        Piece::Message(text) => recording.push(text),
                        Piece::Finished(finished) => break self.last(&finished),
                    },
                }
            }
        };
        if let Some(share) = self.share(last.as_deref()) {
            recording.hold(share);
        }
        let room = self.results.take();
        drop((self, session, progress));
        recording.finish(last, room.as_ref(), &shared.closing).await;
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
        // What was said before the result goes before it.
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

    /// A message as the client is to see it: progress under the name that it gave, or not at all when it gave none.
    fn shown(&self, message: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(message).ok()?;
        if memchr::memmem::find(message, PROGRESS.as_bytes()).is_some() {
            let notification: Members<'_> = serde_json::from_str(text).ok()?;
            if notification.get("method").is_some_and(|method| method.get().trim_matches('"') == PROGRESS) {
                let params: Members<'_> = serde_json::from_str(notification.get("params")?.get()).ok()?;
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

/// What is left of an answer that is a stream.
struct Rest {
    first: Option<String>,
    streamed: Option<Streamed>,
    /// Of the last message: what comes after it is asked for once the client has taken it.
    _share: Option<Reservation>,
}

impl Rest {
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

/// A message as the text of an event, whose line a line break would end.
pub fn event_text(message: &[u8]) -> Option<String> {
    std::str::from_utf8(message).ok().map(|text| one_line_text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

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
        let mut streamed = Streamed::new("1", Box::pin(work), messages, None, None);
        for _ in 0..=3 + WAITING {
            let _full = send.offer(Bytes::from_static(b"{}"));
            if matches!(streamed.next().await, Piece::Finished(_)) {
                return;
            }
        }
        panic!("the result does not come");
    }
}
