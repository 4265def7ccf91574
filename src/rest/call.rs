//! `POST /{server}/{tool}`: one call, from the request's head to the rendered answer.

use std::time::Instant;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Refused, Rest, failure, method_not_allowed, result};
use crate::catalog::arguments::ArgumentError;
use crate::compute;
use crate::gateway::{
    CallContext, CallError, FindError, FoundCall, NamedCall, NoResult, Outcome, Permit, Target,
};
use crate::http::{
    Access, BodyError, Problem, correlation, forwarded, json_answer, read_body_if, under_key, until_taken,
};
use crate::memory_budget::Reservation;
use crate::protocol::media_type;
use crate::upstream::error_text::{NO_TOOL_RESULT, of_wrong_result};

/// Asks for the server's own `CallToolResult`.
const CALL_RESULT: &str = "application/vnd.mcp.call-result+json";

/// Results below so many bytes are rendered at once, in half a millisecond: another thread would cost a call of a megabyte a
/// third more.
const AT_ONCE: usize = 2 << 20;

/// A call's body, with the permit and the reserved memory for it.
struct Read {
    body: Bytes,
    permit: Option<Permit>,
    _share: Option<Reservation>,
}

/// Why a call's body was not read.
enum Unread {
    Limited(CallError),
    Body(BodyError),
}

impl From<BodyError> for Unread {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// Serves one call.
///
/// The caller, the tool and the caller's limits are settled before the body is read.
pub async fn call(rest: &Rest, head: &Parts, body: Body, server: Option<&str>, tool: &str) -> Response {
    let began = Instant::now();
    let prepared = prepare(rest, head, server, tool, began).await;
    let (context, target) = match prepared {
        Ok(prepared) => prepared,
        Err(refused) => return *refused,
    };
    let names = (target.server.name.as_str(), &*target.tool.name);
    let named = NamedCall::new(&rest.gateway, &context, names, began);
    let Read { body, permit, _share } = match read(rest, &context, &target, body).await {
        Ok(read) => {
            named.proceed();
            read
        }
        Err(Unread::Limited(error)) => {
            named.proceed();
            rest.gateway.failed_unread(&context, &target, &error);
            return failure::call(&target.server.name, &error, &context.caller);
        }
        Err(Unread::Body(error)) => {
            let problem = Problem::from(error);
            named.refused(problem.code(), problem.detail());
            return under_key(&context.caller.principal, problem.into_response());
        }
    };
    let as_sent = media_type::is_accepted(&head.headers, CALL_RESULT);
    let send = |body| async {
        let arguments = arguments(&head.headers, body).map_err(CallError::Arguments)?;
        rest.gateway.call(&context, &target, arguments, permit).await
    };
    let call = FoundCall { at_once: AT_ONCE, ..FoundCall::new(&context, &target, body) };
    match rest.gateway.serve_call(call, send, move |result| answer(as_sent, result)).await {
        Ok(response) => until_taken(response, rest.gateway.results(), &context.caller.principal).await,
        Err(NoResult::Rpc(error)) => failure::rpc(&error),
        Err(NoResult::Failed(error)) => failure::call(&target.server.name, &error, &context.caller),
    }
}

async fn prepare(
    rest: &Rest,
    head: &Parts,
    server: Option<&str>,
    tool: &str,
    began: Instant,
) -> Result<(CallContext, Target), Refused> {
    let admitted = rest.keys.admit(&head.headers, Access::Call).await;
    let caller = admitted.map_err(|refusal| Refused::new(refusal.into_response()))?;
    let mut context = CallContext::new(caller, correlation::origin(head));
    let server = server
        .map(str::to_owned)
        .or_else(|| Some(rest.gateway.catalog_builder().catalog().only_server()?.name.to_string()));
    let named = NamedCall::new(&rest.gateway, &context, (server.as_deref().unwrap_or("-"), tool), began);
    let Some(server) = &server else {
        named.not_found(&FindError::Server);
        return Err(Problem::not_found().into());
    };
    let target = named
        .found(rest.gateway.find(&context.caller, server, tool).await)
        .map_err(|error| Refused::new(failure::find(server, &error, &context.caller)))?;
    context.forwarded =
        forwarded(&rest.keys, &context.caller, &head.headers, &rest.gateway.forwarding_entries(&target));
    Ok((context, target))
}

async fn read(rest: &Rest, context: &CallContext, target: &Target, body: Body) -> Result<Read, Unread> {
    let admit = async |server| {
        let admitted = rest.gateway.admit(&context.caller, server).await;
        admitted.map_err(|limited| Unread::Limited(CallError::Limited(limited)))
    };
    // `call_tool` answers its refusals itself, unless its arguments are large.
    let mut permit = match target.is_relay() {
        true => None,
        false => Some(admit(Some(target.server.name.as_str())).await?),
    };
    let may_be_large = async || {
        if permit.is_none() {
            permit = Some(admit(None).await?);
        }
        Ok::<_, Unread>(())
    };
    let owner = &context.caller.principal;
    let (body, _share) = read_body_if(body, &rest.config.limits, &rest.bodies, owner, may_be_large).await?;
    Ok(Read { body, permit, _share })
}

/// The bytes that stand for the arguments. A body that is declared to be something other than JSON is a
/// text to FastAPI, and never an object; that also keeps plain HTML forms from calling tools.
fn arguments(headers: &HeaderMap, body: Bytes) -> Result<Bytes, ArgumentError> {
    let declared = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let is_json = declared.is_none_or(|declared| {
        let kind = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
    });
    if is_json || body.is_empty() {
        return Ok(body);
    }
    Err(ArgumentError::not_an_object(Value::String(String::from_utf8_lossy(&body).into_owned())))
}

fn answer(as_sent: bool, bytes: Bytes) -> (Outcome, Response) {
    if as_sent {
        return whole(bytes);
    }
    match result::render(&bytes) {
        Ok(rendered) if rendered.is_error => {
            (Outcome::TOOL_ERROR, json_answer(StatusCode::INTERNAL_SERVER_ERROR, rendered.body))
        }
        Ok(rendered) => (Outcome::OK, json_answer(StatusCode::OK, rendered.body)),
        Err(error) => (Outcome::UNRENDERABLE, failure::protocol(&error.to_string())),
    }
}

/// The result as the server sent it, once it is known to be an object.
fn whole(bytes: Bytes) -> (Outcome, Response) {
    if !is_object(&bytes) {
        return (Outcome::UNRENDERABLE, failure::protocol(&of_wrong_result(NO_TOOL_RESULT, &bytes)));
    }
    (Outcome::OK, ([(header::CONTENT_TYPE, CALL_RESULT)], bytes).into_response())
}

/// Whether a result is an object. A large one only has to be text in braces: reading it through costs more than
/// passing it on, and its reader finds other faults.
fn is_object(bytes: &[u8]) -> bool {
    if bytes.len() < compute::LARGE {
        return serde_json::from_slice::<&RawValue>(bytes).is_ok_and(|raw| raw.get().starts_with('{'));
    }
    let bytes = bytes.trim_ascii();
    bytes.starts_with(b"{") && bytes.ends_with(b"}") && std::str::from_utf8(bytes).is_ok()
}

/// The answer to another method than POST on a tool's path.
pub async fn wrong_method(rest: &Rest, head: &Parts, server: Option<&str>, tool: &str) -> Refused {
    match exists(rest, head, server, tool).await {
        true => method_not_allowed("POST").into(),
        false => Problem::not_found().into(),
    }
}

/// Whether the tool is known now. Tells a caller nothing that its documents do not tell.
pub async fn exists(rest: &Rest, head: &Parts, server: Option<&str>, tool: &str) -> bool {
    let Ok(caller) = rest.keys.admit(&head.headers, Access::Document).await else { return false };
    let catalog = rest.gateway.catalog_builder().catalog();
    let server = match server {
        Some(server) => catalog.server(server),
        None => catalog.servers.first(),
    };
    server.is_some_and(|server| server.tool(tool).is_some_and(|tool| caller.scope.allows(server, tool)))
}
