//! JSON-RPC messages as bytes: our own requests are written here, and what a server sends is sorted.
//!
//! Answers to calls never pass rmcp: its typed parsing costs milliseconds a megabyte on the task that
//! serves the whole connection, and drops what its types do not know. So a message is only looked at far
//! enough to know whose it is ([`sort`]); the caller parses its own answer, on its own task, once.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::farewell::Farewell;
use crate::trace::TraceContext;

/// Ids of our own requests start here. rmcp counts its own up from 0, and servers that keep ids in 32
/// signed bits must be able to echo ours.
pub const FIRST_ID: u32 = 1 << 30;
/// After this id the numbers start again at [`FIRST_ID`].
pub const LAST_ID: u32 = i32::MAX as u32;

/// A request that the gateway itself sends.
#[derive(Debug, Clone, Copy)]
pub enum Request<'a> {
    /// `tools/call`; `arguments` is the JSON text of an object without raw newlines.
    CallTool {
        name: &'a str,
        arguments: &'a [u8],
        /// Further members of `_meta`, as JSON text without the braces; `""` for none.
        meta: &'a str,
        ask_progress: bool,
        /// The trace that the call belongs to, with the span that the server is to hang its own on.
        trace: Option<&'a TraceContext>,
    },
    /// `tools/list`, one page.
    ListTools { cursor: Option<&'a str> },
    /// Any other request; `params` is the JSON text of an object without raw newlines.
    Other { method: &'a str, params: &'a [u8] },
}

impl Request<'_> {
    /// The message as one line, newline included. The id doubles as the progress token.
    pub fn encode(&self, id: u32) -> Vec<u8> {
        let mut line = Vec::with_capacity(192);
        match self {
            Self::CallTool { name, arguments, meta: more, ask_progress, trace } => {
                line.reserve(name.len() + arguments.len());
                head(&mut line, id, "tools/call");
                line.extend_from_slice(b"{\"name\":");
                string(&mut line, name);
                line.extend_from_slice(b",\"arguments\":");
                line.extend_from_slice(arguments);
                meta(&mut line, ask_progress.then_some(id), *trace, more);
                line.extend_from_slice(b"}}\n");
            }
            Self::ListTools { cursor } => {
                head(&mut line, id, "tools/list");
                line.push(b'{');
                if let Some(cursor) = cursor {
                    line.extend_from_slice(b"\"cursor\":");
                    string(&mut line, cursor);
                }
                line.extend_from_slice(b"}}\n");
            }
            Self::Other { method, params } => {
                line.reserve(method.len() + params.len());
                line.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
                number(&mut line, id);
                line.extend_from_slice(b",\"method\":");
                string(&mut line, method);
                line.extend_from_slice(b",\"params\":");
                line.extend_from_slice(params);
                line.extend_from_slice(b"}\n");
            }
        }
        line
    }
}

impl<'a> Request<'a> {
    /// The trace that the request belongs to; transports with headers pass it on there, too.
    pub fn trace(&self) -> Option<&'a TraceContext> {
        match self {
            Self::CallTool { trace, .. } => *trace,
            Self::ListTools { .. } | Self::Other { .. } => None,
        }
    }
}

/// `_meta`, when there is something in it. The names of the trace are those of SEP-414.
fn meta(line: &mut Vec<u8>, progress_token: Option<u32>, trace: Option<&TraceContext>, more: &str) {
    let start = line.len();
    if let Some(token) = progress_token {
        line.extend_from_slice(b",\"progressToken\":");
        number(line, token);
    }
    if let Some(trace) = trace {
        line.extend_from_slice(b",\"traceparent\":");
        string(line, trace.traceparent());
        if let Some(state) = trace.tracestate() {
            line.extend_from_slice(b",\"tracestate\":");
            string(line, state);
        }
    }
    if !more.is_empty() {
        line.push(b',');
        line.extend_from_slice(more.as_bytes());
    }
    if line.len() > start {
        line.splice(start..=start, *b",\"_meta\":{");
        line.push(b'}');
    }
}

/// The notification that a request was given up, as one line.
pub fn cancelled(id: u32) -> Vec<u8> {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":{id},\
         \"reason\":\"the caller left or its deadline passed\"}}}}\n"
    )
    .into_bytes()
}

fn head(line: &mut Vec<u8>, id: u32, method: &str) {
    line.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    number(line, id);
    line.extend_from_slice(b",\"method\":\"");
    line.extend_from_slice(method.as_bytes());
    line.extend_from_slice(b"\",\"params\":");
}

fn number(line: &mut Vec<u8>, value: u32) {
    use std::io::Write as _;
    write!(line, "{value}").expect("writing into a Vec cannot fail");
}

fn string(line: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(line, text).expect("a string is always JSON, and a Vec always takes it");
}

/// Whose a message is.
#[derive(Debug, PartialEq)]
pub enum Sorted {
    /// The answer to our request `id`; `result` lies at this range of the message, not yet validated.
    Result { id: u32, range: std::ops::Range<usize> },
    /// An error that answers our request `id`.
    Error { id: u32, error: RpcError },
    /// Progress of our request `id`.
    Progress { id: u32 },
    /// The server's process has ended; nothing follows.
    Farewell(Farewell),
    /// Everything else is rmcp's.
    Other,
}

/// A JSON-RPC error as the server sent it.
#[derive(Debug, Clone, Deserialize)]
pub struct RpcError {
    pub code: i64,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
}

impl RpcError {
    /// JSON-RPC's "internal error", for errors that name no code.
    const INTERNAL: i64 = -32603;

    fn lenient(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let message = value.get("message").or(Some(&value)).and_then(serde_json::Value::as_str);
            Self {
                code: value.get("code").and_then(serde_json::Value::as_i64).unwrap_or(Self::INTERNAL),
                message: message.unwrap_or("the server answered with an error that says nothing").to_owned(),
                data: None,
            }
        })
    }
}

impl PartialEq for RpcError {
    fn eq(&self, other: &Self) -> bool {
        self.code == other.code
            && self.message == other.message
            && self.data.as_ref().map(|data| data.get()) == other.data.as_ref().map(|data| data.get())
    }
}

/// [`super::farewell::METHOD`] as it stands in a message.
const FAREWELL: &str = r#""notifications/mcpo/ended""#;
const PREFIX: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":";
const RESULT_KEY: &[u8] = b",\"result\":";
const RESULT_FIRST: &[u8] = b"{\"result\":";
const SUFFIX: &[u8] = b",\"jsonrpc\":\"2.0\",\"id\":";

/// Sorts one message. The two shapes that the official SDKs write are told by their first or last bytes,
/// whatever lies between, so a megabyte of result costs its connection nothing.
pub fn sort(message: &[u8]) -> Sorted {
    shape_of_the_python_and_rust_sdks(message)
        .or_else(|| shape_of_the_typescript_sdk(message))
        .unwrap_or_else(|| any_shape(message))
}

/// `{"jsonrpc":"2.0","id":7,"result":...}`
fn shape_of_the_python_and_rust_sdks(message: &[u8]) -> Option<Sorted> {
    let rest = message.strip_prefix(PREFIX)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let id = own_id(&rest[..digits])?;
    rest[digits..].strip_prefix(RESULT_KEY)?;
    let end = message.len().checked_sub(1).filter(|&last| message[last] == b'}')?;
    let start = PREFIX.len() + digits + RESULT_KEY.len();
    // A key after `result` would end up in the range; such a message takes the long way.
    matches!(message.get(start..end)?.last(), Some(b'}')).then_some(Sorted::Result { id, range: start..end })
}

/// `{"result":...,"jsonrpc":"2.0","id":7}`: the last brace closes the message, so what stands before it
/// stands at the top level, too.
fn shape_of_the_typescript_sdk(message: &[u8]) -> Option<Sorted> {
    message.strip_prefix(RESULT_FIRST)?;
    let body = message.strip_suffix(b"}")?;
    let digits = body.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let id = own_id(&body[body.len() - digits..])?;
    let before = body[..body.len() - digits].strip_suffix(SUFFIX)?;
    Some(Sorted::Result { id, range: RESULT_FIRST.len()..before.len() })
}

fn own_id(digits: &[u8]) -> Option<u32> {
    let id: u32 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (FIRST_ID..=LAST_ID).contains(&id).then_some(id)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressParams {
    progress_token: u32,
}

/// The long way: every shape that is JSON. Members are kept as text, so that an odd one (an error without
/// a code, a result that is null) does not hide whose answer it is.
fn any_shape(message: &[u8]) -> Sorted {
    let Ok(members) = serde_json::from_slice::<HashMap<Cow<'_, str>, &RawValue>>(message) else {
        return Sorted::Other;
    };
    let text = |name: &str| members.get(name).map(|value| value.get());
    if text("method") == Some(r#""notifications/progress""#) {
        let params = text("params").and_then(|params| serde_json::from_str(params).ok());
        return match params {
            Some(ProgressParams { progress_token: id }) if (FIRST_ID..=LAST_ID).contains(&id) => {
                Sorted::Progress { id }
            }
            _ => Sorted::Other,
        };
    }
    if text("method") == Some(FAREWELL) {
        let farewell = text("params").and_then(Farewell::parse);
        return farewell.map_or(Sorted::Other, Sorted::Farewell);
    }
    // Some servers send numeric ids back as strings.
    let id = text("id").and_then(|id| own_id(id.trim_matches('"').as_bytes()));
    match (id, text("error").filter(|error| *error != "null"), text("result")) {
        (Some(id), Some(error), _) => Sorted::Error { id, error: RpcError::lenient(error) },
        (Some(id), None, Some(result)) => {
            let start = result.as_ptr() as usize - message.as_ptr() as usize;
            Sorted::Result { id, range: start..start + result.len() }
        }
        _ => Sorted::Other,
    }
}

/// What a server answered to one of our requests.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The JSON text of `result`, as the server sent it; not validated.
    Result(Bytes),
    Error(RpcError),
}

#[cfg(test)]
mod tests;
