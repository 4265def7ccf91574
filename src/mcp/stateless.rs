//! The stateless era (revision 2026-07-28): the declarations of each request, in `_meta` and in headers.
//!
//! The headers must agree with the body.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::input::client::{LARGEST_CAPABILITIES, askable, too_large_capabilities};
use super::message::Message;
use super::response::fault::Fault;
use super::session::id::digest;
use crate::catalog::Caller;
use crate::json::Members;
use crate::protocol::meta::{CLIENT_CAPABILITIES, LOG_LEVEL, PROTOCOL_VERSION};
use crate::protocol::revision::{STATELESS, WITH_SESSIONS};
use crate::protocol::{header, method};
use crate::upstream::ClientSide;

/// The levels of log messages (2026-07-28, logging, "Log Levels").
pub const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The valid declarations of a request.
#[derive(Debug)]
pub struct Declared {
    /// The capabilities of the client that servers can use.
    pub capabilities: Arc<str>,
    /// The least level of the log messages that the client wants.
    pub log_level: Option<Arc<str>>,
}

impl Declared {
    /// The client as servers see it; `None` when it needs no connection of its own.
    ///
    /// Clients of one key in one profile that declare the same are alike.
    pub fn side(&self, caller: &Caller) -> Option<ClientSide> {
        if &*self.capabilities == "{}" && self.log_level.is_none() {
            return None;
        }
        let (principal, profile) = (caller.principal.id(), caller.profile.as_deref());
        let texts = [principal, profile, Some(&*self.capabilities), self.log_level.as_deref()];
        let key = digest(texts.into_iter().map(Option::unwrap_or_default));
        Some(ClientSide {
            key,
            alike: key,
            principal: caller.principal.clone(),
            capabilities: self.capabilities.clone(),
            log_level: self.log_level.clone(),
            ended: None,
        })
    }
}

#[derive(Deserialize)]
struct DeclaredParams<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<Members<'a>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
}

/// Checks a message that came without a session.
///
/// 2026-07-28, streamable HTTP, "Request Metadata" and "Server Validation".
///
/// # Errors
///
/// When a declaration is missing or does not agree, with 400. The error for a message of the era of sessions says how to
/// open a session.
pub fn check(headers: &HeaderMap, message: &Message<'_>) -> Result<Declared, Fault> {
    let (method, params) = match message {
        Message::Request { method, params, .. } | Message::Notification { method, params } => {
            (method, params)
        }
        Message::Response { .. } => return Err(no_session()),
    };
    let params: DeclaredParams<'_> = serde_json::from_str(params).map_err(|_| {
        Fault::invalid_params("`params` must hold an object `_meta`, and texts as names").bad()
    })?;
    let meta = params.meta.unwrap_or_default();
    let text = |key| meta.read::<String>(key);
    let declared = text(PROTOCOL_VERSION);
    let header =
        headers.get(header::PROTOCOL_VERSION).map(HeaderValue::to_str).transpose().map_err(|_| {
            Fault::header_mismatch("the header MCP-Protocol-Version holds characters that no revision has")
        })?;
    match (&declared, header) {
        (None, header) if header.is_none_or(|revision| WITH_SESSIONS.contains(&revision)) => {
            return Err(no_session());
        }
        (None, _) => return Err(Fault::invalid_params(format!("`_meta` lacks `{PROTOCOL_VERSION}`")).bad()),
        (Some(_), None) => return Err(Fault::header_mismatch("the header MCP-Protocol-Version is missing")),
        (Some(declared), Some(header)) if declared != header => {
            return Err(Fault::header_mismatch(
                "the header MCP-Protocol-Version and `_meta` name different revisions",
            ));
        }
        (Some(declared), Some(_)) if declared != STATELESS => {
            return Err(Fault::unsupported_revision(declared, &[STATELESS]));
        }
        (Some(_), Some(_)) => {}
    }
    let capabilities = meta.get(CLIENT_CAPABILITIES).filter(|value| value.get().starts_with('{'));
    let Some(capabilities) = capabilities else {
        return Err(Fault::invalid_params(format!("`_meta` lacks the object `{CLIENT_CAPABILITIES}`")).bad());
    };
    if capabilities.get().len() > LARGEST_CAPABILITIES {
        return Err(too_large_capabilities().bad());
    }
    let log_level = match text(LOG_LEVEL) {
        Some(level) if !LEVELS.contains(&level.as_str()) => {
            let levels = LEVELS.join(", ");
            return Err(Fault::invalid_params(format!("`{LOG_LEVEL}` must be one of {levels}")).bad());
        }
        level => level.map(Arc::from),
    };
    let declared = Declared { capabilities: askable(Some(capabilities)), log_level };
    if matches!(message, Message::Notification { .. }) {
        // The specification does not define the headers of notifications.
        return Ok(declared);
    }
    agrees(headers, &header::METHOD, "Mcp-Method", method)?;
    match &**method {
        method::TOOLS_CALL | method::PROMPTS_GET => {
            agrees(headers, &header::NAME, "Mcp-Name", params.name.as_deref().unwrap_or_default())?
        }
        method::RESOURCES_READ => {
            agrees(headers, &header::NAME, "Mcp-Name", params.uri.as_deref().unwrap_or_default())?
        }
        _ => {}
    }
    Ok(declared)
}

fn agrees(headers: &HeaderMap, name: &HeaderName, shown: &str, expected: &str) -> Result<(), Fault> {
    let Some(value) = headers.get(name) else {
        return Err(Fault::header_mismatch(format_args!("the header {shown} is missing")));
    };
    let decoded = value.to_str().ok().and_then(decode);
    match decoded {
        None => Err(Fault::header_mismatch(format_args!("the header {shown} cannot be read"))),
        Some(value) if value == expected => Ok(()),
        Some(_) => Err(Fault::header_mismatch(format_args!("the header {shown} does not match the body"))),
    }
}

/// The value of a header, decoded when it is `=?base64?...?=` ("Value Encoding").
pub fn decode(value: &str) -> Option<Cow<'_, str>> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Some(Cow::Borrowed(value)),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok().map(Cow::Owned),
    }
}

fn no_session() -> Fault {
    Fault::invalid_request(
        "there is no session: open one with `initialize` and send its Mcp-Session-Id, or declare revision 2026-07-28",
    )
    .bad()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &[(&'static str, &'static str)], body: &str) -> Option<i64> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        check(&headers, &Message::parse(body.as_bytes()).unwrap()).err().map(|fault| fault.code)
    }

    const REVISION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

    fn call(name: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":{name},{META}}}}}"#)
    }

    #[test]
    fn a_request_whose_headers_agree_with_its_body_is_taken() {
        let method = ("mcp-method", "tools/call");
        assert_eq!(refused(&[REVISION, method, ("mcp-name", "add")], &call(r#""add""#)), None);
        let encoded = ("mcp-name", "=?base64?SGVsbG8sIOS4lueVjA==?=");
        assert_eq!(refused(&[REVISION, method, encoded], &call(r#""Hello, 世界""#)), None);
    }

    #[test]
    fn headers_that_are_missing_or_differ_are_a_mismatch() {
        let method = ("mcp-method", "tools/call");
        let name = ("mcp-name", "add");
        for headers in [
            &[method, name][..],
            &[REVISION, name],
            &[REVISION, method],
            &[REVISION, ("mcp-method", "tools/list"), name],
            &[REVISION, method, ("mcp-name", "sub")],
            &[REVISION, method, ("mcp-name", "=?base64?!?=")],
            &[("mcp-protocol-version", "2025-11-25"), method, name],
        ] {
            assert_eq!(refused(headers, &call(r#""add""#)), Some(-32020), "{headers:?}");
        }
    }

    #[test]
    fn what_is_not_declared_is_told() {
        let list = |meta: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{meta}}}}}"#)
        };
        let method = ("mcp-method", "tools/list");
        assert_eq!(refused(&[REVISION, method], &list("{}")), Some(-32602));
        let version_only = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
        assert_eq!(refused(&[REVISION, method], &list(version_only)), Some(-32602));
        let unknown = r#"{"io.modelcontextprotocol/protocolVersion":"1900-01-01","io.modelcontextprotocol/clientCapabilities":{}}"#;
        assert_eq!(refused(&[("mcp-protocol-version", "1900-01-01"), method], &list(unknown)), Some(-32022));
        // A client of the other era that has lost its session.
        assert_eq!(refused(&[("mcp-protocol-version", "2025-11-25")], &list("{}")), Some(-32600));
        assert_eq!(refused(&[], &list("{}")), Some(-32600));
    }
}
