//! Streams of events: answers to our requests, and messages that a server sends by itself.

use std::time::Duration;

use http::StatusCode;
use tokio::sync::oneshot;

use crate::protocol::media_type::EVENT_STREAM;
use crate::protocol::{Era, json_rpc, media_type, notification};
use crate::shares::Principal;
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::malformed;
use crate::upstream::message::{self, Reply, Sorted};
use crate::upstream::progress::Progress;
use crate::upstream::transport::event_stream::{Event, EventStream};
use crate::upstream::transport::streamable_http::session::StreamableHttp;

/// Waits between tries to listen again; the server's own `retry` comes first.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
const LISTEN_LONGEST: Duration = Duration::from_secs(30);
const LISTEN_SHORTEST: Duration = Duration::from_millis(50);
/// How long the end of an answered stream may take.
const DRAIN: Duration = Duration::from_millis(50);
/// How often a broken answer stream is resumed without anything new coming from it.
const RESUMES: usize = 5;

impl StreamableHttp {
    /// Reads messages that the server sends by itself, for as long as it offers a stream. Signals `tell` when the
    /// first stream is open, or refused.
    pub(super) async fn listen(&self, tell: oneshot::Sender<()>) {
        let mut tell = Some(tell);
        let mut last_id: Option<String> = None;
        let mut wait = LISTEN_AGAIN;
        let mut listened = false;
        let server = &self.link.endpoint.server;
        loop {
            let opened = self.get(last_id.as_deref()).await;
            if let Some(tell) = tell.take() {
                let _nobody_waits = tell.send(());
            }
            match opened {
                Ok(response)
                    if response.status().is_success() && media_type::is(response.headers(), EVENT_STREAM) =>
                {
                    if listened {
                        // Messages in between are lost, perhaps a changed tool list.
                        self.to_inbox(json_rpc::notification(notification::TOOLS_LIST_CHANGED).into());
                    }
                    listened = true;
                    let Ok(mut events) = self.link.endpoint.events(response, Principal::default()) else {
                        return;
                    };
                    while let Ok(Some(Event { data, .. })) = events.next().await {
                        wait = LISTEN_AGAIN;
                        self.to_inbox(data);
                    }
                    last_id = events.last_id().map(str::to_owned).or(last_id);
                    wait = events.retry().unwrap_or(wait).clamp(LISTEN_SHORTEST, LISTEN_LONGEST);
                }
                Ok(response) if is_passing(response.status()) => {
                    let status = response.status().as_u16();
                    tracing::debug!(mcp_server = %server, status, "{server}: its event stream is away: {status}");
                }
                Ok(response) => {
                    let status = response.status().as_u16();
                    // Before the first stream a refusal only says that this path takes no GET.
                    if listened && !self.knows_session().await {
                        self.link.end.set(CloseReason::SessionLost);
                    }
                    // 405: this server does not offer a stream; other refusals are no reason to insist.
                    tracing::debug!(mcp_server = %server, status, "{server} offers no event stream: {status}");
                    return;
                }
                Err(RequestError::NotSent(reason)) => {
                    self.link.end.set(reason);
                    return;
                }
                Err(error) => {
                    tracing::debug!(mcp_server = %server, %error, "{server}: its event stream broke");
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LISTEN_LONGEST);
        }
    }

    /// Reads the answer to request `id` from the events of its POST, resuming the stream if it breaks.
    pub(super) async fn answer_in_events(
        &self,
        id: u32,
        owner: &Principal,
        mut events: EventStream,
        progress: Option<&Progress>,
    ) -> Result<Reply, RequestError> {
        let mut resumes = 0;
        while resumes < RESUMES {
            resumes += 1;
            let mut closed = false;
            loop {
                match events.next().await {
                    Ok(Some(Event { data, .. })) => {
                        resumes = 0;
                        match message::sort(&data) {
                            Sorted::Result { id: of, range } if of == id => {
                                self.drain(events);
                                return Ok(Reply::Result(data.slice(range)));
                            }
                            Sorted::Error { id: of, error } if of == id => {
                                self.drain(events);
                                return Ok(Reply::Error(error));
                            }
                            Sorted::NotJson if malformed::answers(&data) == Some(id) => {
                                self.drain(events);
                                return Err(self.link.endpoint.no_json(&data));
                            }
                            Sorted::Progress { id: of } if of == id => {
                                if let Some(progress) = progress {
                                    progress.report(&data);
                                }
                            }
                            _ if progress.is_some_and(|progress| progress.beside(&data)) => {}
                            _ => self.to_inbox(data),
                        }
                    }
                    Ok(None) => {
                        closed = true;
                        break;
                    }
                    Err(error @ (RequestError::TooLarge { .. } | RequestError::OverBudget { .. })) => {
                        return Err(error);
                    }
                    Err(error) => {
                        let server = &self.link.endpoint.server;
                        tracing::debug!(mcp_server = %server, %error, "{server}: an answer stream broke");
                        break;
                    }
                }
            }
            // Streams cannot be resumed without sessions.
            let last_id = events.last_id().filter(|_| self.link.era.current() == Era::Sessions);
            let Some(last_id) = last_id.map(str::to_owned) else {
                return Err(RequestError::Lost(CloseReason::Broken(
                    "the stream ended before the answer".into(),
                )));
            };
            if let Some(progress) = progress.filter(|_| closed) {
                progress.pause();
            }
            let wait = events.retry().unwrap_or(LISTEN_AGAIN).clamp(LISTEN_SHORTEST, LISTEN_LONGEST);
            tokio::time::sleep(wait).await;
            let response = match self.get(Some(&last_id)).await {
                Ok(response) if response.status().is_success() => response,
                Ok(response) => {
                    return Err(RequestError::Status(self.link.endpoint.refusal(response).await.0));
                }
                // The request itself was sent long ago, and may have been carried out.
                Err(RequestError::NotSent(reason)) => return Err(RequestError::Lost(reason)),
                Err(error) => return Err(error),
            };
            events = self.link.endpoint.events(response, owner.clone())?.resumed(last_id);
        }
        Err(RequestError::Lost(CloseReason::Broken("the answer stream broke too often".into())))
    }

    /// Reads what is left of an answered stream, so that its connection can be used again.
    fn drain(&self, mut events: EventStream) {
        if events.is_at_end() {
            return;
        }
        self.link.tasks.spawn(async move {
            let rest = async { while let Ok(Some(_)) = events.next().await {} };
            let _stream_stays_open = tokio::time::timeout(DRAIN, rest).await;
        });
    }
}

/// Statuses that a proxy or a restarting server gives for a while.
fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}
