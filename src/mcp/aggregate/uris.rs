//! Replaces URIs of resources in JSON text by those of the endpoint of all servers ([`joined`]).
//!
//! All other text keeps the server's bytes.

use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;
use serde_json::value::RawValue;

use crate::catalog::ServerSource;
use crate::catalog::resource_uri::joined;
use crate::gateway::Target;
use crate::gateway::builtin::relayed_to;
use crate::json::{Splices, member};

/// A tool's result as the endpoint of all servers shows it: the URIs of resources name their server.
pub fn tool_result(target: &Target, arguments: &[u8], result: Bytes) -> Bytes {
    match &target.server.source {
        ServerSource::Upstream(_) => {
            rewritten(result, |splices| in_items(splices, target.server.name.as_str()))
        }
        // A result of `call_tool` comes from the server that it called.
        ServerSource::Gateway => match relayed_to(&target.tool.name, arguments) {
            Some(server) => rewritten(result, |splices| in_items(splices, &server)),
            None => result,
        },
    }
}

/// `result` with the changes of `edit`. Most results hold no URI, and are not searched for one.
pub fn rewritten(result: Bytes, edit: impl FnOnce(&mut Splices<'_>)) -> Bytes {
    static URI: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"uri\""));
    if URI.find(&result).is_none() {
        return result;
    }
    let Ok(text) = std::str::from_utf8(&result) else { return result };
    let mut splices = Splices::new(text);
    edit(&mut splices);
    if splices.is_empty() { result.clone() } else { splices.applied().into_owned().into() }
}

/// The URIs in a tool's result.
fn in_items(splices: &mut Splices<'_>, server: &str) {
    if let Some(content) = member(splices.text(), "content") {
        in_content(splices, server, content);
    }
}

/// The URIs in a prompt's messages.
pub fn in_messages(splices: &mut Splices<'_>, server: &str) {
    for message in member::<Vec<&RawValue>>(splices.text(), "messages").unwrap_or_default() {
        if let Some(content) = member(message.get(), "content") {
            in_content(splices, server, content);
        }
    }
}

/// The URIs in a result of `resources/read`.
pub fn in_contents(splices: &mut Splices<'_>, server: &str) {
    for contents in member::<Vec<&RawValue>>(splices.text(), "contents").unwrap_or_default() {
        join(splices, server, contents);
    }
}

/// One item, or a list of them.
fn in_content<'a>(splices: &mut Splices<'a>, server: &str, content: &'a RawValue) {
    let items: Vec<&RawValue> = match content.get().starts_with('[') {
        true => serde_json::from_str(content.get()).unwrap_or_default(),
        false => vec![content],
    };
    for item in items {
        match member::<String>(item.get(), "type").as_deref() {
            Some("resource_link") => join(splices, server, item),
            Some("resource") => {
                if let Some(resource) = member(item.get(), "resource") {
                    join(splices, server, resource);
                }
            }
            _ => {}
        }
    }
}

/// Puts `server` in front of the URI of `resource`, if it has one.
fn join<'a>(splices: &mut Splices<'a>, server: &str, resource: &'a RawValue) {
    if let Some(uri) = member::<&RawValue>(resource.get(), "uri")
        && let Ok(own) = serde_json::from_str::<String>(uri.get())
    {
        splices.set(uri, &joined(server, &own));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edit: impl for<'a> FnOnce(&mut Splices<'a>, &str)) -> String {
        let mut splices = Splices::new(text);
        edit(&mut splices, "a b");
        splices.applied().into_owned()
    }

    #[test]
    fn only_uris_of_resources_change_in_a_result_and_every_other_byte_stays() {
        let result = concat!(
            r#"{ "x":1.50, "content":[{"type":"text","text":"\"uri\"","uri":"t://t"},"#,
            r#"{"uri":"d:\/\/1","type":"resource_link", "uri2":7},7,"#,
            r#"{"type":"resource","resource":{"text":"","uri":"d://2"}},{"type":"hologram","uri":"h://h"},"#,
            r#"{"type":"resource_link","uri":3},{"type":"resource"}],"structuredContent":{"uri":"s://s"}}"#
        );
        let expected = result
            .replace(r#""d:\/\/1""#, r#""mcpo://a%20b/d://1""#)
            .replace(r#""d://2""#, r#""mcpo://a%20b/d://2""#);
        assert_eq!(edited(result, in_items), expected);
        for odd in [r#"{"content":{"type":"text"}}"#, r#"{"content":7}"#, "[]", "no JSON", r#"{"uri":"x"}"#] {
            assert_eq!(edited(odd, in_items), odd);
        }
    }

    #[test]
    fn messages_and_contents_are_looked_through_too() {
        let prompt = r#"{"messages":[{"content":{"type":"resource","resource":{"uri":"d://1"}}},{"content":[{"type":"resource_link","uri":"d://2"}]},{}]}"#;
        assert_eq!(edited(prompt, in_messages), prompt.replace("d://", "mcpo://a%20b/d://"));
        let read = r#"{"contents":[{"uri":"d://1","text":"d"},{"uri":null},{"blob":"","uri":"d://2"}]}"#;
        assert_eq!(edited(read, in_contents), read.replace("d://", "mcpo://a%20b/d://"));
        assert_eq!(edited(prompt, in_contents), prompt);
    }
}
