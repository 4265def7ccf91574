//! The built-in server `gateway`: tools to list servers, search tools, describe one and call one.
//!
//! Its inner calls are made for the caller, and cannot reach `gateway` again. They have the rights of the
//! caller's key, and not those of its profile: a profile filters the list of a client, and a profile that lists little
//! but `gateway` gives a client with a small tool budget all other tools. The scope of a key withholds tools from it.

mod search;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::context::CallContext;
use super::error::{CallError, FindError};
use super::limits::Permit;
use super::outcome::Outcome;
use super::outgoing::{Client, Outgoing};
use super::record::NamedCall;
use super::serve::{FoundCall, NoResult};
use super::state::Gateway;
use super::target::{RELAY, Target};
use crate::catalog::{CatalogServer, GatewayTools, ServerInfo, ServerSource};
use crate::compute;
use crate::json::{self, Members};
use search::SearchArguments;

/// The definitions of the built-in tools.
pub fn tools() -> GatewayTools {
    // A read-only key does not get `call_tool`, since the tools that it calls may change things.
    let definitions =
        serde_json::from_str(include_str!("builtin/tools.json")).expect("the file holds a list of objects");
    let info = ServerInfo {
        name: "gateway".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        instructions: Some(
            "The tools of the gateway itself: find tools of all servers, and call them.".into(),
        ),
        ..ServerInfo::default()
    };
    GatewayTools { info, definitions }
}

#[derive(Deserialize)]
struct DescribeArguments {
    server: String,
    tool: String,
}

#[derive(Deserialize)]
struct CallToolArguments<'a> {
    server: String,
    tool: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// The server that a call of the built-in tool `tool` is passed on to.
pub fn relayed_to(tool: &str, arguments: &[u8]) -> Option<String> {
    let call = (tool == RELAY).then(|| serde_json::from_slice::<CallToolArguments<'_>>(arguments))?;
    call.ok().map(|call| call.server)
}

/// Calls the built-in tool `tool`; the answer is the JSON text of a `CallToolResult`.
///
/// A relay passes `permit` on.
pub async fn call(
    gateway: &Gateway,
    context: &CallContext,
    tool: &str,
    arguments: Bytes,
    outgoing: Option<&Outgoing>,
    permit: Option<Permit>,
) -> Result<Bytes, CallError> {
    let context = &CallContext { caller: context.caller.out_of_profile(), ..context.clone() };
    let call = BuiltinCall { gateway, context, outgoing };
    let answer = match tool {
        "list_servers" => Ok(call.list_servers().await),
        "search_tools" => call.search_tools(&arguments).await,
        "describe_tool" => call.describe_tool(&arguments).await,
        "call_tool" => return call.call_tool(&arguments, permit).await,
        other => Err(format!("the gateway has no tool `{other}`")),
    };
    Ok(answer.map_or_else(|message| error_result(&message), |value| result(&value)))
}

fn parse<'a, T: Deserialize<'a>>(arguments: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(arguments).map_err(|error| format!("the arguments do not fit: {error}"))
}

/// One call of a built-in tool.
struct BuiltinCall<'a> {
    gateway: &'a Gateway,
    context: &'a CallContext,
    outgoing: Option<&'a Outgoing>,
}

impl BuiltinCall<'_> {
    /// The client that servers may ask for input.
    fn client(&self) -> Option<&Client> {
        self.outgoing?.client.as_ref()
    }

    async fn list_servers(&self) -> Value {
        let entries = self.gateway.servers(&self.context.caller).await.into_iter().map(|server| {
            let mut entry =
                json!({ "name": server.name, "state": server.state, "tools": server.tools.len() });
            if let Some(reason) = server.reason {
                entry["reason"] = reason.into();
            }
            entry
        });
        json!({ "servers": entries.collect::<Value>() })
    }

    async fn search_tools(&self, arguments: &[u8]) -> Result<Value, String> {
        let search: SearchArguments = parse(arguments)?;
        let own = match self.client() {
            Some(client) => self.gateway.client_catalog(self.context, client, |_| true).await,
            None => None,
        };
        let catalog = own.map_or_else(|| self.gateway.catalog_builder().catalog().clone(), Arc::new);
        let caller = self.context.caller.clone();
        // The texts of all tools are looked through.
        let search = move || search::search(&catalog, &caller, &search);
        Ok(compute::run(self.context.caller.owner("search_tools"), search).await)
    }

    async fn describe_tool(&self, arguments: &[u8]) -> Result<Value, String> {
        let name: DescribeArguments = parse(arguments)?;
        let target = self.find(&name).await.map_err(|error| not_found(&name, &error))?;
        let mut tool: Map<String, Value> = (*target.tool.definition).clone();
        tool.insert("server".into(), name.server.into());
        Ok(Value::Object(tool))
    }

    /// The tool that the caller names, also one that its server lists for this client alone.
    async fn find(&self, name: &DescribeArguments) -> Result<Target, FindError> {
        let found = self.gateway.find(&self.context.caller, &name.server, &name.tool).await;
        let upstream = || self.gateway.catalog_builder().catalog().server(&name.server)?.upstream().cloned();
        match (found, self.client()) {
            (Err(FindError::Tool), Some(client)) => {
                let upstream = upstream().ok_or(FindError::Tool)?;
                self.gateway
                    .find_for_client(self.context, &upstream, client, &name.tool, CatalogServer::tool)
                    .await
            }
            (found, _) => found,
        }
    }

    /// Calls a tool as a direct call would: progress and the server's questions to the client pass through.
    async fn call_tool(&self, arguments: &[u8], permit: Option<Permit>) -> Result<Bytes, CallError> {
        let Self { gateway, context, outgoing } = *self;
        let call: CallToolArguments<'_> = match parse(arguments) {
            Ok(call) => call,
            Err(message) => return Ok(error_result(&message)),
        };
        let inner = call.arguments.map_or("{}", RawValue::get);
        let name = DescribeArguments { server: call.server, tool: call.tool };
        let (names, began) = ((&*name.server, &*name.tool), Instant::now());
        let named = NamedCall::new(gateway, context, names, began);
        let target = match named.found(self.find(&name).await) {
            Ok(target) => target,
            Err(error) => return Ok(error_result(&not_found(&name, &error))),
        };
        if matches!(target.server.source, ServerSource::Gateway) {
            let why = "the gateway's own tools cannot be called through call_tool; call them directly";
            NamedCall::new(gateway, context, names, began).not_made(Outcome::INVALID_REQUEST.name(), why);
            return Ok(error_result(why));
        }
        let send = |inner| async {
            match outgoing {
                Some(_) => gateway.call_checked(context, &target, inner, outgoing, permit).await,
                None => gateway.call(context, &target, inner, permit).await,
            }
        };
        let classify = |result: Bytes| {
            let members = json::read::<Members<'_>>(&result);
            let is_error = members.is_ok_and(|members| members.read("isError").unwrap_or(false));
            (if is_error { Outcome::TOOL_ERROR } else { Outcome::OK }, result)
        };
        let found = FoundCall::new(context, &target, Bytes::copy_from_slice(inner.as_bytes()));
        Ok(match gateway.serve_call(found, send, classify).await {
            Ok(result) => result,
            Err(NoResult::Rpc(error)) => error_result(&error.message),
            Err(NoResult::Failed(CallError::Arguments(faults))) => {
                error_result(&format!("{}: {faults}", name.server))
            }
            Err(NoResult::Failed(error)) => {
                error_result(&format!("{}: {}", name.server, error.message_for(&context.caller)))
            }
        })
    }
}

fn not_found(name: &DescribeArguments, error: &FindError) -> String {
    match error {
        FindError::Server => format!("there is no server `{}`; list_servers names them", name.server),
        FindError::Tool => {
            format!("server `{}` has no tool `{}`; search_tools finds them", name.server, name.tool)
        }
        FindError::Quarantined(_)
        | FindError::Limited(_)
        | FindError::Unavailable(_)
        | FindError::Deadline { .. } => error.for_callers(),
    }
}

fn result(value: &Value) -> Bytes {
    let content = json!([{ "type": "text", "text": value.to_string() }]);
    json!({ "content": content, "structuredContent": value }).to_string().into()
}

/// The result of a call that succeeds with this text.
pub fn text_result(text: &str) -> Bytes {
    json!({ "content": [{ "type": "text", "text": text }] }).to_string().into()
}

/// A result with `isError`, for the model to read.
pub fn error_result(message: &str) -> Bytes {
    json!({ "content": [{ "type": "text", "text": message }], "isError": true }).to_string().into()
}
