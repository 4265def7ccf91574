//! One list of the entries of all servers: every page of each server, asked at once and within a deadline.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::catalog::definition::Findings;
use crate::catalog::resource_uri::joined;
use crate::compute;
use crate::json::{Splices, clip, member};
use crate::mcp::capabilities;
use crate::mcp::input::bridge::Bridge;
use crate::mcp::list_entries::{self, ListKind, PROMPTS};
use crate::mcp::method::pass_through::forward;
use crate::mcp::request::{RequestContext, kept};
use crate::mcp::response::fault::Fault;
use crate::mcp::stateless_result::{LIST_TTL, cache_members};
use crate::protocol::{Era, error_code};
use crate::upstream::tools::pages::{ListBudget, Page, TooLong};
use crate::upstream::{Freshness, Upstream};

/// How long a list waits for a server.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The list of one server.
#[derive(Debug)]
struct ServerEntries {
    kind: &'static ListKind,
    /// The pages, which keep their share of the results while their entries are in memory.
    pages: Vec<Bytes>,
    entries: Vec<ListedEntry>,
    names: HashSet<Arc<str>>,
    budget: ListBudget,
    freshness: Freshness,
    /// The faults of the entries.
    findings: Findings,
}

/// One entry, with its server's own name for it.
#[derive(Debug)]
struct ListedEntry {
    text: Box<str>,
    own: Arc<str>,
}

/// The list of all servers that the caller may see.
pub async fn list_all(
    request: &RequestContext,
    bridge: &Bridge,
    kind: &'static ListKind,
    params: &str,
) -> Result<Bytes, Fault> {
    if member::<Option<&RawValue>>(params, "cursor").flatten().is_some() {
        return Err(Fault::invalid_params("there is no such `cursor`: this list comes whole"));
    }
    request.first_outcomes().await;
    let servers = offering(request, kind.capability);
    // A list asks the client nothing, so that no server needs a connection of its own for it.
    let bridge = &Bridge::plain(bridge.era);
    let answers = join_all(servers.iter().map(|server| listed(request, bridge, server, kind))).await;
    let listed: Vec<_> =
        servers.iter().zip(answers).filter_map(|(server, list)| Some((server, list?))).collect();
    if *kind == PROMPTS {
        let heard = listed.iter().map(|(server, list)| {
            (server.name().clone(), list.entries.iter().map(|entry| entry.own.clone()).collect())
        });
        request.mcp.prompts.learn(&heard.collect::<Vec<_>>());
    }
    // A list that lacks a server is not to be cached.
    let longest = if listed.len() < servers.len() { 0 } else { LIST_TTL };
    let freshness = listed.iter().fold(Freshness::default(), |all, (_, list)| all.and(list.freshness));
    let (mut named, mut pages) = (Vec::new(), Vec::new());
    for (server, list) in listed {
        pages.extend(list.pages);
        let names = list.entries.into_iter().map(|entry| (shown_name(request, server, kind, &entry), entry));
        named.extend(names.filter_map(|(name, entry)| Some((name?, entry.text))));
    }
    let owner = request.caller.principal.id().unwrap_or_default().to_owned();
    let size: usize = named.iter().map(|(_, text)| text.len()).sum();
    let room = request.reserve_for_list(size).await?;
    let entries = compute::run_sized(&owner, size, move || joined_entries(kind, &named)).await;
    drop(pages);
    let mut text = format!("{{\"{}\":[{entries}]", kind.member);
    if bridge.era == Era::Stateless {
        text.push_str(&cache_members(freshness, longest, !request.mcp.is_open()));
    }
    text.push('}');
    Ok(kept(room, text.into()))
}

/// The servers that the caller may see and that declared `capability`.
fn offering(request: &RequestContext, capability: &str) -> Vec<Arc<Upstream>> {
    let catalog = request.mcp.gateway.catalog_builder().catalog();
    let visible = request.endpoint.servers(&catalog, &request.caller);
    let offering = visible.filter(|server| capabilities::has(server, capability));
    offering.filter_map(|server| server.upstream().cloned()).collect()
}

/// The name of an entry at the endpoint of all servers.
fn shown_name(
    request: &RequestContext,
    server: &Upstream,
    kind: &'static ListKind,
    entry: &ListedEntry,
) -> Option<String> {
    if *kind == PROMPTS {
        return Some(request.mcp.prompts.of(server.name(), &entry.own)?.to_string());
    }
    Some(joined(server.name().as_str(), &entry.own))
}

/// The list of `server`; `None` when it gives none, which is logged.
async fn listed(
    request: &RequestContext,
    bridge: &Bridge,
    server: &Upstream,
    kind: &'static ListKind,
) -> Option<ServerEntries> {
    let (name, what) = (server.name(), kind.member);
    let why = match timeout(LONGEST_WAIT, pages(request, bridge, server, kind)).await {
        Ok(Ok(listed)) => {
            listed.findings.log(name, kind.one, Some(&request.mcp.shared.logged_flaws));
            return Some(listed);
        }
        // It has resources, but no templates.
        Ok(Err(fault)) if fault.code == error_code::METHOD_NOT_FOUND => {
            return Some(ServerEntries::new(kind));
        }
        Ok(Err(fault)) => clip(fault.message(), 256).to_owned(),
        Err(_) => format!("it did not list them within {} s", LONGEST_WAIT.as_secs()),
    };
    tracing::warn!(mcp_server = %name, "{name}: its {what} are left out of those of all servers: {why}");
    None
}

async fn pages(
    request: &RequestContext,
    bridge: &Bridge,
    server: &Upstream,
    kind: &'static ListKind,
) -> Result<ServerEntries, Fault> {
    let name = server.name();
    let mut listed = ServerEntries::new(kind);
    let mut cursors = HashSet::new();
    let mut params = "{}".to_owned();
    loop {
        let page = forward(request, server, kind.method, &params, bridge).await?;
        let next;
        (listed, next) = compute::run_sized(name.as_str(), page.len(), move || listed.with(&page)).await;
        let why = match next? {
            (Some(bound), _) => format!("is longer than {bound}"),
            (None, None) => return Ok(listed),
            (None, Some(next)) if cursors.insert(next.clone()) => {
                params = serde_json::json!({ "cursor": next }).to_string();
                continue;
            }
            (None, Some(_)) => "goes in circles (a cursor came twice)".to_owned(),
        };
        let (what, count) = (kind.member, listed.entries.len());
        tracing::warn!(mcp_server = %name, "{name}: its list of {what} {why} and is cut after {count}");
        return Ok(listed);
    }
}

/// The bound that a page passed, and the cursor of the next page.
type AfterPage = (Option<TooLong>, Option<String>);

impl ServerEntries {
    fn new(kind: &'static ListKind) -> Self {
        Self {
            kind,
            pages: Vec::new(),
            entries: Vec::new(),
            names: HashSet::new(),
            budget: ListBudget::for_request(),
            freshness: Freshness::default(),
            findings: Findings::default(),
        }
    }

    /// The list with the entries of one more page. Of two with one name the first counts.
    fn with(mut self, page: &Bytes) -> (Self, Result<AfterPage, Fault>) {
        let next = self.add(page);
        self.pages.push(page.clone());
        (self, next)
    }

    fn add(&mut self, page: &[u8]) -> Result<AfterPage, Fault> {
        let Self { kind, entries, names, budget, freshness, findings, pages: _ } = self;
        let page =
            Page::read(page, kind.member).map_err(|_| Fault::internal("the server's answer is no list"))?;
        let over = page.each(budget, |entry| {
            let Some((text, own)) = list_entries::readable(kind, entry, findings) else { return };
            let own = Arc::<str>::from(own);
            if names.insert(own.clone()) {
                entries.push(ListedEntry { text: text.into(), own });
            }
        });
        *freshness = freshness.and(page.freshness);
        Ok((over, page.next))
    }
}

/// The texts of entries, each with the name that stands before it in `named`.
fn joined_entries(kind: &'static ListKind, named: &[(String, Box<str>)]) -> String {
    let mut joined = String::new();
    for (name, text) in named {
        let Some(key) = kind.key_of(text) else { continue };
        let mut splices = Splices::new(text);
        splices.set(key, name);
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(&splices.applied());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::list_entries::RESOURCES;

    #[test]
    fn a_page_gives_its_entries_once_with_the_smallest_ttl_and_the_narrowest_scope() {
        let mut listed = ServerEntries::new(&RESOURCES);
        let mut add = |page: &str| listed.add(page.as_bytes()).map(|(_, next)| next);
        let first = r#"{"resources":[{"uri":"a:1","name":"n","x":1.50},{"name":"no uri"},7,{"uri":"a:2"}],"nextCursor":"n","ttlMs":9}"#;
        assert_eq!(add(first).unwrap().as_deref(), Some("n"));
        let second =
            r#"{"ttlMs":5,"cacheScope":"private","resources":[{"uri":"a:1","x":2}],"nextCursor":null}"#;
        assert_eq!(add(second).unwrap(), None);
        assert_eq!(add(r#"{"ttlMs":8,"cacheScope":"public","resources":[]}"#).unwrap(), None);
        for odd in ["[]", "{}", r#"{"resources":{}}"#, "no JSON"] {
            assert!(add(odd).is_err(), "{odd}");
        }
        let texts: Vec<_> = listed.entries.iter().map(|entry| &*entry.text).collect();
        assert_eq!(texts, [r#"{"uri":"a:1","name":"n","x":1.50}"#, r#"{"uri":"a:2","name":"a:2"}"#]);
        assert_eq!(listed.freshness, Freshness { ttl: Some(5), is_private: true });
        let named: Vec<_> = listed.entries.into_iter().map(|entry| ("n".to_owned(), entry.text)).collect();
        assert_eq!(
            joined_entries(&RESOURCES, &named),
            r#"{"uri":"n","name":"n","x":1.50},{"uri":"n","name":"a:2"}"#
        );
    }

    #[test]
    fn a_page_of_what_is_no_entry_is_read_to_the_bound_only() {
        let mut listed = ServerEntries::new(&PROMPTS);
        let page =
            format!(r#"{{"prompts":[{{}}{},{{"name":"late"}}],"nextCursor":"n"}}"#, ",{}".repeat(20_000));
        assert!(matches!(listed.add(page.as_bytes()), Ok((Some(TooLong::Entries(_)), _))));
        assert!(listed.entries.is_empty());
    }
}
