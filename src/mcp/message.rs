//! A JSON-RPC message of a client. Its id and params stay text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::response::fault::Fault;
use crate::json;
use crate::protocol::error_code::PARSE_ERROR;

/// One message.
#[derive(Debug)]
pub enum Message<'a> {
    Request {
        /// The JSON text of a string or a number.
        id: &'a str,
        method: Cow<'a, str>,
        /// The JSON text of an object; `{}` when the client sent none.
        params: &'a str,
    },
    Notification {
        method: Cow<'a, str>,
        params: &'a str,
    },
    /// The client's response to a request of the gateway.
    Response {
        /// JSON text.
        id: &'a str,
        /// The result or the error, JSON text.
        answer: Result<&'a str, &'a str>,
    },
}

/// The client's answer to one question, its result or its error, as JSON text.
pub type ClientAnswer = Result<Box<str>, Box<str>>;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// # Errors
    ///
    /// JSON-RPC's parse error (-32700) or invalid request (-32600). Several messages in an array are refused: MCP
    /// has had none since revision 2025-06-18.
    pub fn parse(body: &'a [u8]) -> Result<Self, Fault> {
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(Fault::invalid_request(
                "several messages in one request are not supported: send each by itself",
            ));
        }
        let envelope: Envelope<'a> = match json::read(body) {
            Ok(envelope) => envelope,
            Err(error) if error.is_data() => {
                return Err(Fault::invalid_request("this is no JSON-RPC message"));
            }
            Err(error) => {
                let place = format!("line {}, column {}", error.line(), error.column());
                return Err(Fault::new(PARSE_ERROR, format!("the body is no JSON ({place})")));
            }
        };
        if envelope.jsonrpc.as_deref() != Some("2.0") {
            return Err(Fault::invalid_request("`jsonrpc` must be \"2.0\""));
        }
        let params = envelope.params.map_or("{}", RawValue::get);
        if !params.starts_with('{') {
            return Err(Fault::invalid_request("`params` must be an object"));
        }
        let error = envelope.error.map(|error| Err(error.get()));
        let result = envelope.result.map(|result| Ok(result.get()));
        match (envelope.method, envelope.id.map(RawValue::get)) {
            (Some(method), Some(id)) if is_id(id) => Ok(Self::Request { id, method, params }),
            (Some(_), Some(_)) => Err(Fault::invalid_request("`id` must be a string or a number")),
            (Some(method), None) => Ok(Self::Notification { method, params }),
            (None, id) => match id.zip(error.or(result)) {
                Some((id, answer)) => Ok(Self::Response { id, answer }),
                None => Err(Fault::invalid_request("`method` is missing")),
            },
        }
    }

    /// The id of a request.
    pub fn id(&self) -> Option<&'a str> {
        let Self::Request { id, .. } = self else { return None };
        Some(id)
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        let Self::Request { method, .. } = self else { return None };
        Some(method)
    }
}

/// Whether strict clients can read the id, which the response repeats.
///
/// Half a surrogate pair is no text to them, and 1e999 no number.
fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match text.strip_prefix('"') {
        Some(rest) if !rest.contains('\\') => true,
        None if digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit()) => true,
        // A list or an object would be a tree of many times its size.
        _ if text.starts_with(['[', '{']) => false,
        _ => serde_json::from_str::<Value>(text).is_ok_and(|id| id.is_string() || id.is_number()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> i64 {
        Message::parse(body.as_bytes()).unwrap_err().code
    }

    #[test]
    fn requests_notifications_and_answers_are_told_apart() {
        let message =
            Message::parse(br#"{"jsonrpc":"2.0","id":"a","method":"ping","params":{"x":1.50}}"#).unwrap();
        assert!(
            matches!(message, Message::Request { id: "\"a\"", params: r#"{"x":1.50}"#, .. }),
            "{message:?}"
        );
        let message = Message::parse(br#" {"jsonrpc":"2.0","id":-7,"method":"ping"}"#).unwrap();
        assert!(matches!(message, Message::Request { id: "-7", params: "{}", .. }), "{message:?}");
        for id in ["123456789012345678901", "1.5e3", r#""\u00e9\n""#] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert_eq!(Message::parse(body.as_bytes()).unwrap().id(), Some(id));
        }
        let message = Message::parse(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
        assert!(matches!(message, Message::Notification { .. }), "{message:?}");
        let message = Message::parse(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#).unwrap();
        let Message::Response { id: "1", answer: Ok(result) } = message else { panic!("{message:?}") };
        assert_eq!(result, "{}");
    }

    #[test]
    fn what_is_no_message_is_refused_with_json_rpcs_own_codes() {
        assert_eq!(refused("{"), -32700);
        for invalid in [
            "[]",
            "1",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":"\ud800","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1e999,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        ] {
            assert_eq!(refused(invalid), -32600, "{invalid}");
        }
    }
}
