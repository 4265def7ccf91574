//! `mcpo call`: one call, its result on the standard output.

mod words;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;

use super::door::{Answer, Ask, Door};
use super::output::Output;
use super::trouble::Trouble;
use super::{exit, states};
use crate::protocol::media_type::JSON;

pub use words::arguments;

/// Asks for the server's own `CallToolResult`.
const CALL_RESULT: &str = "application/vnd.mcp.call-result+json";

/// What is to be called.
#[derive(Debug)]
pub struct Call {
    /// `None` where there is one server only.
    pub server: Option<String>,
    pub tool: String,
    /// What was typed behind the tool.
    pub words: Vec<String>,
    pub raw: bool,
}

/// Calls with `arguments` (see [`arguments`]) and prints what comes back; gives the exit code.
///
/// # Errors
///
/// When the call failed, also because the tool says so.
pub async fn run(door: &mut Door, call: &Call, arguments: Bytes, output: Output) -> Result<u8, Trouble> {
    let server = call.server.as_deref();
    let mut answer = ask(door, call, arguments.clone()).await?;
    // Nothing was called when nothing is there, so it is safe to ask somewhere else.
    if answer.is_nothing_there() && door.look_around(server).await? {
        answer = ask(door, call, arguments).await?;
    }
    if answer.is_nothing_there() {
        return Err(states::not_there(door, server, Some(&call.tool)).await);
    }
    if answer.status != StatusCode::OK {
        return Err(states::with_reason(door, server, answer.status, door.failure(&answer)).await);
    }
    output.json(&answer.body)?;
    Ok(if call.raw && is_error(&answer) { exit::FAILURE } else { exit::SUCCESS })
}

async fn ask(door: &Door, call: &Call, arguments: Bytes) -> Result<Answer, Trouble> {
    let path = door.mount().path(call.server.as_deref(), &call.tool);
    let accept = if call.raw { CALL_RESULT } else { JSON };
    door.ask(Ask::call(path, accept, arguments)).await
}

fn is_error(answer: &Answer) -> bool {
    let result: Option<Value> = serde_json::from_slice(&answer.body).ok();
    result.is_some_and(|result| result["isError"] == Value::Bool(true))
}
