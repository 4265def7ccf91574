//! The built-in server `gateway`: tools to list servers, search tools, describe one and call one.
//!
//! Its inner calls are made for the caller, and cannot reach `gateway` again. They see what the caller's key opens, in
//! whatever profile these tools are shown: a profile says what a client lists, and one that lists little but `gateway`
//! is how a client with a small tool budget gets all the rest. What nobody may reach is kept from the key itself.

mod search;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{
    CallContext, CallError, FindError, FoundCall, Gateway, NamedCall, NoResult, Outcome, Outgoing, Target,
    Turn, record,
};
use crate::catalog::{Caller, CatalogServer, OwnTools, ServerInfo, ServerSource};
use crate::compute;
use crate::upstream::Definition;
use search::Search;

/// Tools that one search answers with, unless the caller asks for another number.
const SEARCH_LIMIT: usize = 20;

/// The definitions of the built-in tools.
pub fn tools() -> OwnTools {
    let string = |description: &str| json!({ "type": "string", "description": description });
    let server = || string("Name of the server, as list_servers gives it");
    let tool = || string("Name of the tool, as search_tools gives it");
    let definitions = vec![
        define(
            "list_servers",
            "List servers",
            "List the MCP servers behind this gateway with their state and their number of tools.",
            json!({ "type": "object", "properties": {}, "additionalProperties": false }),
            true,
        ),
        define(
            "search_tools",
            "Search tools",
            "Find tools of all servers by words in their names and descriptions, the likeliest first; without a \
             query, list them. Call what is found with call_tool.",
            json!({
                "type": "object",
                "properties": {
                    "query": string("Words to look for; a tool matches when it holds all of them"),
                    "server": server(),
                    "limit": {
                        "type": "integer", "minimum": 1, "maximum": 200, "default": SEARCH_LIMIT,
                        "description": "Tools to answer with at most"
                    },
                    "schemas": {
                        "type": "boolean", "default": false,
                        "description": "Whether to answer with the JSON Schema of each tool's arguments, too"
                    },
                },
                "additionalProperties": false
            }),
            true,
        ),
        define(
            "describe_tool",
            "Describe a tool",
            "Show one tool whole: its description and the JSON Schema of its arguments.",
            json!({
                "type": "object",
                "properties": { "server": server(), "tool": tool() },
                "required": ["server", "tool"],
                "additionalProperties": false
            }),
            true,
        ),
        define(
            "call_tool",
            "Call a tool",
            "Call one tool of one server and answer with its result.",
            json!({
                "type": "object",
                "properties": {
                    "server": server(),
                    "tool": tool(),
                    "arguments": { "type": "object", "description": "Arguments, by the schema that describe_tool shows" },
                },
                "required": ["server", "tool"],
                "additionalProperties": false
            }),
            // What it calls may change things; so a read-only key does not get it.
            false,
        ),
    ];
    let info = ServerInfo {
        name: "gateway".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        instructions: Some(
            "The tools of the gateway itself: find tools of all servers, and call them.".into(),
        ),
        protocol: String::new(),
        ..ServerInfo::default()
    };
    OwnTools { info, definitions }
}

fn define(name: &str, title: &str, description: &str, input: Value, read_only: bool) -> Definition {
    let tool = json!({
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": input,
        "annotations": { "readOnlyHint": read_only },
    });
    match tool {
        Value::Object(tool) => Arc::new(tool),
        _ => unreachable!("the literal above is an object"),
    }
}

#[derive(Deserialize)]
struct Name {
    server: String,
    tool: String,
}

#[derive(Deserialize)]
struct Call<'a> {
    server: String,
    tool: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

/// What the log wants to know of a result.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claims {
    #[serde(default)]
    is_error: bool,
}

/// Whether the built-in tool `tool` only passes a call on.
pub fn is_relay(tool: &str) -> bool {
    tool == "call_tool"
}

/// The server that a call of the built-in tool `tool` is passed on to.
pub fn relayed_to(tool: &str, arguments: &[u8]) -> Option<String> {
    let call = is_relay(tool).then(|| serde_json::from_slice::<Call<'_>>(arguments))?;
    call.ok().map(|call| call.server)
}

/// Calls built-in tool `tool`, which passes `turn` on if it is a relay; the answer is the JSON text of a `CallToolResult`.
pub async fn call(
    gateway: &Gateway,
    context: &CallContext,
    tool: &str,
    arguments: Bytes,
    outgoing: Option<&Outgoing>,
    turn: Option<Turn>,
) -> Result<Bytes, CallError> {
    let context = &CallContext { caller: context.caller.out_of_profile(), ..context.clone() };
    let caller = &context.caller;
    let answer = match tool {
        "list_servers" => Ok(list_servers(gateway, caller).await),
        "search_tools" => match parse::<Search>(&arguments) {
            Ok(search) => {
                let own = match outgoing.and_then(|outgoing| outgoing.client.as_ref()) {
                    Some(client) => gateway.offered_together(context, client, |_| true).await,
                    None => None,
                };
                let catalog = own.map_or_else(|| gateway.keeper().catalog().clone(), Arc::new);
                let searching = caller.clone();
                // The texts of all tools are looked through.
                let search = move || search::search(&catalog, &searching, &search);
                Ok(compute::run(caller.owner("search_tools"), search).await)
            }
            Err(error) => Err(error),
        },
        "describe_tool" => match parse::<Name>(&arguments) {
            Ok(name) => describe_tool(gateway, context, &name, outgoing).await,
            Err(error) => Err(error),
        },
        "call_tool" => return call_tool(gateway, context, &arguments, outgoing, turn).await,
        other => Err(format!("the gateway has no tool `{other}`")),
    };
    Ok(match answer {
        Ok(value) => result(&value),
        Err(message) => failure(&message),
    })
}

fn parse<'a, T: Deserialize<'a>>(arguments: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(arguments).map_err(|error| format!("the arguments do not fit: {error}"))
}

async fn list_servers(gateway: &Gateway, caller: &Caller) -> Value {
    let servers: Vec<Value> = gateway
        .servers(caller)
        .await
        .into_iter()
        .map(|server| {
            let mut entry = json!({
                "name": server.name, "state": server.state, "tools": server.tools.len(),
            });
            if let Some(reason) = server.reason {
                entry["reason"] = reason.into();
            }
            entry
        })
        .collect();
    json!({ "servers": servers })
}

async fn describe_tool(
    gateway: &Gateway,
    context: &CallContext,
    name: &Name,
    outgoing: Option<&Outgoing>,
) -> Result<Value, String> {
    let target = find(gateway, context, name, outgoing).await.map_err(|error| not_found(name, &error))?;
    let mut tool: Map<String, Value> = (*target.tool.definition).clone();
    tool.insert("server".into(), name.server.clone().into());
    Ok(Value::Object(tool))
}

/// The tool that a caller means, also among those that a server has for this client alone.
async fn find(
    gateway: &Gateway,
    context: &CallContext,
    name: &Name,
    outgoing: Option<&Outgoing>,
) -> Result<Target, FindError> {
    let found = gateway.find(&context.caller, &name.server, &name.tool).await;
    let upstream = || gateway.keeper().catalog().server(&name.server)?.upstream().cloned();
    match (found, outgoing.and_then(|outgoing| outgoing.client.as_ref())) {
        (Err(FindError::Tool), Some(client)) => {
            let upstream = upstream().ok_or(FindError::Tool)?;
            gateway.find_offered(context, &upstream, client, &name.tool, CatalogServer::tool).await
        }
        (found, _) => found,
    }
}

/// Calls a tool as its server would be called directly: progress, and what the server asks the client, pass through.
async fn call_tool(
    gateway: &Gateway,
    context: &CallContext,
    arguments: &[u8],
    outgoing: Option<&Outgoing>,
    turn: Option<Turn>,
) -> Result<Bytes, CallError> {
    let call: Call<'_> = match parse(arguments) {
        Ok(call) => call,
        Err(message) => return Ok(failure(&message)),
    };
    let inner = call.arguments.map_or("{}", RawValue::get);
    let name = Name { server: call.server, tool: call.tool };
    let (names, began) = ((&*name.server, &*name.tool), Instant::now());
    let named = NamedCall::new(gateway, context, names, began);
    let target = match named.found(find(gateway, context, &name, outgoing).await) {
        Ok(target) => target,
        Err(error) => return Ok(failure(&not_found(&name, &error))),
    };
    if matches!(target.server.source, ServerSource::Gateway) {
        let why = "the gateway's own tools cannot be called through call_tool; call them directly";
        record::not_made(gateway, context, names, began, Outcome::InvalidRequest.name(), why);
        return Ok(failure(why));
    }
    let send = |inner| async {
        match outgoing {
            Some(_) => gateway.call_checked(context, &target, inner, outgoing, turn).await,
            None => gateway.call(context, &target, inner, turn).await,
        }
    };
    let classify = |result: Bytes| {
        let claims: Claims = serde_json::from_slice(&result).unwrap_or_default();
        (if claims.is_error { Outcome::ToolError } else { Outcome::Ok }, result)
    };
    let found = FoundCall::new(context, &target, Bytes::copy_from_slice(inner.as_bytes()));
    Ok(match gateway.serve_call(found, send, classify).await {
        Ok(result) => result,
        Err(NoResult::Rpc(error)) => failure(&error.message),
        Err(NoResult::Failed(error)) => {
            failure(&format!("{}: {}", name.server, explain(&error, &context.caller)))
        }
    })
}

fn explain(error: &CallError, caller: &Caller) -> String {
    match error {
        CallError::Arguments(faults) => faults.to_string(),
        other => other.told(caller),
    }
}

fn not_found(name: &Name, error: &FindError) -> String {
    match error {
        FindError::Server => format!("there is no server `{}`; list_servers names them", name.server),
        FindError::Tool => {
            format!("server `{}` has no tool `{}`; search_tools finds them", name.server, name.tool)
        }
        FindError::Quarantined(_) | FindError::Limited(_) | FindError::Unavailable(_) => error.for_callers(),
        FindError::Deadline { after } => {
            format!("the server did not get ready within {} s", after.as_secs_f32())
        }
    }
}

#[derive(Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: &'a str,
}

fn result(value: &Value) -> Bytes {
    let text = value.to_string();
    let content = [Text { r#type: "text", text: &text }];
    to_bytes(&json!({ "content": content, "structuredContent": value }))
}

fn failure(message: &str) -> Bytes {
    let content = [Text { r#type: "text", text: message }];
    to_bytes(&json!({ "content": content, "isError": true }))
}

fn to_bytes(value: &Value) -> Bytes {
    value.to_string().into_bytes().into()
}
