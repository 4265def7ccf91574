//! From an MCP `CallToolResult`, as the server's own bytes, to the message that the model reads.
//!
//! | content item | Chat Completions | Responses |
//! |---|---|---|
//! | `text` | its text | its text |
//! | `image` | `data:{mimeType};base64,{data}` | an `input_image` with that address |
//! | `audio` | the same | the same as text |
//! | any other | the item's JSON | the item's JSON |
//!
//! A message of Chat Completions can hold text alone; several items stand below each other. Without content the
//! structured result stands as JSON. The error of a tool begins with `Error:`.

use std::borrow::Cow;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::tool_calls::Interface;

/// The output of a tool as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutput {
    pub is_error: bool,
    pub parts: Vec<OutputPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputPart {
    Text(String),
    /// The address of an image, with its data.
    Image(String),
}

/// The answer to one call, as the script appends it.
#[derive(Debug)]
pub struct ToolMessage {
    pub id: String,
    pub interface: Interface,
    pub output: ToolOutput,
}

#[derive(Deserialize)]
struct ReadableResult<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "structuredContent", default)]
    structured: Option<&'a RawValue>,
    #[serde(rename = "isError", default)]
    is_error: Option<bool>,
}

#[derive(Deserialize)]
struct ReadableItem<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    text: Option<String>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "mimeType", default)]
    mime_type: Option<Cow<'a, str>>,
}

/// Reads a result; `None` for anything but a tool result.
pub fn read(result: &[u8]) -> Option<ToolOutput> {
    // A list would be taken for the members in their order.
    if !result.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let result: ReadableResult<'_> = serde_json::from_slice(result).ok()?;
    let items = result.content.unwrap_or_default();
    let mut parts = items.into_iter().map(part).collect::<Option<Vec<OutputPart>>>()?;
    if parts.is_empty()
        && let Some(structured) = result.structured
    {
        parts.push(OutputPart::Text(structured.get().to_owned()));
    }
    Some(ToolOutput { is_error: result.is_error == Some(true), parts })
}

fn part(raw: &RawValue) -> Option<OutputPart> {
    if !raw.get().starts_with('{') {
        return None;
    }
    // An item of a kind to come may have members of any type.
    let Ok(item) = serde_json::from_str::<ReadableItem<'_>>(raw.get()) else {
        return Some(OutputPart::Text(raw.get().to_owned()));
    };
    Some(match (&*item.kind, item.text, item.data, item.mime_type) {
        ("text", Some(text), ..) => OutputPart::Text(text),
        ("image", _, Some(data), Some(kind)) => OutputPart::Image(format!("data:{kind};base64,{data}")),
        ("audio", _, Some(data), Some(kind)) => OutputPart::Text(format!("data:{kind};base64,{data}")),
        _ => OutputPart::Text(raw.get().to_owned()),
    })
}

impl ToolOutput {
    /// An error in the gateway's own words.
    pub fn error(sentence: String) -> Self {
        Self { is_error: true, parts: vec![OutputPart::Text(sentence)] }
    }

    /// Bytes of all parts.
    pub fn size(&self) -> usize {
        self.parts.iter().map(|part| part.text().len()).sum()
    }

    /// All parts as one text.
    fn text(&self) -> String {
        let text = self.parts.iter().map(OutputPart::text).collect::<Vec<_>>().join("\n");
        match self.is_error {
            true if text.is_empty() => "Error: the tool failed and does not say why".to_owned(),
            true if !text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")) => {
                format!("Error: {text}")
            }
            _ => text,
        }
    }
}

impl OutputPart {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Image(text) => text,
        }
    }
}

impl Serialize for OutputPart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Text(text) => {
                map.serialize_entry("type", "input_text")?;
                map.serialize_entry("text", text)?;
            }
            Self::Image(url) => {
                map.serialize_entry("type", "input_image")?;
                map.serialize_entry("image_url", url)?;
                map.serialize_entry("detail", "auto")?;
            }
        }
        map.end()
    }
}

impl Serialize for ToolMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.interface {
            Interface::Chat => {
                map.serialize_entry("role", "tool")?;
                map.serialize_entry("tool_call_id", &self.id)?;
                map.serialize_entry("content", &self.output.text())?;
            }
            Interface::Responses => {
                map.serialize_entry("type", "function_call_output")?;
                map.serialize_entry("call_id", &self.id)?;
                let has_images = self.output.parts.iter().any(|part| matches!(part, OutputPart::Image(_)));
                match has_images && !self.output.is_error {
                    true => map.serialize_entry("output", &self.output.parts)?,
                    false => map.serialize_entry("output", &self.output.text())?,
                }
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn answered(result: &Value, interface: Interface) -> Value {
        let output = read(result.to_string().as_bytes()).unwrap();
        let answer = serde_json::to_value(ToolMessage { id: "c".to_owned(), interface, output }).unwrap();
        answer.get("content").or_else(|| answer.get("output")).unwrap().clone()
    }

    #[test]
    fn results_are_what_a_model_reads() {
        let (text, image) = (
            json!({"type": "text", "text": "é \"q\"\n"}),
            json!({"type": "image", "data": "QQ==", "mimeType": "image/png"}),
        );
        let link = json!({"type": "resource_link", "uri": "u", "name": "n"});
        for (result, chat) in [
            (json!({"content": [text]}), "é \"q\"\n".to_owned()),
            (json!({"content": [text, text]}), "é \"q\"\n\né \"q\"\n".to_owned()),
            (json!({"content": [image]}), "data:image/png;base64,QQ==".to_owned()),
            (json!({"content": [link]}), link.to_string()),
            (json!({"content": [], "structuredContent": {"a": 1.0}}), "{\"a\":1.0}".to_owned()),
            (json!({"content": [text], "structuredContent": {"a": 1}}), "é \"q\"\n".to_owned()),
            (json!({"content": []}), String::new()),
            (json!({}), String::new()),
            (json!({"content": [{"type": "text", "text": 7}]}), "{\"type\":\"text\",\"text\":7}".to_owned()),
            (json!({"content": [text], "isError": true}), "Error: é \"q\"\n".to_owned()),
            (
                json!({"content": [{"type": "text", "text": "Error: no"}], "isError": true}),
                "Error: no".to_owned(),
            ),
            (
                json!({"content": [], "isError": true}),
                "Error: the tool failed and does not say why".to_owned(),
            ),
        ] {
            assert_eq!(answered(&result, Interface::Chat), json!(chat), "{result}");
        }
        let part =
            json!({"type": "input_image", "image_url": "data:image/png;base64,QQ==", "detail": "auto"});
        assert_eq!(
            answered(&json!({"content": [text, image]}), Interface::Responses),
            json!([{"type": "input_text", "text": "é \"q\"\n"}, part])
        );
        assert_eq!(answered(&json!({"content": [text]}), Interface::Responses), json!("é \"q\"\n"));
    }

    #[test]
    fn what_is_no_result_is_none() {
        for result in [json!([]), json!(7), json!({"content": 7}), json!({"content": ["x"]})] {
            assert_eq!(read(result.to_string().as_bytes()), None, "{result}");
        }
    }
}
