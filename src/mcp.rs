//! MCP over streamable HTTP, for clients: one endpoint for all servers, and one for each.
//!
//! | endpoint | answer |
//! |---|---|
//! | `POST /mcp` | one JSON-RPC message; tools and prompts of all servers as `{server}_{name}`, resources as `mcpo://{server}/{URI}` |
//! | `POST /{server}/mcp` | the same for one server, with its own names, its resources, prompts and completion |
//! | `GET` | the stream of a session: the server's list changes; with `Last-Event-ID`, the rest of an answer |
//! | `DELETE` | ends a session |
//!
//! `?profile=NAME` on each of them limits a client to the tools of that profile ([`Keys::in_profile_of`](crate::http::Keys::in_profile_of)).
//!
//! Both eras of the protocol are served on the same paths. A client that opens with `initialize` gets a session
//! (revisions 2024-11-05 to 2025-11-25, [`session`]); one that declares revision 2026-07-28 with each request needs
//! none ([`stateless`]).
//!
//! A server's messages travel as their own bytes. `lib.rs` has the reason for not serving them with rmcp's server.
//!
//! A request goes from [`answer`] to [`dispatch`], and from there to its function in [`method`] or [`aggregate`].

mod aggregate;
mod capabilities;
mod dispatch;
mod endpoint;
mod extensions;
mod header_check;
mod hop;
mod input;
mod list_entries;
mod message;
mod method;
mod request;
mod response;
mod session;
mod state;
mod stateless;
mod stateless_result;

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};

use crate::compute;
use crate::gateway::EarlyPermit;
use crate::http::{Access, Problem, pass_over, read_body_if, under_key, until_taken};
use crate::protocol::header::{PROTOCOL_VERSION, SESSION_ID};
use crate::protocol::media_type;
use crate::protocol::method::INITIALIZE;
use crate::protocol::revision::STATELESS;
pub use endpoint::Endpoint;
use message::Message;
use method::initialize;
use request::RequestContext;
pub use response::fault::refused;
use response::fault::{Fault, Status};
use response::single_event;
pub use session::journal::SessionJournal;
pub use state::{Mcp, SharedState};

/// Answers a request to `endpoint`, the endpoint of its path.
///
/// The key is checked before anything of the body is held.
pub async fn answer(mcp: Arc<Mcp>, request: Request<Body>, endpoint: Endpoint) -> Response {
    let (head, body) = request.into_parts();
    let timer = mcp.gateway.metrics().http().request(head.method.as_str(), endpoint.template());
    let answer = admitted(mcp.clone(), head, body, endpoint).await;
    timer.answered(answer.status().as_u16());
    answer
}

async fn admitted(mcp: Arc<Mcp>, head: Parts, body: Body, endpoint: Endpoint) -> Response {
    let mut caller = match mcp.keys.admit(&head.headers, Access::Call).await {
        Ok(caller) => caller,
        Err(refusal) => {
            // The client goes on at once to where it signs in, over the same connection.
            Box::pin(pass_over(body)).await;
            return refused(mcp.challenge(refusal, &head));
        }
    };
    let principal = caller.principal.clone();
    match mcp.keys.in_profile_of(&caller, head.uri.query()) {
        Ok(None) => {}
        Ok(Some(narrowed)) => caller = narrowed,
        Err(problem) => return under_key(&principal, refused(problem)),
    }
    if !mcp.is_visible(&caller, &endpoint) {
        return under_key(&principal, refused(endpoint.not_found()));
    }
    let results = mcp.gateway.results().clone();
    let wants_event = single_event::is_wanted(&head.headers);
    // On the heap from the start: a future that holds it, and each that waits for that one, would move it.
    let request = Arc::new(RequestContext {
        mcp,
        head,
        body: Bytes::new(),
        caller,
        endpoint,
        permit: EarlyPermit::default(),
        _share: None,
    });
    if request.mcp.shared.sessions.is_shared() && request.head.headers.contains_key(SESSION_ID) {
        Box::pin(learn_session(&request)).await;
    }
    let answer = match request.head.method {
        Method::POST => post(request, body).await,
        Method::GET => session::stream::open(request),
        Method::DELETE => end_session(&request).await,
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
    let answer = until_taken(answer, &results, &principal).await;
    under_key(&principal, if wants_event { single_event::of(answer) } else { answer })
}

/// Asks the other replicas about the session that the request names, if it is not in use here.
async fn learn_session(request: &RequestContext) {
    let (shared, id) = (&request.mcp.shared, request.head.headers.get(SESSION_ID));
    if let Some(id) = id
        && shared.sessions.learn(id.as_bytes()).await
        && request.head.method != Method::DELETE
        && let Some(session) = request.session()
    {
        shared.recall_interests(&session).await;
    }
}

async fn post(mut request: Arc<RequestContext>, body: Body) -> Response {
    // An HTML form can send any other type to another origin without a preflight.
    if !media_type::is(&request.head.headers, media_type::JSON) {
        let sentence = "the body of a message is JSON: send `Content-Type: application/json`";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return refused(Problem::new(status, "not_json", sentence));
    }
    let unread = Arc::get_mut(&mut request).expect("a request is shared once its message is read");
    if let Err(problem) = read(unread, body).await {
        return refused(problem);
    }
    if request.body.len() < compute::LARGE {
        return answer_message(&request).await;
    }
    // In a box, so that the future of a small message is not as large as both.
    let work = Box::pin(async move { answer_message(&request).await });
    Box::pin(compute::run_async(work)).await
}

/// Reads the message of a request.
///
/// A small message is read before the gateway knows which limits apply to it. A large one needs a permit to call first,
/// unless it may be the client's answer to a question, of this gateway or of a replica.
async fn read(request: &mut RequestContext, body: Body) -> Result<(), Problem> {
    let mcp = &request.mcp;
    let mut permit = EarlyPermit::default();
    let may_be_large = async || {
        let is_asked = request.session().is_some_and(|session| session.client.is_asked());
        let has_session = request.head.headers.contains_key(SESSION_ID);
        let may_be_for_replica = !has_session && mcp.shared.sessions.is_shared();
        if !is_asked && !may_be_for_replica && !mcp.shared.suspended.asks(&request.caller) {
            let admitted = Box::pin(mcp.gateway.admit(&request.caller, None)).await;
            permit = EarlyPermit::new(admitted.map_err(|limited| {
                Problem::too_many(limited.code(), limited.to_string(), limited.retry_after)
            })?);
        }
        Ok::<_, Problem>(())
    };
    let (limits, owner) = (&mcp.config.limits, &request.caller.principal);
    let (body, share) = read_body_if(body, limits, &mcp.bodies, owner, may_be_large).await?;
    (request.body, request.permit, request._share) = (body, permit, share);
    Ok(())
}

async fn answer_message(request: &Arc<RequestContext>) -> Response {
    let message = match Message::parse(&request.body) {
        Ok(message) => message,
        Err(fault) => return fault.at(Status::Always(StatusCode::BAD_REQUEST)).response(None),
    };
    let headers = &request.head.headers;
    // A revision without sessions has no `initialize` either.
    let declares = headers.get(PROTOCOL_VERSION).is_some_and(|revision| revision == STATELESS);
    if message.method() == Some(INITIALIZE) && !declares {
        return Box::pin(initialize::answer(request, &message)).await;
    }
    if headers.contains_key(SESSION_ID) {
        return match request.session() {
            Some(session) => dispatch::in_session(request, &session, message).await,
            None => request.refuse(&message, &Fault::session_not_found()),
        };
    }
    match stateless::check(headers, &message) {
        Ok(declared) => dispatch::stateless(request, declared.side(&request.caller), &message).await,
        Err(fault) => request.refuse(&message, &fault),
    }
}

async fn end_session(request: &RequestContext) -> Response {
    let sessions = &request.mcp.shared.sessions;
    match request.session() {
        Some(session) => {
            sessions.end(&session);
            sessions.ends_are_kept().await;
            StatusCode::NO_CONTENT.into_response()
        }
        None => Fault::session_not_found().response(None),
    }
}
