//! `tools/call`: from the client's own bytes to the server's, and back.

use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::pass_through::meta_for_server;
use crate::catalog::arguments::object_in_text;
use crate::catalog::{Caller, CatalogServer};
use crate::config::ServerName;
use crate::gateway::builtin::{error_result, text_result};
use crate::gateway::error::{MissingSignIn as _, unavailable_for};
use crate::gateway::{
    CallError, CallFailure, Client, FindError, FoundCall, NamedCall, NoResult, Outcome, SIGNED_IN, Target,
};
use crate::http::forwarded;
use crate::json::{self, Members, clip, one_line_text};
use crate::mcp::aggregate::uris::tool_result;
use crate::mcp::endpoint::Endpoint;
use crate::mcp::header_check;
use crate::mcp::input::bridge::Bridge;
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::Fault;
use crate::mcp::response::sign_in;
use crate::protocol::Era;
use crate::upstream::error_text::{NO_TOOL_RESULT, of_wrong_result};

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    /// The client's answers to what the server asked it for (2026-07-28, "Multi Round-Trip Requests").
    #[serde(borrow, rename = "inputResponses")]
    input_responses: Option<&'a RawValue>,
    #[serde(borrow, rename = "requestState")]
    request_state: Option<&'a RawValue>,
}

impl Params<'_> {
    /// The members that bring the client's answers, as JSON text without braces.
    fn answers(&self) -> String {
        let members = [("inputResponses", self.input_responses), ("requestState", self.request_state)];
        let texts =
            members.iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", (*value)?.get())));
        one_line_text(texts.collect::<Vec<_>>().join(","))
    }
}

/// Calls the tool, and returns the server's own text.
///
/// A server that cannot be reached is a result with `isError`, which the model reads.
///
/// # Errors
///
/// When the tool does not exist, the arguments are not an object, or the server answers with an error.
pub async fn answer(request: &RequestContext, params: &str, bridge: &Bridge) -> Result<Bytes, Fault> {
    let began = Instant::now();
    let mut params: Params<'_> = serde_json::from_str(params)
        .map_err(|_| Fault::invalid_params("`name` must be a text, and `arguments` an object"))?;
    let mut context = request.call_context();
    let names = (request.endpoint.server().unwrap_or("-"), &*params.name);
    let named = NamedCall::new(&request.mcp.gateway, &context, names, began);
    let text = params.arguments.map_or("{}", RawValue::get);
    let inner = object_in_text(text);
    let text = inner.as_deref().unwrap_or(text);
    if !text.trim_ascii_start().starts_with('{') {
        let fault = Fault::invalid_params("`arguments` must be an object");
        named.not_made("bad_arguments", fault.message());
        return Err(fault);
    }
    let answered = sign_in::answered(params.input_responses.map(RawValue::get));
    if answered.is_some() {
        // The server has asked nothing.
        params.input_responses = None;
    }
    let declined = answered == Some(false);
    let ask_sign_in = |server: &str, link: &str| sign_in::asked(bridge, server, link, declined);
    let found = match &request.endpoint {
        Endpoint::All => request.mcp.gateway.find_exposed(&request.caller, &params.name).await,
        Endpoint::One(server) => request.mcp.gateway.find_called(&request.caller, server, &params.name).await,
    };
    let found = match (found, &bridge.client) {
        (Err(FindError::Tool), Some(client)) => Box::pin(find_own_tool(request, client, &params.name)).await,
        (found, _) => found,
    };
    let target = match named.found(found) {
        Ok(target) => target,
        Err(error) => {
            let server = server_of(request, &params.name).unwrap_or(&params.name);
            if let Some(asked) = error.sign_in().and_then(|link| ask_sign_in(server, link)) {
                return asked;
            }
            if is_signed_in(request, &params.name) {
                return Ok(text_result(SIGNED_IN));
            }
            return not_found(server, &params.name, &error, &request.caller);
        }
    };
    let entries = request.mcp.gateway.forwarding_entries(&target);
    context.forwarded = forwarded(&request.mcp.keys, &request.caller, &request.head.headers, &entries);
    let meta = meta_for_server(params.meta, context.origin.trace.is_some());
    let owner = request.caller.owner(target.server.name.as_str());
    let arguments = target.tool.read_texts(owner, request.slice(text)).await;
    let server_era = request.mcp.gateway.era_behind(&target, &arguments);
    let at_all = (request.endpoint == Endpoint::All).then(|| (target.clone(), arguments.clone()));
    let send = |arguments: Bytes| async {
        let sent = arguments;
        if bridge.era == Era::Stateless {
            header_check::check(owner, &request.head.headers, &target.tool.header_params, text).await?;
            if let Some(called) = &bridge.called {
                // A call has one tool.
                let _once = called.tool.set(target.tool.clone());
            }
        }
        let more = bridge.client_answers(server_era, params.request_state.is_some(), || params.answers())?;
        let (mut outgoing, mut round) = (bridge.outgoing(server_era, more, meta), 0);
        // Each round is a call of its own.
        let mut permit = request.permit.take();
        loop {
            let (sent, permit) = (sent.clone(), permit.take());
            let reply = request.mcp.gateway.call_unchecked(&context, &target, sent, &outgoing, permit).await;
            if !bridge.answer_and_repeat(&reply, &mut round, &mut outgoing).await? {
                return reply.map_err(NoReply::Call);
            }
        }
    };
    let era = bridge.era;
    let read = move |result: &Bytes| {
        // Reading the result checks that it is JSON.
        let members: Members<'_> = json::read(result)?;
        let is_error = members.get("isError").map(|value| serde_json::from_str(value.get()));
        let is_error: bool = is_error.transpose()?.flatten().unwrap_or(false);
        let shown = Bridge::result_for(era, server_era, members, true)?.unwrap_or_else(|| result.clone());
        let shown = match &at_all {
            Some((called, arguments)) => tool_result(called, arguments, shown),
            None => shown,
        };
        Ok::<_, serde_json::Error>((is_error, shown))
    };
    let classify = move |result: Bytes| match read(&result) {
        Ok((true, shown)) => (Outcome::TOOL_ERROR, Ok(shown)),
        Ok((false, shown)) => (Outcome::OK, Ok(shown)),
        Err(_) => (Outcome::UNRENDERABLE, Err(of_wrong_result(NO_TOOL_RESULT, &result))),
    };
    let given_up = bridge.called.as_ref().map(|called| &called.given_up);
    let call = FoundCall { given_up, ..FoundCall::new(&context, &target, arguments) };
    match request.mcp.gateway.serve_call(call, send, classify).await {
        Ok(shown) => shown.map_err(Fault::internal),
        Err(NoResult::Rpc(error)) => Err(Fault::of_server(&error)),
        Err(NoResult::Failed(NoReply::Call(error))) => {
            let asked = error.sign_in().and_then(|link| ask_sign_in(target.server.name.as_str(), link));
            asked.unwrap_or_else(|| Ok(failed(&target, &error, &request.caller)))
        }
        Err(NoResult::Failed(NoReply::Fault(fault))) => Err(fault),
    }
}

/// Why the server gave no reply.
#[derive(Debug)]
enum NoReply {
    Call(CallError),
    /// The call ended between the gateway and its client.
    Fault(Fault),
}

impl From<Fault> for NoReply {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl CallFailure for NoReply {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Call(error) => error.outcome(),
            Self::Fault(fault) => fault.outcome().name(),
        }
    }

    fn reason(&self) -> Cow<'_, str> {
        match self {
            Self::Call(error) => error.reason(),
            Self::Fault(fault) => fault.message().into(),
        }
    }
}

/// The tool called `name` among those that a server has for this client alone.
async fn find_own_tool(request: &RequestContext, client: &Client, name: &str) -> Result<Target, FindError> {
    let (context, gateway) = (request.forwarding_context(), &request.mcp.gateway);
    match &request.endpoint {
        Endpoint::All => gateway.find_exposed_for_client(&context, client, name).await,
        Endpoint::One(server) => {
            let upstream = request.mcp.upstream(server).ok_or(FindError::Tool)?;
            gateway.find_for_client(&context, &upstream, client, name, CatalogServer::tool_called).await
        }
    }
}

/// Whether `name` is the tool of a server that led the caller to sign in there, which is done.
fn is_signed_in(request: &RequestContext, name: &str) -> bool {
    let (gateway, at_all) = (&request.mcp.gateway, request.endpoint == Endpoint::All);
    let server = server_of(request, name);
    server.is_some_and(|server| gateway.has_signed_in(&request.caller, server, name, at_all))
}

/// The server that alone can have the tool called `name`.
fn server_of<'a>(request: &'a RequestContext, name: &str) -> Option<&'a str> {
    let namespace = request.mcp.gateway.catalog_builder().namespace();
    request.endpoint.server().or_else(|| namespace.server_of(name).map(ServerName::as_str))
}

fn not_found(server: &str, tool: &str, error: &FindError, caller: &Caller) -> Result<Bytes, Fault> {
    match error {
        FindError::Server | FindError::Tool => {
            let shown = clip(tool, 128);
            Err(Fault::invalid_params(format!("Unknown tool: {shown}")))
        }
        FindError::Quarantined(_) => Ok(error_result(&error.for_callers())),
        FindError::Limited(limited) => Ok(error_result(&format!("{server}: {limited}"))),
        FindError::Unavailable(unavailable) => {
            Ok(error_result(&format!("{server}: {}", unavailable_for(unavailable, caller))))
        }
        FindError::Deadline { after } => {
            Ok(error_result(&format!("{server}: it did not get ready within {} s", after.as_secs_f32())))
        }
    }
}

fn failed(target: &Target, error: &CallError, caller: &Caller) -> Bytes {
    let sentence = match error {
        CallError::Arguments(faults) => format!("the arguments do not fit the tool's schema: {faults}"),
        _ => error.message_for(caller),
    };
    error_result(&format!("{}: {sentence}", target.server.name))
}
