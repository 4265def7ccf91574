//! One list of what all servers have: every page of each, asked at once and within a deadline.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::super::Mcp;
use super::super::answer::Fault;
use super::super::entries::{self, Kind};
use super::super::era::LIST_TTL;
use super::super::methods::Asked;
use super::super::tool_lists::kept;
use super::super::way::Way;
use crate::catalog::definition::Findings;
use crate::catalog::resource_uri::joined;
use crate::compute;
use crate::json::{Splices, clip};
use crate::protocol::{Era, error_code};
use crate::upstream::tools::pages::{ListRoom, Page, TooLong};
use crate::upstream::{Freshness, Upstream};

/// How long a list waits for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// What one server lists.
#[derive(Debug)]
struct Listed {
    kind: Kind,
    /// The pages, which keep their room among the results while their entries are in memory.
    pages: Vec<Bytes>,
    entries: Vec<Own>,
    names: HashSet<Arc<str>>,
    room: ListRoom,
    freshness: Freshness,
    /// What is wrong with them.
    findings: Findings,
}

/// One entry, with what it is called by its server.
#[derive(Debug)]
struct Own {
    text: Box<str>,
    own: Arc<str>,
}

impl Mcp {
    /// The list of all servers that the caller may see.
    pub(super) async fn list_all(
        &self,
        asked: &Asked<'_>,
        way: &Way,
        kind: Kind,
        params: &str,
    ) -> Result<Bytes, Fault> {
        #[derive(Deserialize)]
        struct Params<'a> {
            #[serde(borrow)]
            cursor: Option<&'a RawValue>,
        }
        if serde_json::from_str::<Params<'_>>(params).is_ok_and(|params| params.cursor.is_some()) {
            return Err(Fault::invalid_params("there is no such `cursor`: this list comes whole"));
        }
        self.first_outcomes(asked).await;
        let servers = self.offering(asked.caller, kind.capability());
        // Nobody is asked anything for a list, so that no server needs a connection of its own for it.
        let way = &Way::plain(way.era);
        let answers = join_all(servers.iter().map(|server| self.listed(asked, way, server, kind))).await;
        let listed: Vec<_> =
            servers.iter().zip(answers).filter_map(|(server, list)| Some((server, list?))).collect();
        if kind == Kind::Prompts {
            let heard = listed.iter().map(|(server, list)| {
                (server.name().clone(), list.entries.iter().map(|entry| entry.own.clone()).collect())
            });
            self.prompts.learn(&heard.collect::<Vec<_>>());
        }
        // What is not whole is not to be kept.
        let default = if listed.len() < servers.len() { 0 } else { u64::from(LIST_TTL) };
        let freshness = listed.iter().fold(Freshness::default(), |all, (_, list)| all.and(list.freshness));
        let (mut named, mut pages) = (Vec::new(), Vec::new());
        for (server, list) in listed {
            pages.extend(list.pages);
            let names = list.entries.into_iter().map(|entry| (self.shown_name(server, kind, &entry), entry));
            named.extend(names.filter_map(|(name, entry)| Some((name?, entry.text))));
        }
        let owner = asked.caller.key_name.clone().unwrap_or_default();
        let size: usize = named.iter().map(|(_, text)| text.len()).sum();
        let room = self.room_for(asked, size).await?;
        let entries = compute::run_sized(&owner, size, move || joined_entries(kind, &named)).await;
        drop(pages);
        let mut text = format!("{{\"{}\":[{entries}]", kind.member());
        if way.era == Era::Stateless {
            let ttl = freshness.ttl.unwrap_or(default).min(default);
            let is_private = !self.is_open() || freshness.is_private;
            let scope = if is_private { "private" } else { "public" };
            text.push_str(&format!(",\"ttlMs\":{ttl},\"cacheScope\":\"{scope}\""));
        }
        text.push('}');
        Ok(kept(room, text.into()))
    }

    /// What an entry is called here.
    fn shown_name(&self, server: &Upstream, kind: Kind, entry: &Own) -> Option<String> {
        Some(match kind {
            Kind::Prompts => self.prompts.of(server.name(), &entry.own)?.to_string(),
            Kind::Resources | Kind::Templates => joined(server.name().as_str(), &entry.own),
        })
    }

    /// What `server` lists; `None` when it does not, which is logged.
    async fn listed(&self, asked: &Asked<'_>, way: &Way, server: &Upstream, kind: Kind) -> Option<Listed> {
        let (name, what) = (server.name(), kind.member());
        let why = match timeout(PATIENCE, self.pages(asked, way, server, kind)).await {
            Ok(Ok(listed)) => {
                listed.findings.tell(name, kind.one(), Some(&self.shared.told));
                return Some(listed);
            }
            // It has resources, but no templates.
            Ok(Err(fault)) if fault.code == error_code::METHOD_NOT_FOUND => return Some(Listed::new(kind)),
            Ok(Err(fault)) => clip(fault.message(), 256).to_owned(),
            Err(_) => format!("it did not list them within {} s", PATIENCE.as_secs()),
        };
        tracing::warn!(mcp_server = %name, "{name}: its {what} are left out of those of all servers: {why}");
        None
    }

    async fn pages(
        &self,
        asked: &Asked<'_>,
        way: &Way,
        server: &Upstream,
        kind: Kind,
    ) -> Result<Listed, Fault> {
        let name = server.name();
        let mut listed = Listed::new(kind);
        let mut cursors = HashSet::new();
        let mut params = "{}".to_owned();
        loop {
            let page = self.pass_on(asked, server, kind.method(), &params, way).await?;
            let next;
            (listed, next) = compute::run_sized(name.as_str(), page.len(), move || listed.with(&page)).await;
            let why = match next? {
                Next::Nothing => return Ok(listed),
                Next::Page(next) if cursors.insert(next.clone()) => {
                    params = serde_json::json!({ "cursor": next }).to_string();
                    continue;
                }
                Next::Page(_) => "goes in circles (a cursor came twice)".to_owned(),
                Next::TooLong(bound) => format!("is longer than {bound}"),
            };
            let (what, count) = (kind.member(), listed.entries.len());
            tracing::warn!(mcp_server = %name, "{name}: its list of {what} {why} and is cut after {count}");
            return Ok(listed);
        }
    }
}

/// What comes after a page.
enum Next {
    Page(String),
    Nothing,
    TooLong(TooLong),
}

impl Listed {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            pages: Vec::new(),
            entries: Vec::new(),
            names: HashSet::new(),
            room: ListRoom::for_request(),
            freshness: Freshness::default(),
            findings: Findings::default(),
        }
    }

    /// The same with the entries of one more page. Of two with one name the first counts; what is no entry is left out.
    fn with(mut self, page: &Bytes) -> (Self, Result<Next, Fault>) {
        let next = self.add(page);
        self.pages.push(page.clone());
        (self, next)
    }

    fn add(&mut self, page: &[u8]) -> Result<Next, Fault> {
        let Self { kind, entries, names, room, freshness, findings, pages: _ } = self;
        let page =
            Page::read(page, kind.member()).map_err(|_| Fault::internal("the server's answer is no list"))?;
        let over = page.each(room, |entry| {
            let Some((text, own)) = entries::readable(*kind, entry, findings) else { return };
            let own = Arc::<str>::from(own);
            if names.insert(own.clone()) {
                entries.push(Own { text: text.into(), own });
            }
        });
        *freshness = freshness.and(page.freshness);
        Ok(match (over, page.next) {
            (Some(bound), _) => Next::TooLong(bound),
            (None, Some(next)) => Next::Page(next),
            (None, None) => Next::Nothing,
        })
    }
}

/// The texts of entries, each under the name that goes before it.
fn joined_entries(kind: Kind, named: &[(String, Box<str>)]) -> String {
    let mut joined = String::new();
    for (name, text) in named {
        let Some(key) = kind.key(text) else { continue };
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

    #[test]
    fn a_page_gives_its_entries_once_with_the_smallest_ttl_and_the_narrowest_scope() {
        let mut listed = Listed::new(Kind::Resources);
        let mut add = |page: &str| match listed.add(page.as_bytes()) {
            Ok(Next::Page(next)) => Ok(Some(next)),
            Ok(_) => Ok(None),
            Err(fault) => Err(fault),
        };
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
            joined_entries(Kind::Resources, &named),
            r#"{"uri":"n","name":"n","x":1.50},{"uri":"n","name":"a:2"}"#
        );
    }

    #[test]
    fn a_page_of_what_is_no_entry_is_read_to_the_bound_only() {
        let mut listed = Listed::new(Kind::Prompts);
        let page =
            format!(r#"{{"prompts":[{{}}{},{{"name":"late"}}],"nextCursor":"n"}}"#, ",{}".repeat(20_000));
        assert!(matches!(listed.add(page.as_bytes()), Ok(Next::TooLong(TooLong::Entries(_)))));
        assert!(listed.entries.is_empty());
    }
}
