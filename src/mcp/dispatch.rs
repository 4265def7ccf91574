//! From a message to the function that answers it, in both eras.
//!
//! A new method has its name in `protocol::method` and its line in [`perform`], or in `request_in_session` when it exists
//! with sessions alone. One that a server answers is listed in `method::pass_through` and, for the endpoint of all
//! servers, in `aggregate`.

use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use memchr::memchr;
use memchr::memmem::Finder;
use serde_json::value::RawValue;

use super::endpoint::Endpoint;
use super::input::active::{ActiveRequest, InputChannel};
use super::input::bridge::Bridge;
use super::input::suspended::{RequestKey, WaitingPlace};
use super::message::Message;
use super::method::{call_tool, discover, list_tools, listen, logging, pass_through, subscriptions};
use super::request::RequestContext;
use super::response::fault::{self, Fault, Status};
use super::response::finished::Finished;
use super::response::stream::{ResponseStream, Resumable, progress_token, takes_events};
use super::session::state::Session;
use super::{aggregate, header_check, stateless_result};
use crate::compute;
use crate::json::{Members, member};
use crate::protocol::header::PROTOCOL_VERSION;
use crate::protocol::notification::Cancelled;
use crate::protocol::revision::WITH_SESSIONS;
use crate::protocol::{Era, method, notification};
use crate::upstream::message_queue::Sender;
use crate::upstream::progress::queue;
use crate::upstream::{ClientSide, Progress};

/// Requests during which a server may send something to the client.
const WITH_MESSAGES: [&str; 5] = [
    method::TOOLS_CALL,
    method::TOOLS_LIST,
    method::PROMPTS_GET,
    method::RESOURCES_READ,
    method::COMPLETION_COMPLETE,
];

/// Answers a message of a session.
pub async fn in_session(
    request: &Arc<RequestContext>,
    session: &Arc<Session>,
    message: Message<'_>,
) -> Response {
    let revision = request.head.headers.get(PROTOCOL_VERSION).map(HeaderValue::as_bytes);
    if revision.is_some_and(|revision| !WITH_SESSIONS.iter().any(|known| known.as_bytes() == revision)) {
        let fault = Fault::invalid_request("the header MCP-Protocol-Version names no revision with sessions");
        return request.refuse(&message, &fault.at(Status::Always(StatusCode::BAD_REQUEST)));
    }
    match message {
        Message::Request { id, method, params } => {
            return request_in_session(request, session, id, &method, params).await;
        }
        Message::Notification { method, params } => {
            if method == notification::CANCELLED
                && let Ok(cancelled) = serde_json::from_str::<Cancelled<'_>>(params)
            {
                session.in_flight.cancel(cancelled.request_id.get());
            }
        }
        Message::Response { id, answer } => session.client.answered(id, answer),
    }
    StatusCode::ACCEPTED.into_response()
}

async fn request_in_session(
    request: &Arc<RequestContext>,
    session: &Arc<Session>,
    id: &str,
    method: &str,
    params: &str,
) -> Response {
    let in_flight = session.in_flight.add(id);
    let client = session.client.askable();
    let token = progress_token(params);
    let is_plain = token.is_none() && client.is_none();
    if is_plain || !WITH_MESSAGES.contains(&method) || !takes_events(&request.head.headers) {
        let performed = async {
            match method {
                method::LOGGING_SET_LEVEL => Box::pin(logging::set_level(request, session, params)).await,
                method::RESOURCES_SUBSCRIBE | method::RESOURCES_UNSUBSCRIBE => {
                    Box::pin(subscriptions::answer(request, session, method, params)).await
                }
                method::TOOLS_LIST => {
                    let bridge = Bridge { client, ..Bridge::plain(Era::Sessions) };
                    perform(request, method, params, &bridge).await
                }
                _ => perform(request, method, params, &Bridge::plain(Era::Sessions)).await,
            }
        };
        return match in_flight.cancelled.run_until_cancelled(performed).await {
            Some(Ok(result)) => fault::result(id, &result),
            Some(Err(fault)) => fault.response_in(Era::Sessions, Some(id)),
            // A client that cancels a request expects no answer.
            None => StatusCode::ACCEPTED.into_response(),
        };
    }
    let (to, messages) = queue();
    // As it was when the connection was chosen.
    let passes_log = client.as_ref().is_some_and(|client| client.side.log_level.is_some());
    let progress = Arc::new(Progress::passed_on(to.clone(), token.is_some(), passes_log));
    let route = session.client.request(to);
    let (for_bridge, asked) = (Some(progress.clone()), Some(session.client.clone()));
    let bridge = Bridge { progress: for_bridge, client, session: asked, ..Bridge::plain(Era::Sessions) };
    let resumable = Resumable { session: session.clone(), progress, shared: request.mcp.shared.clone() };
    let (request, method, params) = (request.clone(), method.to_owned(), request.slice(params));
    let results = Some((request.mcp.gateway.results().clone(), request.caller.principal.clone()));
    let work = async move {
        let _route = route;
        let performed = perform(&request, &method, text(&params), &bridge);
        match in_flight.cancelled.run_until_cancelled(performed).await {
            Some(outcome) => outcome.into(),
            None => Finished::Cancelled,
        }
    };
    let work = Box::pin(work);
    ResponseStream::new(id, work, messages, token, Some(resumable), results).respond().await
}

/// Answers a message without a session; `side` is its client, if it needs a connection of its own.
pub async fn stateless(
    request: &Arc<RequestContext>,
    side: Option<ClientSide>,
    message: &Message<'_>,
) -> Response {
    let Message::Request { id, method, params } = message else {
        return StatusCode::ACCEPTED.into_response();
    };
    if method == method::SUBSCRIPTIONS_LISTEN {
        return listen::answer(request, side.map(|side| side.alike), id, params);
    }
    let token = progress_token(params);
    let is_plain = token.is_none() && side.is_none();
    if is_plain || !WITH_MESSAGES.contains(&&**method) || !takes_events(&request.head.headers) {
        let own = side.filter(|_| method == method::TOOLS_LIST);
        let suspended = &request.mcp.shared.suspended;
        let own = own.map(|side| suspended.client(&side, InputChannel::new(false, false).handler));
        let (_slot, client) = own.unzip();
        let bridge = Bridge { client, ..Bridge::plain(Era::Stateless) };
        return match perform(request, method, params, &bridge).await {
            Ok(result) => fault::result(id, &completed(request, method, result)),
            Err(fault) => fault.response(Some(id)),
        };
    }
    let state = may_resume(params).then(|| member::<String>(params, "requestState")).flatten();
    let shared = &request.mcp.shared;
    let resumed = match state.as_deref().and_then(|state| shared.suspended.place(state)) {
        Some(WaitingPlace::Elsewhere(replica)) => {
            return Box::pin(shared.hop.answer(request, message, &replica)).await;
        }
        Some(WaitingPlace::Nowhere) => return request.refuse(message, &Fault::no_longer_waiting()),
        Some(WaitingPlace::Here) => state,
        None => None,
    };
    let (to, messages) = queue();
    let asks_progress = token.is_some();
    let results = Some((request.mcp.gateway.results().clone(), request.caller.principal.clone()));
    let (method, params) = (method.clone().into_owned(), request.slice(params));
    let work = work(request.clone(), method, params, resumed, side, asks_progress, to);
    ResponseStream::new(id, Box::pin(work), messages, token, None, results).respond().await
}

/// Runs a request without a session, or continues the one that waits under `state` for its client's answers.
async fn work(
    request: Arc<RequestContext>,
    method: String,
    params: Bytes,
    state: Option<String>,
    side: Option<ClientSide>,
    asks_progress: bool,
    to: Sender,
) -> Finished {
    let (suspended, closing) = (request.mcp.shared.suspended.clone(), request.mcp.shared.closing.clone());
    if let Some(state) = state {
        let members: Members<'_> = serde_json::from_str(text(&params)).unwrap_or_default();
        let key = RequestKey::new(&request.caller, request.endpoint.server(), &method, &members);
        return match resumed(&request, &key, &state, &members).await {
            Ok(active) if active.is_waiting() => suspended.suspend(key, active, &closing),
            Ok(active) => suspended.work(|| key, active, to, &closing).await,
            Err(fault) => {
                request.note_refusal(&method, text(&params), &fault);
                Finished::Fault(fault)
            }
        };
    }
    let key = {
        let (request, method, params) = (request.clone(), method.clone(), params.clone());
        move || {
            let members: Members<'_> = serde_json::from_str(text(&params)).unwrap_or_default();
            RequestKey::new(&request.caller, request.endpoint.server(), &method, &members)
        }
    };
    // The key of a large request is made now: after the first message, the work continues on a worker.
    let made = (params.len() >= compute::LARGE).then(&key);
    let passes_log = side.as_ref().is_some_and(|side| side.log_level.is_some());
    let channel = InputChannel::new(asks_progress, passes_log);
    let (slot, client) = side.map(|side| suspended.client(&side, channel.handler.clone())).unzip();
    let (progress, called) = (Some(channel.progress.clone()), Some(channel.called.clone()));
    let sign_in_end = request.caller.sign_in_end.clone();
    let bridge = Bridge { era: Era::Stateless, progress, client, session: None, called };
    let work = async move {
        let _slot = slot;
        let outcome = perform(&request, &method, text(&params), &bridge).await;
        Finished::from(outcome.map(|result| completed(&request, &method, result)))
    };
    let active = channel.active(Box::pin(work), sign_in_end);
    suspended.work(|| made.unwrap_or_else(key), active, to, &closing).await
}

/// Whether there can be a `requestState` among the params, whose name may be written with escapes.
fn may_resume(params: &str) -> bool {
    static STATE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("requestState"));
    let params = params.as_bytes();
    STATE.find(params).is_some() || memchr(b'\\', params).is_some()
}

/// The request that waits under `state`, with its client's answers. The headers of each round agree with its body.
async fn resumed(
    request: &RequestContext,
    key: &RequestKey,
    state: &str,
    members: &Members<'_>,
) -> Result<ActiveRequest, Fault> {
    let suspended = &request.mcp.shared.suspended;
    if let Some(tool) = suspended.tool_of(key, state) {
        let arguments = members.get("arguments").map_or("{}", RawValue::get);
        let owner = request.caller.owner(request.endpoint.server().unwrap_or_default());
        header_check::check(owner, &request.head.headers, &tool.header_params, arguments).await?;
    }
    suspended.resume(key, state, &members.read("inputResponses").unwrap_or_default())
}

/// The function for each method of both eras.
async fn perform(
    request: &RequestContext,
    method: &str,
    params: &str,
    bridge: &Bridge,
) -> Result<Bytes, Fault> {
    // In boxes: the future here is as large as the largest of them, and is moved a few times.
    match (method, bridge.era) {
        (method::TOOLS_CALL, _) => Box::pin(call_tool::answer(request, params, bridge)).await,
        (method::TOOLS_LIST, _) => Box::pin(list_tools::answer(request, bridge)).await,
        (method::PING, Era::Sessions) => Ok(Bytes::from_static(b"{}")),
        (method::SERVER_DISCOVER, Era::Stateless) => Ok(Box::pin(discover::answer(request)).await),
        _ if pass_through::METHODS.contains(&method) => match &request.endpoint {
            Endpoint::All => Box::pin(aggregate::answer(request, bridge, method, params)).await,
            Endpoint::One(name) => {
                Box::pin(pass_through::answer(request, name, method, params, bridge)).await
            }
        },
        _ => Err(Fault::method_not_found(method)),
    }
}

/// The result with the members that the stateless era requires.
fn completed(request: &RequestContext, method: &str, result: Bytes) -> Bytes {
    stateless_result::completed(method, result, request.mcp.is_open())
}

/// Params that were read as text before.
fn text(params: &Bytes) -> &str {
    std::str::from_utf8(params).expect("a part of a text is a text")
}
