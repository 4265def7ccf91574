//! Entries of the lists that servers answer with, as strict clients accept them ([`crate::catalog::definition`]).
//!
//! A correct entry keeps the server's bytes.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::catalog::definition::{self, Defined, Findings, Flaw, Wrong};
use crate::json::Members;
use crate::protocol::method;
use crate::upstream::tools::pages::{ListBudget, ListEntry, Page};

/// A kind of list, with its names in the protocol and in the log.
#[derive(Debug, PartialEq)]
pub struct ListKind {
    pub method: &'static str,
    /// The member of the result that holds the list.
    pub member: &'static str,
    pub capability: &'static str,
    /// The word for one entry in the log.
    pub one: &'static str,
    defined: Defined,
    /// The member of an entry that names it, and is replaced at the endpoint of all servers.
    key: &'static str,
}

pub static PROMPTS: ListKind = ListKind {
    method: method::PROMPTS_LIST,
    member: "prompts",
    capability: "prompts",
    one: "prompt",
    defined: Defined::Prompt,
    key: "name",
};
pub static RESOURCES: ListKind = ListKind {
    method: method::RESOURCES_LIST,
    member: "resources",
    capability: "resources",
    one: "resource",
    defined: Defined::Resource,
    key: "uri",
};
pub static TEMPLATES: ListKind = ListKind {
    method: method::RESOURCES_TEMPLATES_LIST,
    member: "resourceTemplates",
    capability: "resources",
    one: "resource template",
    defined: Defined::ResourceTemplate,
    key: "uriTemplate",
};

impl ListKind {
    /// The kind that `method` lists.
    pub fn of(method: &str) -> Option<&'static Self> {
        [&PROMPTS, &RESOURCES, &TEMPLATES].into_iter().find(|kind| kind.method == method)
    }

    /// The value that names `entry`, which strict clients read: the last one with its key.
    pub fn key_of<'a>(&self, entry: &'a str) -> Option<&'a RawValue> {
        let members: Members<'_> = serde_json::from_str(entry).ok()?;
        members.0.iter().rev().find(|(name, _)| name == self.key).map(|(_, value)| *value)
    }
}

/// The text of an entry for clients, and its server's own name for it; `None` leaves it out.
///
/// The faults of the entry go into `findings`.
pub fn readable<'a>(
    kind: &ListKind,
    entry: ListEntry<'a>,
    findings: &mut Findings,
) -> Option<(Cow<'a, str>, String)> {
    let left_out = |wrong, findings: &mut Findings| {
        findings.left_out("(an entry)", &Flaw { member: kind.member.to_owned(), wrong });
    };
    let ListEntry::Text(text) = entry else {
        left_out(Wrong::IsNo("list of entries that can be read: one is too large"), findings);
        return None;
    };
    let Ok(sent) = serde_json::from_str::<Map<String, Value>>(text) else {
        left_out(Wrong::IsNo("list of objects"), findings);
        return None;
    };
    let own = sent.get(kind.key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let shown = sent.get("name").and_then(Value::as_str).unwrap_or(&own);
    let held = definition::mended(kind.defined, &sent);
    findings.note(shown, &held);
    let text = match held.ok()? {
        None => Cow::Borrowed(text),
        Some(mended) => Cow::Owned(Value::Object(mended.definition).to_string()),
    };
    Some((text, own))
}

/// A page of one server's list, without entries that cannot be mended.
///
/// Resources whose `uri` is not a URI are left out: the Python SDK refuses the whole list for one.
///
/// # Errors
///
/// When `page` is not the JSON text of a page.
pub fn readable_page(kind: &ListKind, page: Bytes, findings: &mut Findings) -> serde_json::Result<Bytes> {
    let read = Page::read(&page, kind.member)?;
    let (mut entries, mut is_changed) = (Vec::new(), false);
    let over = read.each(&mut ListBudget::default(), |entry| {
        let readable = readable(kind, entry, findings);
        is_changed |= !matches!(readable, Some((Cow::Borrowed(_), _)));
        let Some((text, own)) = readable else { return };
        if *kind == RESOURCES && url::Url::parse(&own).is_err() {
            findings.left_out(&own, &Flaw { member: "uri".to_owned(), wrong: Wrong::IsNo("URI") });
            is_changed = true;
            return;
        }
        entries.push(text);
    });
    let mut members: Members<'_> = serde_json::from_slice(&page)?;
    let is_null = members.get(kind.member).is_some_and(|list| list.get() == "null");
    if over.is_none() && !is_changed && !is_null {
        return Ok(page.clone());
    }
    if let Some(over) = over {
        findings.cut(kind.member, over, entries.len());
    }
    let list = RawValue::from_string(format!("[{}]", entries.join(",")))?;
    members.set(kind.member, &list);
    Ok(members.object().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &ListKind, page: &'static str) -> String {
        let read = readable_page(kind, Bytes::from_static(page.as_bytes()), &mut Findings::default());
        String::from_utf8(read.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_page_keeps_its_bytes_when_nothing_is_wrong_with_it() {
        let page = r#"{ "prompts" : [ {"name":"p", "x":1.0}, {"name":"q"} ], "x":[1.50] }"#;
        assert_eq!(read(&PROMPTS, page), page);
    }

    #[test]
    fn entries_are_mended_or_left_out_and_all_else_of_the_page_stays() {
        assert_eq!(
            read(
                &PROMPTS,
                r#"{"x":1.50,"prompts":[{"name":"p","n":1.0},{"name":"q","title":null},7,{"title":"no name"}],"nextCursor":"n"}"#
            ),
            r#"{"x":1.50,"prompts":[{"name":"p","n":1.0},{"name":"q"}],"nextCursor":"n"}"#
        );
        assert_eq!(
            read(&RESOURCES, r#"{"resources":[{"uri":"readme","name":"r"},{"uri":"a:b"}]}"#),
            r#"{"resources":[{"uri":"a:b","name":"a:b"}]}"#
        );
        assert_eq!(read(&TEMPLATES, r#"{"resourceTemplates":null}"#), r#"{"resourceTemplates":[]}"#);
        assert!(readable_page(&TEMPLATES, Bytes::from_static(b"{}"), &mut Findings::default()).is_err());
    }
}
