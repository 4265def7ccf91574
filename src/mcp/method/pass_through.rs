//! Resources, prompts and completion of one server, passed through unchanged. [`crate::mcp::aggregate`] has those of all.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::catalog::definition::Findings;
use crate::compute;
use crate::gateway::{CallError, PassThrough};
use crate::json::{Members, one_line_text};
use crate::mcp::input::bridge::Bridge;
use crate::mcp::list_entries::{self, ListKind};
use crate::mcp::request::RequestContext;
use crate::mcp::response::fault::Fault;
use crate::protocol::meta::{PROGRESS_TOKEN, RESERVED_PREFIX};
use crate::protocol::{Era, error_code, method};
use crate::upstream::error_text::of_wrong_result;
use crate::upstream::{Reply, Upstream};

/// The methods that are passed through. None of them changes anything at the server.
pub const METHODS: [&str; 6] = [
    method::RESOURCES_LIST,
    method::RESOURCES_TEMPLATES_LIST,
    method::RESOURCES_READ,
    method::PROMPTS_LIST,
    method::PROMPTS_GET,
    method::COMPLETION_COMPLETE,
];

/// Answers one of [`METHODS`] at the endpoint of the server called `name`.
///
/// # Errors
///
/// The server's own error; that the server does not exist.
pub async fn answer(
    request: &RequestContext,
    name: &str,
    method: &str,
    params: &str,
    bridge: &Bridge,
) -> Result<Bytes, Fault> {
    let Some(upstream) = request.mcp.upstream(name) else { return Err(Fault::method_not_found(method)) };
    let result = forward(request, &upstream, method, params, bridge).await?;
    let Some(kind) = ListKind::of(method) else { return Ok(result) };
    let size = result.len();
    let read = move || {
        let mut findings = Findings::default();
        (list_entries::readable_page(kind, result, &mut findings), findings)
    };
    let owner = request.caller.owner(name);
    let (page, findings) = compute::run_sized(owner, size, read).await;
    findings.log(upstream.name(), kind.one, Some(&request.mcp.shared.logged_flaws));
    page.map_err(|_| Fault::internal("the server's answer is no list"))
}

/// Sends a request to `upstream` for the caller, with the caller's headers that its entry lets through.
///
/// # Errors
///
/// The server's own error.
pub async fn forward(
    request: &RequestContext,
    upstream: &Upstream,
    method: &str,
    params: &str,
    bridge: &Bridge,
) -> Result<Bytes, Fault> {
    let params = PassedParams::read(params)?;
    let server_era = upstream.era();
    bridge.client_answers(server_era, params.has_state, String::new)?;
    let ask = PassThrough { method, members: params.members, name: params.name.as_deref() };
    let context = request.forwarding_context();
    let (mut outgoing, mut round) = (bridge.outgoing(server_era, String::new(), params.meta), 0);
    let reply = loop {
        let permit = request.permit.take();
        let reply = request.mcp.gateway.ask(&context, upstream, &ask, &outgoing, permit).await;
        if !bridge.answer_and_repeat(&reply, &mut round, &mut outgoing).await? {
            break reply;
        }
    };
    match reply {
        Ok(Reply::Result(result)) => {
            let (size, era) = (result.len(), bridge.era);
            let shown = move |result: &Bytes| {
                let members = serde_json::from_slice::<Members<'_>>(result)?;
                Ok::<_, serde_json::Error>(
                    Bridge::result_for(era, server_era, members, false)?.unwrap_or_else(|| result.clone()),
                )
            };
            let read = move || shown(&result).map_err(|_| of_wrong_result("no result", &result));
            let owner = request.caller.owner(upstream.name().as_str());
            compute::run_sized(owner, size, read).await.map_err(Fault::internal)
        }
        Ok(Reply::Error(mut error)) => {
            if bridge.era == Era::Stateless && error.code == error_code::RESOURCE_NOT_FOUND {
                error.code = error_code::INVALID_PARAMS;
            }
            Err(Fault::of_server(&error))
        }
        Err(CallError::Limited(limited)) => Err(Fault::limited(&limited)),
        Err(error) => {
            let why = error.full();
            tracing::warn!(mcp_server = %upstream.name(), "{}: {method} failed: {why}", upstream.name());
            Err(Fault::internal(format!("{}: {}", upstream.name(), error.message_for(&request.caller))))
        }
    }
}

/// The params of a request, taken apart for the next hop.
struct PassedParams {
    /// All members but `_meta`, as JSON text without braces.
    members: Bytes,
    /// The client's own members of `_meta`, in the same form: without its progress token and the declarations of the
    /// stateless era.
    meta: String,
    /// The name or URI of the prompt or resource.
    name: Option<String>,
    /// Whether the client brings a `requestState` back.
    has_state: bool,
}

impl PassedParams {
    fn read(params: &str) -> Result<Self, Fault> {
        let mut members: Members<'_> =
            serde_json::from_str(params).map_err(|_| Fault::invalid_params("`params` must be an object"))?;
        let meta = meta_for_server(members.get("_meta"), false);
        members.0.retain(|(key, _)| key != "_meta");
        let name = members.get("name").or_else(|| members.get("uri"));
        let name = name.and_then(|name| serde_json::from_str(name.get()).ok());
        let has_state = members.get("requestState").is_some();
        Ok(Self { members: members.inner().into(), meta, name, has_state })
    }
}

/// The members of `_meta` for the server, without the braces around them.
///
/// With a trace from the request's headers, that of the body is left out.
pub fn meta_for_server(meta: Option<&RawValue>, has_trace: bool) -> String {
    let meta = meta.and_then(|meta| serde_json::from_str::<Members<'_>>(meta.get()).ok());
    let mut meta = meta.unwrap_or_default();
    let is_trace = |key: &str| has_trace && matches!(key, "traceparent" | "tracestate");
    let is_own = |key: &str| key != PROGRESS_TOKEN && !key.starts_with(RESERVED_PREFIX) && !is_trace(key);
    meta.0.retain(|(key, _)| is_own(key));
    one_line_text(meta.inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_own_meta_goes_on_and_the_protocols_does_not() {
        let of = |text: &str, has_trace| {
            meta_for_server(Some(&RawValue::from_string(text.to_owned()).unwrap()), has_trace)
        };
        let text = r#"{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        assert_eq!(of(text, false), "");
        assert_eq!(of("{\"example.com/a\":{\"b\":\n1.50}}", false), r#""example.com/a":{"b": 1.50}"#);
        assert_eq!(of(r#"{"traceparent":"00-1"}"#, false), r#""traceparent":"00-1""#);
        assert_eq!(of(r#"{"traceparent":"00-1"}"#, true), "");
        assert_eq!(of("7", false), "");
    }
}
