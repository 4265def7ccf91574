//! JSON-RPC messages as bytes: what a server sends is sorted (our own requests are written in [`crate::upstream::request`]).
//!
//! Typed parsing costs milliseconds a megabyte on the task that serves the whole connection, and drops members that
//! the types do not know. So a message is only looked at far enough to find its request ([`sort`]); the caller parses
//! its own answer, on its own task, once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::error_code::INTERNAL_ERROR;
use crate::protocol::{json_rpc, method, notification};
use crate::upstream::exit_notice::{self, ExitNotice};

/// Ids of our own requests start here. `initialize` has 0, and servers that keep ids in 32 signed bits must be able to
/// echo ours.
pub const FIRST_ID: u32 = 1 << 30;
/// After this id the numbers start again at [`FIRST_ID`].
pub const LAST_ID: u32 = i32::MAX as u32;

/// The kind of a message, with the request that it belongs to.
#[derive(Debug, PartialEq)]
pub enum Sorted {
    /// The answer to our request `id`; `result` lies at this range of the message, not yet validated.
    Result { id: u32, range: Range<usize> },
    /// An error that answers our request `id`.
    Error { id: u32, error: RpcError },
    /// Progress of our request `id`.
    Progress { id: u32 },
    /// The server's process has ended; nothing follows.
    ExitNotice(ExitNotice),
    /// A request with one of our ids: perhaps our own, written back.
    Echo { id: u32 },
    /// The line is not a JSON object, so it is not a message.
    NotJson,
    /// Every other message.
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
    fn lenient(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| {
            let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let message = value.get("message").or(Some(&value)).and_then(serde_json::Value::as_str);
            Self {
                code: value.get("code").and_then(serde_json::Value::as_i64).unwrap_or(INTERNAL_ERROR),
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

const PREFIX: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":";
const RESULT_KEY: &[u8] = b",\"result\":";
const RESULT_FIRST: &[u8] = b"{\"result\":";
const SUFFIX: &[u8] = b",\"jsonrpc\":\"2.0\",\"id\":";

/// How far a message's end is looked through for members behind its result: this, and a part of its length.
const LOOKED_THROUGH: usize = 4 << 10;
const PART_LOOKED_THROUGH: usize = 64;

/// Sorts one message. The two shapes that the official SDKs write are recognized by their first and last bytes,
/// whatever lies between, so a megabyte of result costs its connection nothing.
///
/// A message of such a shape answers its request even when it is not valid JSON, or names another request as well:
/// the caller then sees at once that the answer cannot be read.
pub fn sort(message: &[u8]) -> Sorted {
    let shaped = shape_of_the_python_and_rust_sdks(message).or_else(|| shape_of_the_typescript_sdk(message));
    let Some((id, range)) = shaped else { return any_shape(message) };
    if seems_one_object(&message[range.clone()]) {
        return Sorted::Result { id, range };
    }
    match any_shape(message) {
        Sorted::Other | Sorted::NotJson => Sorted::Result { id, range },
        sorted => sorted,
    }
}

/// The messages of one body: several stand in an array (2025-03-26, "Batching").
pub fn each(body: &Bytes) -> Vec<Bytes> {
    if body.trim_ascii_start().first() == Some(&b'[')
        && let Ok(messages) = serde_json::from_slice::<Vec<&RawValue>>(body)
    {
        return messages.into_iter().map(|message| body.slice_ref(message.get().as_bytes())).collect();
    }
    vec![body.clone()]
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

/// The id in ASCII digits, if it is one of ours.
pub fn own_id(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok().filter(is_own)
}

fn is_own(id: &u32) -> bool {
    (FIRST_ID..=LAST_ID).contains(id)
}

/// The id in a JSON text: some servers send it back as a string, or as a fraction (`7.0`).
pub fn number(id: &str) -> Option<u32> {
    let id = id.trim_matches('"');
    if let Ok(id) = id.parse() {
        return Some(id);
    }
    let id: f64 = id.parse().ok()?;
    let is_whole = id.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&id);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number in bounds"
    )]
    is_whole.then_some(id as u32)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressParams<'a> {
    #[serde(borrow)]
    progress_token: &'a RawValue,
}

/// The slow path: any shape that is JSON. Members are kept as text, so that an odd one (an error without a code, a
/// result that is null) does not hide the request.
fn any_shape(message: &[u8]) -> Sorted {
    let Ok(members) = serde_json::from_slice::<HashMap<Cow<'_, str>, &RawValue>>(message) else {
        return Sorted::NotJson;
    };
    let text = |name: &str| members.get(name).map(|value| value.get());
    let method = text("method").map(|method| method.trim_matches('"'));
    if method == Some(notification::PROGRESS) {
        let params =
            text("params").and_then(|params| serde_json::from_str::<ProgressParams<'_>>(params).ok());
        let id = params.and_then(|params| number(params.progress_token.get())).filter(is_own);
        return id.map_or(Sorted::Other, |id| Sorted::Progress { id });
    }
    if method == Some(exit_notice::METHOD) {
        let exit_notice = text("params").and_then(ExitNotice::parse);
        return exit_notice.map_or(Sorted::Other, Sorted::ExitNotice);
    }
    let id = text("id").and_then(number).filter(is_own);
    match (id, text("error").filter(|error| *error != "null"), text("result")) {
        (Some(id), Some(error), _) => Sorted::Error { id, error: RpcError::lenient(error) },
        (Some(id), None, Some(result)) => {
            let start = result.as_ptr() as usize - message.as_ptr() as usize;
            Sorted::Result { id, range: start..start + result.len() }
        }
        // Servers may number their own requests as we do.
        (Some(id), None, None)
            if method.is_some_and(|name| name != method::PING && !method::OF_SERVERS.contains(&name)) =>
        {
            Sorted::Echo { id }
        }
        _ => Sorted::Other,
    }
}

/// The answer of a server to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The JSON text of `result`, as the server sent it; not validated.
    Result(Bytes),
    Error(RpcError),
}

impl Reply {
    /// The id of a message that is one.
    pub fn id(message: &[u8]) -> Option<u32> {
        Self::read(&Bytes::copy_from_slice(message))?.0
    }

    /// An error response for the message `id`, whose answer came in no valid form.
    pub fn refusal(id: u32, why: &str) -> Bytes {
        json_rpc::answer(id, json_rpc::error(INTERNAL_ERROR, why)).into()
    }

    /// Reads a message that is a response, with its id. The id is missing when the server could not read the request.
    pub fn read(message: &Bytes) -> Option<(Option<u32>, Self)> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            #[serde(borrow)]
            result: Option<&'a RawValue>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
        }
        let Members { id, result, error }: Members<'_> = serde_json::from_slice(message).ok()?;
        let answer = match (error.filter(|error| error.get() != "null"), result) {
            (Some(error), _) => Self::Error(RpcError::lenient(error.get())),
            (None, result) => Self::Result(message.slice_ref(result?.get().as_bytes())),
        };
        Some((id.map(|id| number(id.get())).unwrap_or_default(), answer))
    }
}

#[cfg(test)]
mod tests;
