//! A call whose client wants to hear of its progress: the answer is a stream of events, the result its last.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::Response;
use axum::response::sse::Event;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use super::Mcp;
use super::answer;
use super::methods::{Asked, Era};
use super::session::InFlight;
use super::stream::respond;
use crate::upstream::Progress;
use crate::upstream::progress::WAITING;

/// What a stream of one call holds; dropping it cancels the call.
struct Streamed {
    call: Option<Pin<Box<dyn Future<Output = Bytes> + Send>>>,
    progress: mpsc::Receiver<Bytes>,
    token: Value,
}

#[derive(Deserialize)]
struct Params {
    #[serde(rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    progress_token: Option<Value>,
}

/// The token under which the client wants to hear of progress, if it does and can be sent a stream.
pub fn progress_token(headers: &HeaderMap, params: &str) -> Option<Value> {
    // Most calls have none, and need not be looked through for it.
    memchr::memmem::find(params.as_bytes(), b"\"progressToken\"")?;
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/event-stream")).then_some(())?;
    let params: Params = serde_json::from_str(params).ok()?;
    params.meta?.progress_token.filter(|token| token.is_string() || token.is_number())
}

impl Mcp {
    /// Answers `tools/call` with a stream. `request` is the one that a session took note of.
    pub(super) fn call_in_events(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        era: Era,
        id: &str,
        params: &str,
        token: Value,
        request: Option<InFlight>,
    ) -> Response {
        let (sender, progress) = mpsc::channel(WAITING);
        let (head, caller, place) = (asked.head.clone(), asked.caller.clone(), asked.place.clone());
        let (this, id, params) = (self.clone(), id.to_owned(), params.to_owned());
        let call = async move {
            let asked = Asked { head: &head, caller: &caller, place: &place };
            let progress = Arc::new(Progress::passed_on(sender));
            let called = this.call(&asked, &params, Some(&progress));
            let outcome = match &request {
                Some(request) => request.cancelled.run_until_cancelled(called).await,
                None => Some(called.await),
            };
            match outcome {
                Some(Ok(result)) => {
                    answer::result_text(&id, &era.completed("tools/call", result, this.is_open()))
                }
                Some(Err(fault)) => fault.text(Some(&id)),
                // Whoever cancels expects no answer: the stream just ends.
                None => Bytes::new(),
            }
        };
        let streamed = Streamed { call: Some(Box::pin(call)), progress, token };
        respond(stream::unfold(streamed, async |mut streamed| {
            let text = streamed.next().await?;
            Some((Ok::<_, Infallible>(Event::default().event("message").data(text)), streamed))
        }))
    }
}

impl Streamed {
    /// The next message; `None` after the result.
    async fn next(&mut self) -> Option<String> {
        loop {
            let call = self.call.as_mut()?;
            let answer = tokio::select! {
                // Progress first: it came before the result.
                biased;
                Some(notification) = self.progress.recv() => {
                    match self.renamed(&notification) {
                        Some(text) => return Some(text),
                        None => continue,
                    }
                }
                answer = call => answer,
            };
            self.call = None;
            let text = String::from_utf8_lossy(&answer).replace(['\n', '\r'], " ");
            return (!text.is_empty()).then_some(text);
        }
    }

    /// The server's notification under the token of the client.
    fn renamed(&self, notification: &[u8]) -> Option<String> {
        let mut notification: Value = serde_json::from_slice(notification).ok()?;
        *notification.get_mut("params")?.get_mut("progressToken")? = self.token.clone();
        Some(notification.to_string())
    }
}
