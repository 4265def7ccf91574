//! JSON-RPC messages as bytes: what a server sends is sorted (our own requests are written in [`super::request`]).
//!
//! Answers to calls never pass rmcp: its typed parsing costs milliseconds a megabyte on the task that
//! serves the whole connection, and drops what its types do not know. So a message is only looked at far
//! enough to know whose it is ([`sort`]); the caller parses its own answer, on its own task, once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::farewell::Farewell;

/// Ids of our own requests start here. rmcp counts its own up from 0, and servers that keep ids in 32
/// signed bits must be able to echo ours.
pub const FIRST_ID: u32 = 1 << 30;
/// After this id the numbers start again at [`FIRST_ID`].
pub const LAST_ID: u32 = i32::MAX as u32;

/// Whose a message is.
#[derive(Debug, PartialEq)]
pub enum Sorted {
    /// The answer to our request `id`; `result` lies at this range of the message, not yet validated.
    Result { id: u32, range: Range<usize> },
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

/// How far a message's end is looked through for members behind its result: this, and a part of its length.
const LOOKED_THROUGH: usize = 4 << 10;
const PART_LOOKED_THROUGH: usize = 64;

/// Sorts one message. The two shapes that the official SDKs write are told by their first and last bytes,
/// whatever lies between, so a megabyte of result costs its connection nothing.
///
/// A message of such a shape answers the request that it names there even when it is no JSON, or names another request as
/// well: the caller is told at once that the answer cannot be read.
pub fn sort(message: &[u8]) -> Sorted {
    let shaped = shape_of_the_python_and_rust_sdks(message).or_else(|| shape_of_the_typescript_sdk(message));
    let Some((id, range)) = shaped else { return any_shape(message) };
    if seems_one_object(&message[range.clone()]) {
        return Sorted::Result { id, range };
    }
    match any_shape(message) {
        Sorted::Other => Sorted::Result { id, range },
        sorted => sorted,
    }
}

/// `{"jsonrpc":"2.0","id":7,"result":...}`
fn shape_of_the_python_and_rust_sdks(message: &[u8]) -> Option<(u32, Range<usize>)> {
    let rest = message.strip_prefix(PREFIX)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let id = own_id(&rest[..digits])?;
    rest[digits..].strip_prefix(RESULT_KEY)?;
    let end = message.len().checked_sub(1).filter(|&last| message[last] == b'}')?;
    let start = PREFIX.len() + digits + RESULT_KEY.len();
    (start <= end).then_some((id, start..end))
}

/// `{"result":...,"jsonrpc":"2.0","id":7}`: the last brace closes the message, so what stands before it
/// stands at the top level, too.
fn shape_of_the_typescript_sdk(message: &[u8]) -> Option<(u32, Range<usize>)> {
    message.strip_prefix(RESULT_FIRST)?;
    let body = message.strip_suffix(b"}")?;
    let digits = body.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let id = own_id(&body[body.len() - digits..])?;
    let before = body[..body.len() - digits].strip_suffix(SUFFIX)?;
    let (start, end) = (RESULT_FIRST.len(), before.len());
    (start <= end).then_some((id, start..end))
}

/// Whether the text is one object, and no further members of the message stand behind it: those would end up in the
/// result, and such a message takes the long way. Only a member of more than [`LOOKED_THROUGH`] bytes is overlooked.
fn seems_one_object(text: &[u8]) -> bool {
    if !text.starts_with(b"{") || !text.ends_with(b"}") {
        return false;
    }
    let first = text.len().saturating_sub(LOOKED_THROUGH.max(text.len() / PART_LOOKED_THROUGH));
    // Most texts end here: further members stand behind a closing brace.
    let mut closed = memchr::memchr_iter(b'}', &text[first..]);
    if !closed.any(|at| begins_a_member(&text[first + at + 1..])) {
        return true;
    }
    let (mut depth, mut at) = (0_usize, text.len());
    while at > first {
        at -= 1;
        match text[at] {
            b'}' | b']' => depth += 1,
            b'{' | b'[' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at == 0;
                }
            }
            // The end of a string: on at its beginning.
            b'"' => loop {
                let Some(quote) = memchr::memrchr(b'"', &text[first..at]) else { return first > 0 };
                at = first + quote;
                let escapes = text[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                if escapes.is_multiple_of(2) {
                    break;
                }
            },
            _ => {}
        }
    }
    // Its beginning lies further in front.
    first > 0
}

/// Whether a comma and a name stand here.
fn begins_a_member(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.strip_prefix(b",").is_some_and(|text| text.trim_ascii_start().starts_with(b"\""))
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
