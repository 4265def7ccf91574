//! The model's calls, in any of the shapes in which scripts hold them.
//!
//! Taken are the `tool_calls` of a message, the message, its choice and the whole completion; a list of output items of
//! the Responses interface, and the whole response; and a single call. Items that are no calls (reasoning, text) are
//! passed over. Arguments may be the text that the model wrote, or the object in it.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::First;

/// More calls than this are not one turn of a model.
pub const MOST_CALLS: usize = 128;
/// Calls and the items between them, such as a model's reasoning.
const MOST_ITEMS: usize = 1024;

/// The items of a list, as far as they are read: ten megabytes may hold five million.
type Items<'a> = First<&'a RawValue, MOST_ITEMS>;

/// One call.
#[derive(Debug, PartialEq)]
pub struct ToolCall {
    pub id: String,
    pub interface: Interface,
    pub name: String,
    /// The JSON text of the arguments, as the model wrote it; empty for none.
    pub arguments: Bytes,
    /// `false` for a custom tool; the gateway has only functions.
    pub is_function: bool,
}

/// Which interface a call came from, and so how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    Chat,
    Responses,
}

/// Why a body holds no calls that could be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolCallError {
    #[error("the body is not JSON (line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error(
        "the body holds no tool calls: send the `tool_calls` of the model's message, the message itself, or the \
         `output` items of a response"
    )]
    NoCalls,
    #[error("item {position} is no tool call: it lacks `{lacks}`")]
    Item { position: usize, lacks: &'static str },
    #[error("there are {count} choices; send the message of one")]
    Choices { count: usize },
    #[error("there are {count} calls, and {MOST_CALLS} are taken at most")]
    TooMany { count: usize },
}

/// An object around calls, or a call.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow, default)]
    tool_calls: Option<Items<'a>>,
    #[serde(borrow, default)]
    output: Option<Items<'a>>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<First<&'a RawValue, 1>>,
    #[serde(default)]
    role: Option<String>,
    #[serde(borrow, default)]
    function: Option<&'a RawValue>,
    #[serde(borrow, default)]
    call_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CallItem<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    call_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
    #[serde(borrow, default)]
    custom: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// The calls in `body`, in their order.
///
/// # Errors
///
/// When there is something that could not be answered: then no call is to be made.
pub fn calls(body: &[u8]) -> Result<Vec<ToolCall>, ToolCallError> {
    let whole: &RawValue = serde_json::from_slice(body)
        .map_err(|error| ToolCallError::NotJson { line: error.line(), column: error.column() })?;
    let calls = of_value(whole, 0)?;
    match calls.len() {
        count if count > MOST_CALLS => Err(ToolCallError::TooMany { count }),
        _ => Ok(calls),
    }
}

fn of_value(value: &RawValue, depth: usize) -> Result<Vec<ToolCall>, ToolCallError> {
    // A completion holds choices, those a message, that calls.
    const DEEPEST: usize = 3;
    if value.get().starts_with('[') {
        let items: Items<'_> = serde_json::from_str(value.get()).map_err(|_| ToolCallError::NoCalls)?;
        return of_items(&items);
    }
    let whole: Whole<'_> = serde_json::from_str(value.get()).map_err(|_| ToolCallError::NoCalls)?;
    match whole {
        Whole { tool_calls: Some(items), .. } | Whole { output: Some(items), .. } => of_items(&items),
        Whole { choices: Some(choices), .. } if depth < DEEPEST => match choices.items.as_slice() {
            [only] if choices.count == 1 => of_value(only, depth + 1),
            _ => Err(ToolCallError::Choices { count: choices.count }),
        },
        Whole { message: Some(message), .. } if depth < DEEPEST => of_value(message, depth + 1),
        Whole { role: Some(role), .. } if role == "assistant" => Ok(Vec::new()),
        Whole { function: Some(_), .. } | Whole { call_id: Some(_), .. } => {
            of_items(&First { items: vec![value], count: 1 })
        }
        _ => Err(ToolCallError::NoCalls),
    }
}

fn of_items(items: &Items<'_>) -> Result<Vec<ToolCall>, ToolCallError> {
    if items.count > MOST_ITEMS {
        return Err(ToolCallError::TooMany { count: items.count });
    }
    let mut calls = Vec::new();
    for (position, item) in items.items.iter().enumerate() {
        let no_object = ToolCallError::Item { position, lacks: "function" };
        // A list would be taken for the members in their order.
        let is_object = item.get().starts_with('{');
        let item = is_object.then(|| serde_json::from_str::<CallItem<'_>>(item.get()).ok()).flatten();
        let item = item.ok_or(no_object)?;
        calls.extend(item.call(position)?);
    }
    Ok(calls)
}

impl CallItem<'_> {
    fn call(self, position: usize) -> Result<Option<ToolCall>, ToolCallError> {
        let lacks = |lacks| ToolCallError::Item { position, lacks };
        let (interface, is_function) = match self.kind.as_deref() {
            Some("function") | None => (Interface::Chat, true),
            Some("custom") => (Interface::Chat, false),
            Some("function_call") => (Interface::Responses, true),
            Some(_) => return Ok(None),
        };
        let (id, name, arguments) = match interface {
            Interface::Chat => {
                let key = if is_function { "function" } else { "custom" };
                let function = if is_function { self.function } else { self.custom };
                let function = function.ok_or_else(|| lacks(key))?;
                (self.id.ok_or_else(|| lacks("id"))?, function.name, function.arguments)
            }
            Interface::Responses => {
                (self.call_id.ok_or_else(|| lacks("call_id"))?, self.name, self.arguments)
            }
        };
        let name = name.ok_or_else(|| lacks("name"))?;
        let arguments = arguments.map(text).unwrap_or_default();
        Ok(Some(ToolCall { id, interface, name, arguments, is_function }))
    }
}

/// The content of a string; the text of any other value.
fn text(raw: &RawValue) -> Bytes {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => Bytes::from(text),
        Err(_) => Bytes::copy_from_slice(raw.get().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &Value) -> Result<Vec<(String, Interface, String, String)>, ToolCallError> {
        let calls = calls(body.to_string().as_bytes())?;
        let text = |call: &ToolCall| String::from_utf8(call.arguments.to_vec()).unwrap();
        Ok(calls
            .iter()
            .map(|call| (call.id.clone(), call.interface, call.name.clone(), text(call)))
            .collect())
    }

    #[test]
    fn calls_are_found_in_every_shape() {
        let call =
            json!({"id": "c1", "type": "function", "function": {"name": "n", "arguments": "{\"a\": 1}"}});
        let expected = vec![("c1".to_owned(), Interface::Chat, "n".to_owned(), "{\"a\": 1}".to_owned())];
        let message = json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call]});
        for body in [
            json!([call]),
            json!({"tool_calls": [call]}),
            message.clone(),
            json!({"index": 0, "finish_reason": "tool_calls", "message": message}),
            json!({"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}),
            call.clone(),
        ] {
            assert_eq!(read(&body).unwrap(), expected, "{body}");
        }
        let item =
            json!({"type": "function_call", "id": "fc", "call_id": "c1", "name": "n", "arguments": "{}"});
        let expected = vec![("c1".to_owned(), Interface::Responses, "n".to_owned(), "{}".to_owned())];
        for body in [
            json!([{"type": "reasoning", "id": "r", "summary": []}, item]),
            json!({"object": "response", "output": [{"type": "message", "role": "assistant", "content": []}, item]}),
            item.clone(),
        ] {
            assert_eq!(read(&body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn a_message_without_calls_asks_for_nothing() {
        for body in [
            json!([]),
            json!({"tool_calls": []}),
            json!({"role": "assistant", "content": "hello", "tool_calls": null}),
            json!({"choices": [{"message": {"role": "assistant", "content": "hello"}}]}),
        ] {
            assert_eq!(read(&body).unwrap(), vec![], "{body}");
        }
    }

    #[test]
    fn arguments_may_be_an_object_or_nothing() {
        for (arguments, expected) in
            [(json!({"a": 1}), "{\"a\":1}"), (json!(null), ""), (json!(""), ""), (json!("{"), "{")]
        {
            let body = json!([{"id": "c", "function": {"name": "n", "arguments": arguments}}]);
            assert_eq!(read(&body).unwrap()[0].3, expected);
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused_whole() {
        let good = json!({"id": "c", "function": {"name": "n"}});
        let refused = |body: &Value| read(body).unwrap_err().to_string();
        for (body, part) in [
            (json!([good, {"function": {"name": "n"}}]), "item 1 is no tool call: it lacks `id`"),
            (json!([{"id": "c"}]), "it lacks `function`"),
            (json!([7]), "item 0 is no tool call"),
            (json!([{"id": "c", "function": {}}]), "it lacks `name`"),
            (json!([{"type": "function_call", "id": "c", "name": "n"}]), "it lacks `call_id`"),
            (json!({"choices": [{}, {}]}), "there are 2 choices"),
            (json!({}), "holds no tool calls"),
            (json!("x"), "holds no tool calls"),
            (json!({"message": {"message": {"message": {"message": {"tool_calls": []}}}}}), "no tool calls"),
            (json!(vec![good.clone(); 129]), "there are 129 calls"),
            (json!(vec![good; 20_000]), "there are 20000 calls"),
            (json!({"output": vec![7; 20_000]}), "there are 20000 calls"),
        ] {
            let said = refused(&body);
            assert!(said.contains(part), "{body}: {said}");
        }
        assert_eq!(calls(b"{\"a\":}").unwrap_err(), ToolCallError::NotJson { line: 1, column: 6 });
    }
}
