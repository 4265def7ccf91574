//! A tool result and its content items as slices of the server's text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{RenderError, escaped, write_string};
use crate::json::Members;
use crate::upstream::error_text::WrongAnswer;

/// The members of `CallToolResult` that the rendering needs. Of equal keys the last counts.
#[derive(Default)]
pub struct RawToolResult<'a> {
    pub content: Vec<ContentItem<'a>>,
    /// `structuredContent`, unless it is null.
    pub structured: Option<&'a RawValue>,
    /// `isError`; anything but `true` is no error.
    pub is_error: bool,
}

/// One content item: its members in order, values as sent.
#[derive(serde::Deserialize)]
pub struct ContentItem<'a>(#[serde(borrow)] Members<'a, { usize::MAX }>);

/// A member's name, borrowed unless it has escapes.
#[derive(serde::Deserialize)]
struct ItemKey<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> ContentItem<'a> {
    /// Appends the rendered item.
    pub fn write(&self, out: &mut Vec<u8>) {
        match (self.kind(), self.string("text"), self.string("mimeType"), self.string("data")) {
            ("text", Some(text), _, _) => write_text(text, out),
            ("image" | "audio", _, Some(mime), Some(data)) => write_data(mime, data, out),
            ("resource", ..) => match self.member("resource").and_then(Self::of) {
                Some(resource) if resource.string("text").is_none() => resource.write_bytes_of(self, out),
                _ => self.write_object(out),
            },
            _ => self.write_object(out),
        }
    }

    /// Appends `self`, a resource in bytes, for a model: an image as an image, anything else as a sentence. `item` is the
    /// content item around it.
    fn write_bytes_of(&self, item: &ContentItem<'_>, out: &mut Vec<u8>) {
        let Some(blob) = self.string("blob") else { return item.write_object(out) };
        let mime = self.string("mimeType");
        if let Some(mime) = mime.filter(|mime| escaped(mime).starts_with(b"image/")) {
            return write_data(mime, blob, out);
        }
        let base64 = escaped(blob);
        let padding = base64.iter().rev().take_while(|byte| **byte == b'=').count();
        let size = (base64.len() - padding) * 3 / 4;
        out.extend_from_slice(b"\"[Resource: ");
        out.extend_from_slice(self.string("uri").map_or(b"resource", escaped));
        out.extend_from_slice(b"] (binary data, mimeType: ");
        out.extend_from_slice(mime.map_or(b"application/octet-stream", escaped));
        out.extend_from_slice(format!(", {size} bytes)\"").as_bytes());
    }

    /// Appends the item as an object.
    pub fn write_object(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (position, (key, value)) in self.0.0.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            write_string(key, out);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.push(b'}');
    }

    /// The string of a text item.
    pub fn text(&self) -> Option<&'a RawValue> {
        self.string("text").filter(|_| self.kind() == "text")
    }

    pub fn is_text_without_text(&self) -> bool {
        self.kind() == "text" && self.string("text").is_none()
    }

    /// The kind; an escaped spelling of a known kind counts as unknown, so its item is shown as an object.
    fn kind(&self) -> &'a str {
        self.string("type").and_then(|kind| std::str::from_utf8(escaped(kind)).ok()).unwrap_or_default()
    }

    fn string(&self, name: &str) -> Option<&'a RawValue> {
        self.member(name).filter(|value| value.get().starts_with('"'))
    }

    fn member(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.0.iter().rev().find(|(key, _)| key == name)?;
        Some(*value)
    }

    /// The members of an object.
    fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }
}

/// Bytes as a URL that holds them.
fn write_data(mime: &RawValue, data: &RawValue, out: &mut Vec<u8>) {
    out.reserve(data.get().len() + mime.get().len() + 16);
    for part in [b"\"data:", escaped(mime), b";base64,", escaped(data), b"\""] {
        out.extend_from_slice(part);
    }
}

/// A text as the JSON that it is, else as the string that was sent.
fn write_text(string: &RawValue, out: &mut Vec<u8>) {
    if may_be_json(escaped(string))
        // A half surrogate pair can't be unescaped; the string is passed on as it is.
        && let Ok(ItemKey(text)) = serde_json::from_str::<ItemKey<'_>>(string.get())
        && let Ok(json) = serde_json::from_str::<&RawValue>(&text)
    {
        out.extend_from_slice(json.get().as_bytes());
    } else {
        out.extend_from_slice(string.get().as_bytes());
    }
}

/// Whether it can start a JSON value, seen without unescaping: most texts are prose, and need no parser.
fn may_be_json(escaped: &[u8]) -> bool {
    let first = escaped.iter().find(|byte| **byte != b' ');
    // `\` may be the escape of white space or of a quote.
    first.is_some_and(|byte| matches!(byte, b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'\\'))
}

impl<'a> Deserialize<'a> for RawToolResult<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ResultVisitor)
    }
}

struct ResultVisitor;

impl<'a> Visitor<'a> for ResultVisitor {
    type Value = RawToolResult<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a tool result")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut result = RawToolResult::default();
        while let Some(ItemKey(key)) = map.next_key()? {
            match key.as_ref() {
                "content" => result.content = map.next_value::<Option<_>>()?.unwrap_or_default(),
                "structuredContent" => {
                    let structured: &RawValue = map.next_value()?;
                    result.structured = Some(structured).filter(|structured| structured.get() != "null");
                }
                "isError" => result.is_error = map.next_value::<&RawValue>()?.get() == "true",
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(result)
    }
}

/// Why `result` could not be read. serde's own words would quote the server's data.
pub fn diagnose(result: &[u8]) -> RenderError {
    match serde_json::from_slice::<&RawValue>(result) {
        Err(_) => RenderError::NotJson(WrongAnswer::no_json(result)),
        Ok(value) if !value.get().starts_with('{') => RenderError::NotAnObject,
        Ok(_) => RenderError::ContentNotAList,
    }
}
