//! One list of what all servers have: every page of each, asked at once and within a deadline.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::super::Mcp;
use super::super::answer::{self, Fault};
use super::super::methods::{Asked, Era, LIST_TTL};
use super::super::way::Way;
use super::uris::{Edits, joined};
use crate::upstream::Upstream;

/// How long a list waits for a server.
const PATIENCE: Duration = Duration::from_secs(10);
/// A server whose pages never end must not fill the memory.
const MOST_PAGES: usize = 1_000;
const MOST_BYTES: usize = 16 << 20;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Prompts,
    Resources,
    Templates,
}

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    /// The member of the result that holds the list.
    fn member(self) -> &'static str {
        match self {
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    fn capability(self) -> &'static str {
        match self {
            Self::Prompts => "prompts",
            Self::Resources | Self::Templates => "resources",
        }
    }

    /// The member of an entry that another one stands for here.
    fn key(self) -> &'static str {
        match self {
            Self::Prompts => "name",
            Self::Resources => "uri",
            Self::Templates => "uriTemplate",
        }
    }
}

/// What one server lists.
#[derive(Debug, Default)]
struct Listed {
    entries: Vec<Entry>,
    /// The smallest `ttlMs` of its pages, where it says one.
    ttl: Option<u64>,
    is_private: bool,
}

/// One entry, with what it is called by its server.
#[derive(Debug)]
struct Entry {
    text: Box<RawValue>,
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
        let listed: Vec<_> = servers
            .iter()
            .zip(&answers)
            .filter_map(|(server, list)| Some((server, list.as_ref()?)))
            .collect();
        if kind == Kind::Prompts {
            let heard = listed.iter().map(|(server, list)| {
                (server.name().clone(), list.entries.iter().map(|entry| entry.own.clone()).collect())
            });
            self.prompts.learn(&heard.collect::<Vec<_>>());
        }
        let mut entries = Vec::new();
        for (server, list) in &listed {
            entries.extend(list.entries.iter().filter_map(|entry| self.shown(server, kind, entry)));
        }
        let mut text = format!("{{\"{}\":[{}]", kind.member(), entries.join(","));
        if way.era == Era::Stateless {
            // What is not whole is not to be kept.
            let default = if listed.len() < servers.len() { 0 } else { u64::from(LIST_TTL) };
            let ttl = listed.iter().map(|(_, list)| list.ttl.unwrap_or(default)).fold(default, u64::min);
            let is_private = !self.is_open() || listed.iter().any(|(_, list)| list.is_private);
            let scope = if is_private { "private" } else { "public" };
            text.push_str(&format!(",\"ttlMs\":{ttl},\"cacheScope\":\"{scope}\""));
        }
        text.push('}');
        Ok(text.into())
    }

    /// The text of an entry under the name that it has here.
    fn shown(&self, server: &Upstream, kind: Kind, entry: &Entry) -> Option<String> {
        let name = match kind {
            Kind::Prompts => Cow::Owned(self.prompts.of(server.name(), &entry.own)?.to_string()),
            Kind::Resources | Kind::Templates => Cow::Owned(joined(server.name().as_str(), &entry.own)),
        };
        let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(entry.text.get()).ok()?;
        let mut edits = Edits::new(entry.text.get());
        edits.set(members.get(kind.key())?, &name);
        Some(edits.applied().into_owned())
    }

    /// What `server` lists; `None` when it does not, which is logged.
    async fn listed(&self, asked: &Asked<'_>, way: &Way, server: &Upstream, kind: Kind) -> Option<Listed> {
        let (name, what) = (server.name(), kind.member());
        let why = match timeout(PATIENCE, self.pages(asked, way, server, kind)).await {
            Ok(Ok(listed)) => return Some(listed),
            // It has resources, but no templates.
            Ok(Err(fault)) if fault.code == answer::METHOD_NOT_FOUND => return Some(Listed::default()),
            Ok(Err(fault)) => fault.message()[..fault.message().floor_char_boundary(256)].to_owned(),
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
        let mut listed = Listed::default();
        let mut names = HashSet::new();
        let mut cursors = HashSet::new();
        let mut bytes = 0;
        let mut params = "{}".to_owned();
        loop {
            let page = self.pass_on(asked, server, kind.method(), &params, way).await?;
            bytes += page.len();
            let next = listed.add(&page, kind, &mut names)?;
            let Some(next) = next else { return Ok(listed) };
            if cursors.len() >= MOST_PAGES || bytes > MOST_BYTES || !cursors.insert(next.clone()) {
                let (what, count) = (kind.member(), listed.entries.len());
                tracing::warn!(mcp_server = %name, "{name}: its list of {what} does not end and is cut after {count}");
                return Ok(listed);
            }
            params = serde_json::json!({ "cursor": next }).to_string();
        }
    }
}

impl Listed {
    /// Takes in one page; gives the cursor of the next one. Of two entries with one name the first counts; what is no
    /// entry is left out.
    fn add(
        &mut self,
        page: &[u8],
        kind: Kind,
        names: &mut HashSet<Arc<str>>,
    ) -> Result<Option<String>, Fault> {
        let bad = || Fault::internal("the server's answer is no list");
        let page: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(page).map_err(|_| bad())?;
        let list = page.get(kind.member()).ok_or_else(bad)?;
        let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|_| bad())?;
        for entry in list {
            let Ok(members) = serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(entry.get()) else {
                continue;
            };
            let own = members.get(kind.key()).and_then(|own| serde_json::from_str::<String>(own.get()).ok());
            let Some(own) = own.map(Arc::<str>::from) else { continue };
            if names.insert(own.clone()) {
                self.entries.push(Entry { text: entry.to_owned(), own });
            }
        }
        if let Some(ttl) = page.get("ttlMs").and_then(|ttl| ttl.get().parse().ok()) {
            self.ttl = Some(self.ttl.map_or(ttl, |known| known.min(ttl)));
        }
        self.is_private |= page.get("cacheScope").is_some_and(|scope| scope.get() == r#""private""#);
        Ok(page.get("nextCursor").and_then(|cursor| serde_json::from_str(cursor.get()).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_gives_its_entries_once_with_the_smallest_ttl_and_the_narrowest_scope() {
        let mut listed = Listed::default();
        let mut names = HashSet::new();
        let mut add = |page: &str| listed.add(page.as_bytes(), Kind::Resources, &mut names);
        let first = r#"{"resources":[{"uri":"a:1","x":1.50},{"name":"no uri"},7,{"uri":"a:2"}],"nextCursor":"n","ttlMs":9}"#;
        assert_eq!(add(first).unwrap().as_deref(), Some("n"));
        let second =
            r#"{"ttlMs":5,"cacheScope":"private","resources":[{"uri":"a:1","x":2}],"nextCursor":null}"#;
        assert_eq!(add(second).unwrap(), None);
        assert_eq!(add(r#"{"ttlMs":8,"cacheScope":"public","resources":[]}"#).unwrap(), None);
        for odd in ["[]", "{}", r#"{"resources":{}}"#, "no JSON"] {
            assert!(add(odd).is_err(), "{odd}");
        }
        let texts: Vec<_> = listed.entries.iter().map(|entry| entry.text.get()).collect();
        assert_eq!(texts, [r#"{"uri":"a:1","x":1.50}"#, r#"{"uri":"a:2"}"#]);
        assert_eq!((listed.ttl, listed.is_private), (Some(5), true));
    }
}
