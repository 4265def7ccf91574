//! A server's tool list: all its pages, each tool exactly as the server defined it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::compute;
use crate::config::ServerName;
use crate::protocol::error_code::METHOD_NOT_FOUND;
use crate::protocol::method;
use crate::upstream::connection::Connection;
use crate::upstream::error::CloseReason;
use crate::upstream::info::{Definition, Freshness, ServerInfo, ToolList};
use crate::upstream::message::Reply;
use crate::upstream::request::{Request, RequestKind};
use crate::upstream::tools::header_params::{HeaderParam, InvalidAnnotation};
use crate::upstream::tools::pages::{ListBudget, ListEntry, Page, TooLong};

/// Reads all pages of `tools/list`, as far as [`ListBudget`] allows. An entry that is not a tool (no object, no name)
/// is skipped with a warning, so that the good ones stay; so is one whose `x-mcp-header` is invalid, where the server
/// may ask for headers. A tool that equals its version in `known`, the list before, is the very same. The list says
/// of its server what `known` does, but for the freshness.
pub async fn list(
    server: &ServerName,
    connection: &dyn Connection,
    known: Option<Arc<ToolList>>,
) -> Result<ToolList, CloseReason> {
    let checks_headers = connection.mirrors_arguments();
    let mut reading = ListReader { known, checks_headers, ..ListReader::default() };
    let mut cursor: Option<String> = None;
    let mut seen = HashSet::new();
    let end = loop {
        let request = Request::plain(RequestKind::ListTools { cursor: cursor.as_deref() });
        let page = match connection.request(request, None).await {
            Ok(Reply::Result(page)) => page,
            Ok(Reply::Error(error)) if error.code == METHOD_NOT_FOUND && seen.is_empty() => break None,
            Ok(Reply::Error(error)) => {
                return Err(CloseReason::handshake(method::TOOLS_LIST, &error.message));
            }
            Err(error) => return Err(error.ends(method::TOOLS_LIST)),
        };
        let next;
        (reading, next) = compute::run_sized(server.as_str(), page.len(), move || {
            let next = reading.take_page(&page);
            (reading, next)
        })
        .await;
        match next.map_err(|error| CloseReason::handshake(method::TOOLS_LIST, &error))? {
            NextPage::Page(next) if seen.insert(next.clone()) => cursor = Some(next),
            NextPage::Page(_) => break Some("goes in circles (a cursor came twice)".to_owned()),
            NextPage::Nothing => break None,
            NextPage::TooLong(bound) => {
                break Some(format!("is longer than {bound} and is cut after {} tools", reading.tools.len()));
            }
        }
    };
    if let Some(end) = end {
        tracing::warn!(mcp_server = %server, "{server}: its tool list {end}");
    }
    let ListReader { tools, freshness, known, skipped, .. } = reading;
    if let Some((first, count)) = &skipped {
        let others = match count {
            1 => String::new(),
            count => format!(" (and {} further entries are skipped)", count - 1),
        };
        tracing::warn!(mcp_server = %server, count, "{server}: an entry of its tool list {first}{others}");
    }
    let info = known.map(|list| list.info.clone()).unwrap_or_default();
    Ok(ToolList { info: ServerInfo { freshness, ..info }, tools, revision: 0 })
}

/// A list while it is read.
#[derive(Default)]
struct ListReader {
    tools: Vec<Definition>,
    freshness: Freshness,
    budget: ListBudget,
    known: Option<Arc<ToolList>>,
    /// Where the next tool is looked for in `known`.
    next_known: usize,
    /// Whether the server may ask for headers.
    checks_headers: bool,
    /// Why entries are not taken into the list: the first reason, and how many entries.
    skipped: Option<(Unusable, usize)>,
}

/// The continuation after a page.
enum NextPage {
    Page(String),
    Nothing,
    TooLong(TooLong),
}

/// Why an entry of a list cannot be offered as a tool.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("is no tool (an object with a `name`): {0}")]
    Kind(&'static str),
    #[error("cannot be parsed: {0}")]
    Syntax(serde_json::Error),
    #[error("named `{name}` is left out: it takes more than {} MiB of memory", ListEntry::LARGEST_MIB)]
    Large { name: String },
    #[error("named `{name}` is left out: {reason}")]
    Header { name: String, reason: InvalidAnnotation },
}

impl ListReader {
    fn take_page(&mut self, page: &[u8]) -> Result<NextPage, String> {
        let page = Page::read(page, "tools").map_err(|error| {
            let what = if error.is_data() { "tool list" } else { "JSON" };
            // The error's own text quotes what it stumbles over.
            format!("its answer is no {what} (line {}, column {})", error.line(), error.column())
        })?;
        self.freshness = self.freshness.and(page.freshness);
        let mut budget = std::mem::take(&mut self.budget);
        let over = page.each(&mut budget, |entry| match self.tool(entry) {
            Ok(tool) => self.tools.push(tool),
            Err(why) => self.skipped.get_or_insert((why, 0)).1 += 1,
        });
        self.budget = budget;
        Ok(match (over, page.next) {
            (Some(bound), _) => NextPage::TooLong(bound),
            (None, Some(next)) => NextPage::Page(next),
            (None, None) => NextPage::Nothing,
        })
    }

    fn tool(&mut self, entry: ListEntry<'_>) -> Result<Definition, Unusable> {
        let entry = match entry {
            ListEntry::Text(entry) if entry.starts_with('{') => entry,
            ListEntry::Text(entry) | ListEntry::Large(entry) => return Err(Unusable::of(entry)),
        };
        let tool: Map<String, Value> = serde_json::from_str(entry).map_err(Unusable::Syntax)?;
        let Some(name) = tool.get("name").and_then(Value::as_str) else {
            return Err(Unusable::Kind("object without a name"));
        };
        if let Some(known) = self.known(name, &tool) {
            return Ok(known);
        }
        if self.checks_headers {
            HeaderParam::all_of(&tool)
                .map_err(|reason| Unusable::Header { name: name.to_owned(), reason })?;
        }
        Ok(Arc::new(tool))
    }

    /// The tool of the list before that equals `tool`, so that nothing is built anew. The search starts where the
    /// last one was found, so a list costs the same in any order.
    fn known(&mut self, name: &str, tool: &Map<String, Value>) -> Option<Definition> {
        const AROUND: usize = 8;
        let known = self.known.as_ref()?.tools.get(self.next_known..)?;
        let is_named = |known: &Definition| known.get("name").and_then(Value::as_str) == Some(name);
        let at = known.iter().take(AROUND).position(is_named)?;
        let found = &known[at];
        self.next_known += at + 1;
        (**found == *tool).then(|| found.clone())
    }
}

impl Unusable {
    /// The fault of an entry that is not parsed.
    fn of(entry: &str) -> Self {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            name: Cow<'a, str>,
        }
        let name = |entry| serde_json::from_str::<Named<'_>>(entry).map(|tool| tool.name.into_owned()).ok();
        match entry.as_bytes().first() {
            Some(b'{') => {
                name(entry).map_or(Self::Kind("object without a name"), |name| Self::Large { name })
            }
            Some(b'[') => Self::Kind("array"),
            Some(b'"') => Self::Kind("string"),
            Some(b't' | b'f') => Self::Kind("boolean"),
            Some(b'n') => Self::Kind("null"),
            _ => Self::Kind("number"),
        }
    }
}
