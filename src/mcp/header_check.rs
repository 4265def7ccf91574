//! Headers in which a stateless client repeats arguments of a call (specification 2026-07-28, streamable HTTP,
//! "Server Behavior for Custom Headers").

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Number, Value};

use super::response::fault::Fault;
use super::stateless::decode;
use crate::compute::{self, Owner};
use crate::upstream::tools::header_params::{HeaderParam, ParamKind};
use crate::upstream::tools::header_values::values_in;

/// Checks the headers of a call against the JSON text of its `arguments`.
///
/// Headers for arguments that the tool does not annotate are ignored.
///
/// # Errors
///
/// When a header is missing, cannot be read or does not match, with 400.
pub async fn check(
    owner: Owner<'_>,
    headers: &HeaderMap,
    params: &Arc<[HeaderParam]>,
    arguments: &str,
) -> Result<(), Fault> {
    if params.is_empty() {
        return Ok(());
    }
    let (wanted, arguments) = (params.clone(), Bytes::copy_from_slice(arguments.as_bytes()));
    let values = compute::run_sized(owner, arguments.len(), move || values_in(&wanted, &arguments)).await;
    let values = values.map_err(|_| Fault::invalid_params("`arguments` are no JSON").bad())?;
    for (param, value) in params.iter().zip(&values) {
        agrees(headers, param, value.as_ref())
            .map_err(|what| Fault::header_mismatch(format_args!("the header {} {what}", param.header)))?;
    }
    Ok(())
}

/// Compares one header with its argument. The error quotes no value.
fn agrees(headers: &HeaderMap, param: &HeaderParam, value: Option<&Value>) -> Result<(), &'static str> {
    let mut sent = headers.get_all(&param.header).iter();
    let (header, value) = match (sent.next(), value) {
        (None, None) => return Ok(()),
        // No header can repeat a list or an object: the server refuses those.
        (None, Some(Value::Array(_) | Value::Object(_))) => return Ok(()),
        (None, Some(_)) => return Err("is missing"),
        (Some(header), value) => (header, value),
    };
    if sent.next().is_some() {
        return Err("is there twice");
    }
    let text = header.to_str().ok().and_then(decode).ok_or("cannot be read")?;
    let is_same = match value {
        Some(Value::String(said)) => *said == text,
        Some(Value::Bool(said)) => text == if *said { "true" } else { "false" },
        Some(Value::Number(said)) => {
            param.kind == ParamKind::Integer && is_number(said, &text) || said.to_string() == text
        }
        // A proxy that reads the header alone would believe in an argument that is missing.
        Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => false,
    };
    if is_same { Ok(()) } else { Err("does not match the body") }
}

/// Whether `text` is a notation of `number`.
fn is_number(number: &Number, text: &str) -> bool {
    let Ok(written) = serde_json::from_str::<Number>(text) else { return false };
    match (number.as_i64(), written.as_i64()) {
        (Some(number), Some(written)) => number == written,
        _ => number.as_f64() == written.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use serde_json::json;

    use super::*;

    async fn refused(kind: &str, headers: &[&'static [u8]], arguments: &str) -> Option<(i64, String)> {
        let definition =
            json!({ "inputSchema": { "properties": { "a": { "type": kind, "x-mcp-header": "A" } } } });
        let params = HeaderParam::all_of(definition.as_object().unwrap()).unwrap();
        let mut sent = HeaderMap::new();
        for value in headers {
            let name = HeaderName::from_static("mcp-param-a");
            sent.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        sent.insert("mcp-param-other", HeaderValue::from_static("=?base64?!?="));
        let fault = check("a", &sent, &params.into(), arguments).await.err()?;
        Some((fault.code, String::from_utf8(fault.text(None).to_vec()).unwrap()))
    }

    #[tokio::test]
    async fn headers_that_say_what_the_body_says_are_taken() {
        for (kind, header, arguments) in [
            ("string", &b"us-west1"[..], r#"{"a":"us-west1"}"#),
            ("string", b"=?base64?SGVsbG8sIOS4lueVjA==?=", r#"{"a":"Hello, 世界"}"#),
            ("string", b"=?base64?SGVsbG8=", r#"{"a":"=?base64?SGVsbG8="}"#),
            ("string", b"", r#"{"a":""}"#),
            ("integer", b"42", r#"{"a":42}"#),
            ("integer", b"42.0", r#"{"a":42}"#),
            ("integer", b"42", r#"{"a":42.0}"#),
            ("integer", b"=?base64?NDI=?=", r#"{"a":42}"#),
            ("integer", b"-0", r#"{"a":0}"#),
            ("boolean", b"true", r#"{"a":true}"#),
            // The server's to refuse.
            ("string", b"5", r#"{"a":5}"#),
        ] {
            assert_eq!(refused(kind, &[header], arguments).await, None, "{arguments}");
        }
        for arguments in ["{}", r#"{"a":null}"#, r#"{"a":[1]}"#] {
            assert_eq!(refused("string", &[], arguments).await, None, "{arguments}");
        }
    }

    #[tokio::test]
    async fn headers_that_are_missing_unreadable_or_say_something_else_are_a_mismatch() {
        let text = r#"{"a":"Hello"}"#;
        for (kind, headers, arguments, told) in [
            ("string", &[][..], text, "is missing"),
            ("integer", &[], r#"{"a":0}"#, "is missing"),
            ("string", &[&b"hello"[..]], text, "does not match"),
            ("string", &[b"Hello", b"Hello"], text, "twice"),
            ("string", &[b"=?base64?SGVsbG8?="], text, "cannot be read"),
            ("string", &[b"=?base64?SGVs!!!bG8=?="], text, "cannot be read"),
            ("string", &[b"=?base64?/w==?="], text, "cannot be read"),
            ("string", &[b"Hell\xf6"], text, "cannot be read"),
            ("string", &[b"Hello"], "{}", "does not match"),
            ("string", &[b"null"], r#"{"a":null}"#, "does not match"),
            ("string", &[b"42.0"], r#"{"a":"42"}"#, "does not match"),
            ("integer", &[b"43"], r#"{"a":42}"#, "does not match"),
            ("integer", &[b"NaN"], r#"{"a":42}"#, "does not match"),
            ("integer", &[b"9007199254740993"], r#"{"a":9007199254740992}"#, "does not match"),
            ("boolean", &[b"True"], r#"{"a":true}"#, "does not match"),
        ] {
            let (code, message) = refused(kind, headers, arguments).await.expect(arguments);
            assert_eq!(code, -32020);
            assert!(message.contains(told) && message.contains("mcp-param-a"), "{arguments}: {message}");
            assert!(!message.contains("ello"), "a value is quoted: {message}");
        }
    }
}
