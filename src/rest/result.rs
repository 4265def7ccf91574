//! From an MCP `CallToolResult`, as the server's own bytes, to the body of a REST answer (as in mcpo 0.0.20).
//!
//! | content item | rendered as |
//! |---|---|
//! | `text` | the JSON that it is, byte for byte; else a string |
//! | `image`, `audio` | the string `data:{mimeType};base64,{data}` |
//! | `resource` of bytes | an image as `image`; anything else as a sentence of what it is: base64 would flood a model |
//! | `resource` of text, `resource_link`, any other | the item as an object, as the server sent it |
//!
//! One item stands alone, several make an array, none make the `structuredContent`, or `[]` without one. mcpo
//! showed resources as a fixed sentence and left out audio, links and structured results; nothing but bytes is lost here,
//! and those are had with the whole result (`Accept: application/vnd.mcp.call-result+json`).
//! `NaN` and `Infinity` are no JSON: such texts are strings. An image without its data or type is shown as an object.
//!
//! Nothing is parsed into a tree: members are slices of the server's text, and strings are copied as they are
//! escaped. Only a text that begins like JSON is unescaped, and checked, once.

mod item;
pub mod rpc;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::upstream::error_text::WrongAnswer;
use item::{ContentItem, RawToolResult};

/// A tool's answer, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The tool reports an error: [`Rendered::body`] is `{"detail":{"message":...}}`, for status 500.
    pub is_error: bool,
    /// JSON.
    pub body: Bytes,
}

/// The server's answer is not a tool result. The sentence quotes the answer only when it is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("the server's answer is not a tool result: it is not a JSON object")]
    NotAnObject,
    #[error("the server's answer is not a tool result: its content is not a list of objects")]
    ContentNotAList,
    #[error(
        "the server's answer is not a tool result: content item {position}, a text, has no string as its text"
    )]
    NoText { position: usize },
    #[error("the server broke the protocol: {0}")]
    NotJson(WrongAnswer),
}

/// The message of an error without text, as in mcpo.
const NOTHING_SAID: &str = "Unknown tool execution error";

/// Renders a result; `result` is the JSON text of the whole `CallToolResult`.
///
/// # Errors
///
/// When it is not a tool result, which is the server's fault (502).
pub fn render(result: &[u8]) -> Result<Rendered, RenderError> {
    let parsed: RawToolResult<'_> = serde_json::from_slice(result).map_err(|_| item::diagnose(result))?;
    if let Some(position) = parsed.content.iter().position(ContentItem::is_text_without_text) {
        return Err(RenderError::NoText { position });
    }
    let body = if parsed.is_error { error_body(&parsed) } else { success_body(&parsed, result.len()) };
    Ok(Rendered { is_error: parsed.is_error, body: Bytes::from(body) })
}

fn success_body(result: &RawToolResult<'_>, size: usize) -> Vec<u8> {
    let mut body = Vec::new();
    match (result.content.as_slice(), result.structured) {
        ([], Some(structured)) => body.extend_from_slice(structured.get().as_bytes()),
        ([], None) => body.extend_from_slice(b"[]"),
        ([only], _) => only.write(&mut body),
        (several, _) => {
            // Without the structured twin of the same data, which is not copied.
            body.reserve(
                size.saturating_sub(result.structured.map_or(0, |structured| structured.get().len())),
            );
            write_list(several, ContentItem::write, &mut body);
        }
    }
    body
}

fn error_body(result: &RawToolResult<'_>) -> Vec<u8> {
    let mut body = br#"{"detail":{"message":"#.to_vec();
    let start = body.len();
    body.push(b'"');
    for text in result.content.iter().filter_map(ContentItem::text) {
        if body.len() > start + 1 {
            body.extend_from_slice(br"\n");
        }
        body.extend_from_slice(escaped(text));
    }
    body.push(b'"');
    if body.len() == start + 2 {
        body.truncate(start);
        write_string(&without_words(result), &mut body);
    }
    body.extend_from_slice(b"}}");
    body
}

/// The message of an error without any text: its data, as JSON text.
fn without_words(result: &RawToolResult<'_>) -> String {
    if let Some(structured) = result.structured {
        return structured.get().to_owned();
    }
    if result.content.iter().all(|item| item.text().is_some()) {
        return NOTHING_SAID.to_owned();
    }
    let mut content = Vec::new();
    write_list(&result.content, ContentItem::write_object, &mut content);
    String::from_utf8_lossy(&content).into_owned()
}

fn write_list<'a>(
    items: &[ContentItem<'a>],
    write: impl Fn(&ContentItem<'a>, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    out.push(b'[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// `text` as a JSON string.
fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string is JSON, and a vector takes it");
}

/// The inside of a JSON string, with its escapes.
fn escaped(string: &RawValue) -> &[u8] {
    let text = string.get();
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().as_bytes()
}
