//! MCP over streamable HTTP, for clients: all servers behind one endpoint, and each behind its own.
//!
//! | endpoint | what |
//! |---|---|
//! | `POST /mcp` | one JSON-RPC message; tools and prompts of all servers as `{server}_{name}`, resources as `mcpo://{server}/{URI}` |
//! | `POST /{server}/mcp` | the same for one server, with its own names, its resources, prompts and completion |
//! | `GET` | the stream of a session: the server's list changes; with `Last-Event-ID`, the rest of an answer |
//! | `DELETE` | ends a session |
//!
//! `?profile=NAME` on each of them shows a client what the profile of that name chooses ([`profile`]).
//!
//! Both eras of the protocol are served on the same paths. A client that opens with `initialize` gets a session
//! (revisions 2024-11-05 to 2025-11-25, [`sessions`]); one that declares revision 2026-07-28 with each request needs
//! none ([`stateless`]).
//!
//! The wire is handled here and not by rmcp's server: what a server sent travels as its own bytes, and rmcp's types
//! would drop what they do not know (`execution` and vendor keys of tools, content of kinds to come) and cost more
//! than all the rest of a call.

mod all;
mod answer;
mod calls;
mod client;
mod entries;
mod era;
mod events_alone;
mod extensions;
mod handshake;
mod header_params;
mod message;
mod methods;
mod others;
mod own_tools;
mod parked;
mod place;
mod profile;
mod replay;
mod result;
mod rounds;
pub mod session;
mod sessions;
mod shared;
mod stateless;
mod stream;
mod streamed;
mod tool_lists;
mod way;
mod wishes;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};

use crate::catalog::Caller;
use crate::compute;
use crate::config::{Config, Shares};
use crate::gateway::{EarlyPermit, Gateway};
use crate::http::path_prefix::PathPrefix;
use crate::http::{Access, BodyBudget, KeyName, Keys, Problem, read_body_if, until_taken};
use crate::protocol::header::PROTOCOL_VERSION;
use crate::protocol::header::SESSION_ID;
use crate::protocol::media_type;
use crate::protocol::method;
use crate::protocol::revision::STATELESS;
use all::prompts::PromptNames;
pub use answer::refused;
use answer::{Fault, Status};
use message::Message;
use methods::{Asked, Large};
pub use place::Place;
use session::Session;
pub use shared::Shared;

/// The face under one configuration.
#[derive(Debug)]
pub struct Mcp {
    gateway: Arc<Gateway>,
    keys: Arc<Keys>,
    config: Arc<Config>,
    prefixes: PathPrefix,
    room: BodyBudget,
    shared: Arc<Shared>,
    prompts: PromptNames,
    /// What each caller may hold.
    shares: Shares,
}

impl Mcp {
    /// `shared` outlives configurations: sessions go on across a reload.
    pub fn new(
        gateway: Arc<Gateway>,
        keys: Arc<Keys>,
        config: Arc<Config>,
        room: BodyBudget,
        shared: Arc<Shared>,
    ) -> Self {
        let prefixes = PathPrefix::new(&config.listen);
        let prompts = PromptNames::new(gateway.catalog_builder().namespace().clone());
        let shares = config.shares();
        Self { gateway, keys, config, prefixes, room, shared, prompts, shares }
    }

    /// Answers a request to `place`, which its path was found to be. Who calls is settled before the body is read.
    pub async fn answer(self: Arc<Self>, request: Request<Body>, place: Place) -> Response {
        let (head, body) = request.into_parts();
        let timer = self.gateway.metrics().http().request(head.method.as_str(), place.template());
        let answer = self.admitted(&head, body, place).await;
        timer.answered(answer.status().as_u16());
        answer
    }

    async fn admitted(self: &Arc<Self>, head: &Parts, body: Body, place: Place) -> Response {
        let mut caller = match self.keys.admit(&head.headers, Access::Call) {
            Ok(caller) => caller,
            Err(refusal) => return refused(refusal.problem().clone()),
        };
        match self.in_profile(&caller, head.uri.query()) {
            Ok(None) => {}
            Ok(Some(narrowed)) => caller = narrowed,
            Err(problem) => return under_key(&caller, refused(problem)),
        }
        if !self.is_visible(&caller, &place) {
            return under_key(&caller, refused(place.not_found()));
        }
        let answer = match head.method {
            Method::POST => self.post(head, body, &caller, place).await,
            Method::GET => self.open_stream(&head.headers, &caller, &place),
            Method::DELETE => self.end_session(&head.headers, &caller, &place),
            _ => {
                let problem = Problem::new(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "method_not_allowed",
                    "MCP needs POST, GET or DELETE here",
                );
                let allow = HeaderValue::from_static("POST, GET, DELETE");
                refused(problem.with_header(header::ALLOW, allow))
            }
        };
        let answer = until_taken(answer, self.gateway.results(), &caller.key_name).await;
        under_key(&caller, events_alone::taken(&head.headers, answer))
    }

    async fn post(self: &Arc<Self>, head: &Parts, body: Body, caller: &Caller, place: Place) -> Response {
        // An HTML form can send any other type to another origin without a preflight.
        if !media_type::is(&head.headers, media_type::JSON) {
            let sentence = "the body of a message is JSON: send `Content-Type: application/json`";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return refused(Problem::new(status, "not_json", sentence));
        }
        let (body, large) = match self.read(head, body, caller, &place).await {
            Ok(read) => read,
            Err(problem) => return refused(problem),
        };
        if body.len() < compute::LARGE {
            return self.answer_message(head, &body, caller, &place, &large).await;
        }
        let (this, head, caller) = (self.clone(), head.clone(), caller.clone());
        // In a box, so that the future of a small message is not as large as both.
        let work = Box::pin(async move { this.answer_message(&head, &body, &caller, &place, &large).await });
        Box::pin(compute::run_async(work)).await
    }

    async fn answer_message(
        self: &Arc<Self>,
        head: &Parts,
        body: &[u8],
        caller: &Caller,
        place: &Place,
        large: &Large,
    ) -> Response {
        let message = match Message::parse(body) {
            Ok(message) => message,
            Err(fault) => return fault.at(Status::Always(StatusCode::BAD_REQUEST)).response(None),
        };
        let asked = Asked { head, caller, place, large };
        // A revision without sessions has no `initialize` either.
        let declares = head.headers.get(PROTOCOL_VERSION).is_some_and(|revision| revision == STATELESS);
        if message.method() == Some(method::INITIALIZE) && !declares {
            return Box::pin(self.initialize(&asked, &message)).await;
        }
        match head.headers.get(SESSION_ID) {
            Some(id) => match self.session(id, caller, place) {
                Some(session) => self.in_session(&asked, &session, &message).await,
                None => self.refuse(&asked, &message, &Fault::session_not_found()),
            },
            None => match stateless::check(&head.headers, &message) {
                Ok(declared) => self.stateless(&asked, &declared, &message).await,
                Err(fault) => self.refuse(&asked, &message, &fault),
            },
        }
    }

    /// Reads a message. What it asks for stands in it, so a small one is read whatever the caller's limits; one that is
    /// not needs a turn to call first, unless it may answer what the client was asked.
    async fn read(
        &self,
        head: &Parts,
        body: Body,
        caller: &Caller,
        place: &Place,
    ) -> Result<(Bytes, Large), Problem> {
        let mut turn = EarlyPermit::default();
        let may_be_large = || {
            let session = head.headers.get(SESSION_ID).and_then(|id| self.session(id, caller, place));
            let is_asked = session.is_some_and(|session| session.client().is_asked());
            if !is_asked && !self.shared.parked.asks(caller) {
                turn = EarlyPermit::new(self.gateway.admit(caller).map_err(|limited| {
                    Problem::too_many(limited.code(), limited.to_string(), limited.retry_after)
                })?);
            }
            Ok::<_, Problem>(())
        };
        let (limits, owner) = (&self.config.limits, &caller.key_name);
        let (body, share) = read_body_if(body, limits, &self.room, owner, may_be_large).await?;
        Ok((body, Large { turn, _share: share.map(Arc::new) }))
    }

    /// The answer to a message that is not looked at any further.
    fn refuse(&self, asked: &Asked<'_>, message: &Message<'_>, fault: &Fault) -> Response {
        if let Message::Request { method, params, .. } = message {
            self.note_refusal(asked, method, params, fault);
        }
        fault.response(message.id())
    }

    fn session(&self, id: &HeaderValue, caller: &Caller, place: &Place) -> Option<Arc<Session>> {
        let idle = self.config.limits.session_idle;
        self.shared.sessions.find(id.as_bytes(), caller, place, idle)
    }

    fn end_session(&self, headers: &HeaderMap, caller: &Caller, place: &Place) -> Response {
        match headers.get(SESSION_ID).and_then(|id| self.session(id, caller, place)) {
            Some(session) => {
                self.shared.sessions.end(&session);
                StatusCode::NO_CONTENT.into_response()
            }
            None => Fault::session_not_found().response(None),
        }
    }
}

impl Mcp {
    /// Whether everybody sees the same, since there are no keys.
    fn is_open(&self) -> bool {
        self.keys.is_empty()
    }
}

/// A refusal of somebody whose key was good: its line in the log says whose.
fn under_key(caller: &Caller, mut answer: Response) -> Response {
    if !answer.status().is_success()
        && let Some(name) = &caller.key_name
    {
        answer.extensions_mut().insert(KeyName(name.clone()));
    }
    answer
}
