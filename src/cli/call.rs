//! `mcpo call`: one call, its result on the standard output.

mod words;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::command_error::CommandError;
use super::exit;
use super::gateway_client::GatewayClient;
use super::output::Output;
use super::request::{GatewayRequest, GatewayResponse};
use super::server_list::{look_around, not_there, with_reason};
use crate::protocol::media_type::JSON;

pub use words::arguments;

/// Asks for the server's own `CallToolResult`.
const CALL_RESULT: &str = "application/vnd.mcp.call-result+json";

/// The target of the call.
#[derive(Debug)]
pub struct CallQuery {
    /// `None` where there is one server only.
    pub server: Option<String>,
    pub tool: String,
    /// The words behind the tool.
    pub words: Vec<String>,
    pub raw: bool,
}

/// Calls with `arguments` (see [`arguments`]) and prints what comes back; gives the exit code.
///
/// # Errors
///
/// When the call failed, also because the tool says so.
pub async fn run(
    client: &mut GatewayClient,
    call: &CallQuery,
    arguments: Bytes,
    output: Output,
) -> Result<u8, CommandError> {
    let server = call.server.as_deref();
    let mut answer = ask(client, call, arguments.clone()).await?;
    // Nothing was called when nothing is there, so it is safe to ask somewhere else.
    if answer.is_nothing_there() && look_around(client, server).await? {
        answer = ask(client, call, arguments).await?;
    }
    if answer.is_nothing_there() {
        return Err(not_there(client, server, Some(&call.tool)).await);
    }
    if answer.status != StatusCode::OK {
        return Err(with_reason(client, server, answer.status, client.failure(&answer)).await);
    }
    output.json(&answer.body)?;
    Ok(if call.raw && is_error(&answer) { exit::FAILURE } else { exit::SUCCESS })
}

async fn ask(
    client: &GatewayClient,
    call: &CallQuery,
    arguments: Bytes,
) -> Result<GatewayResponse, CommandError> {
    let path = client.root.path(call.server.as_deref(), &call.tool);
    let accept = if call.raw { CALL_RESULT } else { JSON };
    client.send(GatewayRequest::call(path, accept, arguments)).await
}

fn is_error(answer: &GatewayResponse) -> bool {
    let result: Option<Value> = serde_json::from_slice(&answer.body).ok();
    result.is_some_and(|result| result["isError"] == Value::Bool(true))
}
