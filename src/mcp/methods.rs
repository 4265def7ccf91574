//! From a method's name to who answers it, in both eras.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;

use super::answer::{self, Fault};
use super::client::Answer;
use super::era;
use super::header_params;
use super::message::{Message, Reply};
use super::parked::{Ends, Owner};
use super::place::Place;
use super::session::Session;
use super::stateless::Declared;
use super::streamed::{self, Finished, Resumable, Streamed};
use super::way::Way;
use super::{Mcp, others};
use crate::catalog::Caller;
use crate::gateway::{self, EarlyPermit};
use crate::json::Members;
use crate::memory_budget::Reservation;
use crate::protocol::header::PROTOCOL_VERSION;
use crate::protocol::revision::WITH_SESSIONS;
use crate::protocol::{Era, method, notification};
use crate::upstream::message_queue::Sender;
use crate::upstream::progress::queue;
use crate::upstream::{ClientSide, MessageHandler, Progress};

/// Requests during which a server may have something to say to the client.
const HEARING: [&str; 5] = [
    method::TOOLS_CALL,
    method::TOOLS_LIST,
    method::PROMPTS_GET,
    method::RESOURCES_READ,
    method::COMPLETION_COMPLETE,
];

/// A request as all methods see it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub head: &'a Parts,
    pub caller: &'a Caller,
    pub place: &'a Place,
    pub large: &'a Large,
}

/// What a request whose body is not small holds until all work on it is over: a turn to call, and its share of the room.
#[derive(Debug, Clone, Default)]
pub struct Large {
    pub turn: EarlyPermit,
    pub _share: Option<Arc<Reservation>>,
}

impl Asked<'_> {
    /// The same for work that outlives the request's own task.
    fn owned(&self) -> Owned {
        let (caller, place) = (self.caller.clone(), self.place.clone());
        Owned { head: self.head.clone(), caller, place, large: self.large.clone() }
    }
}

struct Owned {
    head: Parts,
    caller: Caller,
    place: Place,
    large: Large,
}

impl Owned {
    fn asked(&self) -> Asked<'_> {
        Asked { head: &self.head, caller: &self.caller, place: &self.place, large: &self.large }
    }
}

impl From<Result<Bytes, Fault>> for Finished {
    fn from(outcome: Result<Bytes, Fault>) -> Self {
        match outcome {
            Ok(result) => Self::Result(result),
            Err(fault) => Self::Fault(fault),
        }
    }
}

impl Mcp {
    /// Answers a message of a session.
    pub(super) async fn in_session(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        session: &Arc<Session>,
        message: &Message<'_>,
    ) -> Response {
        let revision = asked.head.headers.get(PROTOCOL_VERSION).map(HeaderValue::as_bytes);
        if revision.is_some_and(|revision| !WITH_SESSIONS.iter().any(|known| known.as_bytes() == revision)) {
            let fault =
                Fault::invalid_request("the header MCP-Protocol-Version names no revision with sessions");
            if let Message::Request { method, params, .. } = message {
                self.note_refusal(asked, method, params, &fault);
            }
            return fault.at(answer::Status::Always(StatusCode::BAD_REQUEST)).response(message.id());
        }
        match message {
            Message::Request { id, method, params } => {
                self.request_in_session(asked, session, id, method, params).await
            }
            Message::Notification { method, params } => {
                if method == notification::CANCELLED
                    && let Ok(cancelled) = serde_json::from_str::<notification::Cancelled<'_>>(params)
                {
                    session.cancel(cancelled.request_id.get());
                }
                StatusCode::ACCEPTED.into_response()
            }
            Message::Response { id, answer } => {
                let answer = match answer {
                    Reply::Result(text) => Answer::Result((*text).into()),
                    Reply::Error(text) => Answer::Error((*text).into()),
                };
                session.client().answered(id, answer);
                StatusCode::ACCEPTED.into_response()
            }
        }
    }

    async fn request_in_session(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        session: &Arc<Session>,
        id: &str,
        method: &str,
        params: &str,
    ) -> Response {
        let request = session.request(id);
        let client = session.client();
        let token = streamed::progress_token(params);
        let side = client.side();
        let is_plain = token.is_none() && side.is_none();
        if is_plain || !HEARING.contains(&method) || !streamed::takes_events(&asked.head.headers) {
            let performed = async {
                match method {
                    method::LOGGING_SET_LEVEL => Box::pin(self.set_log_level(asked, session, params)).await,
                    method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                        Box::pin(self.follow_resource(asked, session, method, params)).await
                    }
                    method::TOOLS_LIST => {
                        let hearing: Arc<dyn MessageHandler> = client.clone();
                        let client = side.map(|side| gateway::Client { side, hearing });
                        self.perform(asked, method, params, &Way { client, ..Way::plain(Era::Sessions) })
                            .await
                    }
                    _ => self.perform(asked, method, params, &Way::plain(Era::Sessions)).await,
                }
            };
            return match request.cancelled.run_until_cancelled(performed).await {
                Some(Ok(result)) => answer::result(id, &result),
                Some(Err(fault)) => fault.response_in_session(id),
                // Whoever cancels expects no answer.
                None => StatusCode::ACCEPTED.into_response(),
            };
        }
        let (to, messages) = queue();
        // As it was when the connection was chosen.
        let passes_log = side.as_ref().is_some_and(|side| side.log_level.is_some());
        let progress = Arc::new(Progress::passed_on(to.clone(), token.is_some(), passes_log));
        let open = client.request(to);
        let hearing: Arc<dyn MessageHandler> = client.clone();
        let (session, shared) = (session.clone(), self.shared.clone());
        let resumable = Some(Resumable { session, progress: progress.clone(), shared });
        let way = Way {
            era: Era::Sessions,
            progress: Some(progress),
            client: side.map(|side| gateway::Client { side, hearing }),
            session: Some(client.clone()),
            called: None,
        };
        let (owned, this) = (asked.owned(), self.clone());
        let (method, params) = (method.to_owned(), params.to_owned());
        let work = async move {
            let _open = open;
            let asked = owned.asked();
            let performed = this.perform(&asked, &method, &params, &way);
            match request.cancelled.run_until_cancelled(performed).await {
                Some(outcome) => outcome.into(),
                None => Finished::Cancelled,
            }
        };
        let streamed = Streamed::new(id, Box::pin(work), messages, token, resumable);
        streamed.among(self.gateway.results(), &asked.caller.key_name).respond().await
    }

    /// Answers a message that declares itself.
    pub(super) async fn stateless(
        self: &Arc<Self>,
        asked: &Asked<'_>,
        declared: &Declared,
        message: &Message<'_>,
    ) -> Response {
        let Message::Request { id, method, params } = message else {
            return StatusCode::ACCEPTED.into_response();
        };
        if method == method::SUBSCRIPTIONS_LISTEN {
            let alike = declared.side(asked.caller).map(|side| side.alike);
            return self.listen(asked, alike, id, params);
        }
        let token = streamed::progress_token(params);
        let side = declared.side(asked.caller);
        let is_plain = token.is_none() && side.is_none();
        if is_plain || !HEARING.contains(&&**method) || !streamed::takes_events(&asked.head.headers) {
            let own =
                side.filter(|_| method == method::TOOLS_LIST).map(|side| self.shared.parked.place(&side));
            let (_place, client) = match own {
                Some((place, side)) => {
                    let hearing = Ends::new(false, false).hearing;
                    (Some(place), Some(gateway::Client { side, hearing }))
                }
                None => (None, None),
            };
            let way = Way { client, ..Way::plain(Era::Stateless) };
            return match self.perform(asked, method, params, &way).await {
                Ok(result) => answer::result(id, &era::completed(method, result, self.is_open())),
                Err(fault) => fault.response(Some(id)),
            };
        }
        let (to, messages) = queue();
        let (owned, this) = (asked.owned(), self.clone());
        let (method, params) = (method.clone().into_owned(), (*params).to_owned());
        let asks_progress = token.is_some();
        let work = async move { this.work(owned, method, params, side, asks_progress, to).await };
        let streamed = Streamed::new(id, Box::pin(work), messages, token, None);
        streamed.among(self.gateway.results(), &asked.caller.key_name).respond().await
    }

    /// Works on a request without a session, or on with one that waits for what its client was asked.
    async fn work(
        self: Arc<Self>,
        owned: Owned,
        method: String,
        params: String,
        side: Option<ClientSide>,
        asks_progress: bool,
        to: Sender,
    ) -> Finished {
        let (parked, closing) = (self.shared.parked.clone(), self.shared.closing.clone());
        let members: Members<'_> = serde_json::from_str(&params).unwrap_or_default();
        let endpoint = owned.place.server().unwrap_or_default();
        let owner = Owner::new(&owned.caller, endpoint, &method, &members);
        let state =
            members.get("requestState").and_then(|state| serde_json::from_str::<String>(state.get()).ok());
        if let Some(state) = state.filter(|state| parked.knows(state)) {
            if let Some(tool) = parked.tool_of(&owner, &state) {
                let arguments = members.get("arguments").map_or("{}", RawValue::get);
                let (whose, headers) = (owned.caller.owner(endpoint), &owned.head.headers);
                let checked = header_params::check(whose, headers, &tool.header_params, arguments).await;
                if let Err(fault) = checked {
                    self.note_refusal(&owned.asked(), &method, &params, &fault);
                    return Finished::Fault(fault);
                }
            }
            let answers =
                members.get("inputResponses").and_then(|answers| serde_json::from_str(answers.get()).ok());
            let running = match parked.resume(&owner, &state, &answers.unwrap_or_default()) {
                Ok(running) => running,
                Err(fault) => {
                    self.note_refusal(&owned.asked(), &method, &params, &fault);
                    return Finished::Fault(fault);
                }
            };
            if running.is_waiting() {
                return parked.park(owner, running, &closing);
            }
            return parked.work(owner, running, to, &closing).await;
        }
        let passes_log = side.as_ref().is_some_and(|side| side.log_level.is_some());
        let ends = Ends::new(asks_progress, passes_log);
        let (place, client) = match side.map(|side| parked.place(&side)) {
            Some((place, side)) => {
                (Some(place), Some(gateway::Client { side, hearing: ends.hearing.clone() }))
            }
            None => (None, None),
        };
        let (progress, called) = (Some(ends.progress.clone()), Some(ends.called.clone()));
        let way = Way { era: Era::Stateless, progress, client, session: None, called };
        let this = self.clone();
        let work = async move {
            let _place = place;
            let asked = owned.asked();
            match this.perform(&asked, &method, &params, &way).await {
                Ok(result) => Finished::Result(era::completed(&method, result, this.is_open())),
                Err(fault) => Finished::Fault(fault),
            }
        };
        parked.work(owner, ends.running(Box::pin(work)), to, &closing).await
    }

    async fn perform(
        &self,
        asked: &Asked<'_>,
        method: &str,
        params: &str,
        way: &Way,
    ) -> Result<Bytes, Fault> {
        match (method, way.era) {
            // In boxes: what waits for the answer is as large as the largest of them, and is moved a few times.
            (method::TOOLS_CALL, _) => Box::pin(self.call(asked, params, way)).await,
            (method::TOOLS_LIST, _) => Box::pin(self.list_tools(asked, way)).await,
            (method::PING, Era::Sessions) => Ok(Bytes::from_static(b"{}")),
            (method::SERVER_DISCOVER, Era::Stateless) => Ok(Box::pin(self.discover(asked)).await),
            _ if others::METHODS.contains(&method) => Box::pin(self.other(asked, method, params, way)).await,
            _ => Err(Fault::method_not_found(method)),
        }
    }
}
