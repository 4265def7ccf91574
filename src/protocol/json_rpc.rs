//! Writing JSON-RPC 2.0 messages from JSON text: ids, parameters and results keep their bytes.

use std::fmt::Display;

use bytes::Bytes;
use serde_json::Value;

/// A request; `params` is the JSON text of an object.
pub fn request(id: impl Display, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{},"params":{params}}}"#, Value::from(method))
}

/// A notification without parameters.
pub fn notification(method: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}"}}"#)
}

/// A notification; `params` is the JSON text of an object.
pub fn notification_with(method: &str, params: impl Display) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)
}

/// The answer to the request `id`; `outcome` is its member `"result":...` or `"error":...`.
pub fn answer(id: impl Display, outcome: impl Display) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},{outcome}}}"#)
}

/// The member `"error":...` of an answer.
pub fn error(code: i64, message: &str) -> String {
    error_with(code, message, None)
}

/// The member `"error":...` of an answer; `data` is JSON text.
pub fn error_with(code: i64, message: &str, data: Option<&str>) -> String {
    let data = data.map(|data| format!(",\"data\":{data}")).unwrap_or_default();
    format!(r#""error":{{"code":{code},"message":{}{data}}}"#, Value::from(message))
}

/// The answer to the request `id` with the JSON text of its result, which may be large.
pub fn result(id: &str, result: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(id.len() + result.len() + 36);
    text.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    text.extend_from_slice(id.as_bytes());
    text.extend_from_slice(b",\"result\":");
    text.extend_from_slice(result);
    text.push(b'}');
    text.into()
}
