//! The words of a server in an answer outside the protocol (an error page, text, other JSON), for reasons and logs.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::clip;
use crate::telemetry::text::visible;

/// Members of JSON that hold error texts, in the order of the message: JSON-RPC and most others, OAuth (RFC 6749),
/// problem details (RFC 9457), FastAPI.
const MEMBERS: [&str; 7] = ["title", "error", "error_description", "message", "msg", "detail", "errors"];
/// Entries of a list of faults that are shown.
const ENTRIES: usize = 3;
/// How deep words are looked for.
const DEPTH: usize = 4;
/// How much of a body words are looked for in, in bytes.
pub const AMONG: usize = 64 << 10;
/// The fault of an answer to a call ([`of_wrong_result`]).
pub const NO_TOOL_RESULT: &str = "not a tool result";
const NO_JSON: &str = "its answer is no JSON";

/// The words of a refusal with this media type; `None` when it has none.
pub fn of_refusal(media_type: &str, body: &[u8]) -> Option<Arc<str>> {
    let text = String::from_utf8_lossy(body);
    let text = bare(&text);
    let words = match BodyKind::of(media_type, text) {
        BodyKind::Json(value) => said(&value, DEPTH).unwrap_or_else(|| value.to_string()),
        BodyKind::Page => title(text)?.to_owned(),
        BodyKind::Text => text.to_owned(),
        BodyKind::Other => return None,
    };
    let words = one_line_words(&words);
    (!words.is_empty()).then(|| words.into())
}

/// The content of a 2xx response that is not an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}{}", .words.as_ref().map(|words| format!(": {words}")).unwrap_or_default())]
pub struct WrongAnswer {
    /// The fault.
    pub fault: Cow<'static, str>,
    /// How it begins, on one line and cut. It may hold anything, so the log of calls goes without.
    pub words: Option<String>,
}

impl WrongAnswer {
    fn new(fault: impl Into<Cow<'static, str>>, words: Option<&str>) -> Self {
        let words = words.map(one_line_words).filter(|words| !words.is_empty());
        Self { fault: fault.into(), words }
    }

    /// The body of an answer over HTTP.
    pub fn of_body(status: u16, media_type: &str, body: &[u8]) -> Self {
        let text = beginning(body);
        let text = bare(&text);
        let kind = BodyKind::of(media_type, text);
        let shown = (!matches!(kind, BodyKind::Other)).then_some(text);
        let fault = match kind {
            _ if text.is_empty() => {
                return Self::new(format!("it answers with status {status} and an empty body"), None);
            }
            BodyKind::Page => return Self::new("it answers with an HTML page", title(text)),
            _ if is_json(body) => "it answers with JSON that answers no request".into(),
            _ if media_type.ends_with("json") => NO_JSON.into(),
            BodyKind::Other if media_type.is_empty() => "it answers with what is no text".into(),
            _ if media_type.is_empty() => "it answers with text".into(),
            _ => Cow::from(format!("it answers with {media_type}")),
        };
        Self::new(fault, shown)
    }

    /// A message that is not valid JSON.
    pub fn no_json(message: &[u8]) -> Self {
        Self::new(NO_JSON, Some(bare(&beginning(message))))
    }
}

/// The message about a result that is `wrong`: "no result", or [`NO_TOOL_RESULT`].
pub fn of_wrong_result(wrong: &str, result: &[u8]) -> String {
    match is_json(result) {
        true => format!("the server's answer is {wrong}"),
        false => format!("the server broke the protocol: {}", WrongAnswer::no_json(result)),
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(text).is_ok()
}

/// The part of a body that is searched for words.
fn beginning(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&body[..body.len().min(AMONG)])
}

/// A body without its byte order mark and the white space around it.
fn bare(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}

/// The longest text of a server that is kept, in bytes.
const WORDS: usize = 1000;

/// A server's text on one line, cut to a length that a close reason may keep.
pub fn cut_words(message: &str) -> String {
    visible(clip(message, WORDS)).into_owned()
}

/// `words` on one line, cut.
fn one_line_words(words: &str) -> String {
    cut_words(&words.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether a refusal is about an unknown session, in the words of real servers.
pub fn name_the_session(body: &[u8]) -> bool {
    let body = body.to_ascii_lowercase();
    let says = |words: &str| memchr::memmem::find(&body, words.as_bytes()).is_some();
    ["session", "not initialized", "uninitialized", "initialize request"].into_iter().any(says)
}

/// The kind of a body.
enum BodyKind {
    Json(Value),
    Page,
    Text,
    /// Nothing to read.
    Other,
}

impl BodyKind {
    fn of(media_type: &str, text: &str) -> Self {
        let starts = |tag: &str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        if media_type == "text/html" || starts("<!doctype html") || starts("<html") {
            return Self::Page;
        }
        if text.starts_with(['{', '[', '"'])
            && let Ok(value) = serde_json::from_str(text)
        {
            return Self::Json(value);
        }
        let is_text =
            media_type.is_empty() || media_type.starts_with("text/") || media_type.ends_with("json");
        if is_text && !text.contains('\0') { Self::Text } else { Self::Other }
    }
}

/// The text for people in a JSON value.
fn said(value: &Value, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Array(entries) => {
            let entries = entries.iter().filter_map(|entry| said(entry, depth)).take(ENTRIES);
            Some(entries.collect::<Vec<_>>().join("; ")).filter(|text| !text.is_empty())
        }
        Value::Object(members) => {
            let mut words: Vec<String> = Vec::new();
            for name in MEMBERS {
                if let Some(word) = members.get(name).and_then(|member| said(member, depth))
                    && !words.contains(&word)
                {
                    words.push(word);
                }
            }
            (!words.is_empty()).then(|| words.join(": "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The title of an HTML page.
fn title(page: &str) -> Option<&str> {
    let lower = page.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find('<')?;
    Some(page[start..end].trim()).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";

    #[test]
    fn the_words_of_a_refusal_are_found_wherever_servers_put_them() {
        for (media_type, body, words) in [
            (
                JSON,
                r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"quota used up"}}"#,
                "quota used up",
            ),
            (JSON, r#"{"detail":"no such project"}"#, "no such project"),
            (
                JSON,
                r#"{"detail":[{"loc":["body"],"msg":"field required"},{"msg":"too long"}]}"#,
                "field required; too long",
            ),
            (JSON, r#"{"error":"your trial has ended"}"#, "your trial has ended"),
            (
                JSON,
                r#"{"error":"invalid_token","error_description":"it expired"}"#,
                "invalid_token: it expired",
            ),
            (
                JSON,
                r#"{"statusCode":400,"error":"Bad Request","message":"workspace is archived"}"#,
                "Bad Request: workspace is archived",
            ),
            (
                "application/problem+json",
                r#"{"type":"about:blank","title":"Unprocessable","detail":"too long"}"#,
                "Unprocessable: too long",
            ),
            (JSON, r#"{"Output":{"x":1}}"#, r#"{"Output":{"x":1}}"#),
            (JSON, r#""plain""#, "plain"),
            (JSON, "{broken", "{broken"),
            ("text/plain", "  maintenance\r\n until\t14:00 ", "maintenance until 14:00"),
            ("", "Unauthorized: Session not found", "Unauthorized: Session not found"),
            ("text/html", "<html><head><TITLE lang=en> 502 Bad\nGateway </TITLE>", "502 Bad Gateway"),
            ("text/plain", "up\u{1b}[31m \u{202e}red", r"up\u{1b}[31m \u{202e}red"),
        ] {
            assert_eq!(of_refusal(media_type, body.as_bytes()).as_deref(), Some(words), "{body}");
        }
        for (media_type, body) in
            [("", ""), ("text/html", "<html></html>"), ("image/png", "\u{89}PNG"), ("text/plain", "a\0b")]
        {
            assert_eq!(of_refusal(media_type, body.as_bytes()), None, "{body:?}");
        }
        assert_eq!(of_refusal("text/plain", &b"x".repeat(5000)).map(|words| words.len()), Some(1000));
    }

    #[test]
    fn what_came_in_place_of_an_answer_is_described() {
        for (status, media_type, body, described) in [
            (202, "", "", "it answers with status 202 and an empty body"),
            (204, "", "", "it answers with status 204 and an empty body"),
            (
                200,
                "text/html",
                "<!doctype html><title>My App</title>",
                "it answers with an HTML page: My App",
            ),
            (200, JSON, "\u{feff}<HTML>", "it answers with an HTML page"),
            (200, "text/plain", "MCP\nendpoint.", "it answers with text/plain: MCP endpoint."),
            (
                200,
                JSON,
                r#"[{"jsonrpc":"2.0"}]"#,
                r#"it answers with JSON that answers no request: [{"jsonrpc":"2.0"}]"#,
            ),
            (200, "image/png", "\0", "it answers with image/png"),
            (200, JSON, r#"{"n":NaN}"#, r#"its answer is no JSON: {"n":NaN}"#),
            (200, "application/vnd.x+json", "gr\u{fc}n, ", "its answer is no JSON: gr\u{fc}n,"),
            (200, JSON, "{\0}\0", "its answer is no JSON"),
            (200, "text/plain", "{broken", "it answers with text/plain: {broken"),
            (200, "", "{broken", "it answers with text: {broken"),
            (200, "", "\0", "it answers with what is no text"),
        ] {
            let described_as = WrongAnswer::of_body(status, media_type, body.as_bytes());
            assert_eq!(described_as.to_string(), described, "{body}");
        }
        let latin = WrongAnswer::of_body(200, JSON, b"{\"t\":\"gr\xfcn\"}").to_string();
        assert_eq!(latin, "its answer is no JSON: {\"t\":\"gr\u{fffd}n\"}");
        // A long answer is judged as a whole, and only its beginning is shown.
        let long = serde_json::json!([{ "t": "x".repeat(2 * AMONG) }]).to_string();
        let long = WrongAnswer::of_body(200, JSON, long.as_bytes());
        assert_eq!(long.fault, "it answers with JSON that answers no request");
        assert_eq!(long.words.map(|words| words.len()), Some(1000));
    }

    #[test]
    fn a_lost_session_is_named_in_many_words() {
        for body in [
            "Session not found",
            "Bad Request: No valid session ID provided",
            "Bad Request: Server not initialized",
            "Mcp-Session-Id principal mismatch",
            "Expected initialize request",
        ] {
            assert!(name_the_session(body.as_bytes()), "{body}");
        }
        assert!(!name_the_session(b"no such project"));
    }

    #[test]
    fn words_are_cut_between_characters() {
        assert_eq!(cut_words("short"), "short");
        assert_eq!(cut_words(&"ü".repeat(600)).len(), WORDS);
    }
}
