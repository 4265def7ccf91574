//! Results in the form that strict clients accept.
//!
//! Members that are null and wrong annotations are removed. In the era of sessions so is `structuredContent` that is not
//! an object; its text stays. All other bytes are the server's.

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde::Deserialize as _;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::catalog::definition::{Defined, mended};
use crate::json::Members;
use crate::protocol::Era;

/// Members of a block that have rules of their own.
const WITH_RULES: [&str; 3] = ["annotations", "icons", "resource"];

/// A list that a server writes as null is empty ([`crate::mcp::list_entries`]).
const LISTS: [&str; 3] = ["prompts", "resources", "resourceTemplates"];

/// A result without the members that strict clients of `era` refuse; `None` when none is refused.
///
/// `members` are those of the result, and `is_call` means that it is the result of a tool.
pub fn readable(era: Era, members: &Members<'_>, is_call: bool) -> Option<Bytes> {
    let is_changed = |(name, value): &(Cow<'_, str>, &RawValue)| change(era, name, value).is_some();
    let lacks_content = is_call && is_complete(members) && !has(members, "content");
    if !lacks_content && !members.0.iter().any(is_changed) {
        return None;
    }
    let mut text = String::from("{");
    let mut put = |name: &str, value: &str| {
        if text.len() > 1 {
            text.push(',');
        }
        text.extend([&*Value::from(name).to_string(), ":", value]);
    };
    let structured = members.get("structuredContent");
    let goes = structured.is_some_and(|structured| change(era, "structuredContent", structured).is_some());
    // Removed content becomes text, unless the server sent text itself.
    let is_told = members.get("content").is_some_and(|content| content.get().len() > "[ ]".len());
    let wants_text = lacks_content || goes && is_call && !is_told;
    let content = wants_text.then(|| match structured.map(RawValue::get) {
        None | Some("null") => "[]".to_owned(),
        Some(structured) => json!([{ "type": "text", "text": structured }]).to_string(),
    });
    for (name, value) in &members.0 {
        match change(era, name, value) {
            _ if name == "content" && content.is_some() => {}
            None => put(name, value.get()),
            Some(Some(value)) => put(name, &value),
            Some(None) => {}
        }
    }
    if let Some(content) = content {
        put("content", &content);
    }
    text.push('}');
    Some(text.into())
}

/// Whether the member `name` is there and not null.
fn has(members: &Members<'_>, name: &str) -> bool {
    members.get(name).is_some_and(|value| value.get() != "null")
}

/// Whether the result ends a call, and is neither `input_required` nor a task.
fn is_complete(members: &Members<'_>) -> bool {
    let kind = members.get("resultType").map(RawValue::get);
    kind.is_none_or(|kind| kind == r#""complete""#) && !has(members, "task")
}

/// The change of a member: `None` keeps it, `Some(None)` removes it.
fn change(era: Era, name: &str, value: &RawValue) -> Option<Option<String>> {
    let text = value.get();
    match (name, era) {
        ("structuredContent", Era::Sessions) => (!text.starts_with('{')).then_some(None),
        ("structuredContent", Era::Stateless) => None,
        _ if text == "null" && !LISTS.contains(&name) => Some(None),
        ("content" | "contents" | "messages", _) if may_be_odd(text) => items(name, value).map(Some),
        _ => None,
    }
}

fn may_be_odd(text: &str) -> bool {
    static SIGNS: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| ["null", "\"annotations\""].map(Finder::new));
    SIGNS.iter().any(|sign| sign.find(text.as_bytes()).is_some())
}

/// The list `value` with its changes, if any item changes.
fn items(name: &str, value: &RawValue) -> Option<String> {
    let items = Vec::<&RawValue>::deserialize(value).ok()?;
    let changed: Vec<_> = items
        .iter()
        .map(|item| match name {
            "contents" => block(Defined::ResourceContents, item),
            "content" => block(Defined::ContentBlock, item),
            _ => message(item),
        })
        .collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    let texts = items.iter().zip(&changed).map(|(item, changed)| changed.as_deref().unwrap_or(item.get()));
    Some(format!("[{}]", texts.collect::<Vec<_>>().join(",")))
}

/// One message of a prompt with its changes; its content is one block or a list of them.
fn message(message: &RawValue) -> Option<String> {
    let mut members: Members<'_> = Members::deserialize(message).ok()?;
    let content = members.get("content")?;
    let changed = match content.get().starts_with('[') {
        true => items("content", content),
        false => block(Defined::ContentBlock, content),
    };
    let changed = RawValue::from_string(changed?).ok()?;
    members.set("content", &changed)?;
    Some(members.object())
}

/// One block in the form that strict clients accept, if it changes.
fn block(kind: Defined, block: &RawValue) -> Option<String> {
    let members: Members<'_> = Members::deserialize(block).ok()?;
    let is_odd =
        |(name, value): &(Cow<'_, str>, &RawValue)| value.get() == "null" || WITH_RULES.contains(&&**name);
    if !members.0.iter().any(is_odd) {
        return None;
    }
    let sent: Map<String, Value> = serde_json::from_str(block.get()).ok()?;
    let held = mended(kind, &sent).ok()?.map(|mended| mended.definition);
    let mut changed = held.unwrap_or_else(|| sent.clone());
    changed.retain(|_, value| !value.is_null());
    if changed.get("type").is_some_and(|kind| kind == "text") {
        changed.entry("text").or_insert_with(|| "".into());
    }
    (changed != sent).then(|| Value::Object(changed).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(era: Era, text: &str, is_call: bool) -> String {
        let members: Members<'_> = serde_json::from_str(text).unwrap();
        let read = readable(era, &members, is_call);
        read.map_or(text.to_owned(), |read| String::from_utf8(read.to_vec()).unwrap())
    }

    #[test]
    fn what_is_as_it_should_be_keeps_its_bytes() {
        for text in [
            r#"{ "content":[{"type":"text","text":"null","x":[null]}], "structuredContent":{"a":null} }"#,
            r#"{"content":[{"type":"text","text":"","annotations":{"priority":0.50}}],"n":1.0}"#,
            r#"{"contents":[{"uri":"a:","text":"null"}]}"#,
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"null"}}]}"#,
        ] {
            for era in [Era::Sessions, Era::Stateless] {
                assert_eq!(read(era, text, text.contains(r#""content":["#)), text);
            }
        }
    }

    #[test]
    fn nulls_go_and_so_do_annotations_of_a_wrong_type() {
        let block = r#"{"type":"text","text":"a","annotations":null,"_meta":null}"#;
        let odd = r#"{"type":"text","text":null,"annotations":{"priority":"high","audience":["user"]}}"#;
        let resource = r#"{"type":"resource","resource":{"uri":"a:","mimeType":null,"text":"b"}}"#;
        let clean = concat!(
            r#"[{"type":"text","text":"a"},{"type":"text","annotations":{"audience":["user"]},"text":""},"#,
            r#"{"type":"resource","resource":{"uri":"a:","text":"b"}},7]"#
        );
        let content = format!("[{block},{odd},{resource},7]");
        let result = format!(r#"{{"isError":null,"x":1.0,"content":{content},"_meta":null}}"#);
        assert_eq!(read(Era::Sessions, &result, true), format!(r#"{{"x":1.0,"content":{clean}}}"#));
        let prompt = format!(
            r#"{{"description":null,"messages":[{{"role":"user","content":{content}}},{{"content":{block}}}]}}"#
        );
        assert_eq!(
            read(Era::Stateless, &prompt, false),
            format!(
                r#"{{"messages":[{{"role":"user","content":{clean}}},{{"content":{{"type":"text","text":"a"}}}}]}}"#
            )
        );
        let contents = r#"{"contents":[{"uri":"a:","mimeType":null,"blob":"","_meta":null}]}"#;
        assert_eq!(read(Era::Sessions, contents, false), r#"{"contents":[{"uri":"a:","blob":""}]}"#);
    }

    #[test]
    fn structured_content_that_is_no_object_is_text_in_the_era_of_sessions() {
        let told = r#"{"content":[{"type":"text","text":"7"}],"structuredContent":7}"#;
        assert_eq!(read(Era::Sessions, told, true), r#"{"content":[{"type":"text","text":"7"}]}"#);
        assert_eq!(read(Era::Stateless, told, true), told);
        for untold in [r#"{"structuredContent":["n1"]}"#, r#"{"content":[],"structuredContent":["n1"]}"#] {
            assert_eq!(
                read(Era::Sessions, untold, true),
                r#"{"content":[{"type":"text","text":"[\"n1\"]"}]}"#
            );
        }
        assert_eq!(read(Era::Sessions, r#"{"structuredContent":null}"#, true), r#"{"content":[]}"#);
    }

    #[test]
    fn the_result_of_a_call_has_content() {
        assert_eq!(read(Era::Sessions, "{}", true), r#"{"content":[]}"#);
        assert_eq!(
            read(Era::Stateless, r#"{"structuredContent":{"a":1}}"#, true),
            r#"{"structuredContent":{"a":1},"content":[{"type":"text","text":"{\"a\":1}"}]}"#
        );
        for other in [r#"{"resultType":"input_required"}"#, r#"{"task":{}}"#] {
            assert_eq!(read(Era::Stateless, other, true), other);
        }
        assert_eq!(read(Era::Sessions, "{}", false), "{}");
    }
}
