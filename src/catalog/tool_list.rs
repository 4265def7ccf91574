//! MCP's lists of tools: the JSON text of an array, each definition as its server sent it, or as mended
//! ([`super::definition`]).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::exposed_names::{ExposedNames, ServerNames};
use super::json_text::{array, comma, json};
use super::list_cache::PerEra;
use super::resource_uri::with_joined_pages;
use super::scope::Scope;
use super::server::CatalogServer;
use super::tool::CatalogTool;
use crate::protocol::Era;

/// The lists of one scope, each written at the first request for it.
#[derive(Debug, Default)]
pub struct ScopeLists {
    all: PerEra<Bytes>,
    /// By server, for a scope that chooses tools.
    servers: OnceLock<Vec<PerEra<Bytes>>>,
}

impl ScopeLists {
    /// The tools of all `servers` that `scope` may see, under their exposed names.
    pub fn of_all(
        &self,
        servers: &[Arc<CatalogServer>],
        names: &ExposedNames,
        scope: &Scope,
        era: Era,
    ) -> Bytes {
        let differs = |server: &Arc<CatalogServer>| list_era(server, era) == era;
        let era = if servers.iter().any(differs) { era } else { Era::Sessions };
        let write = || {
            let visible = servers.iter().enumerate().filter(|(_, server)| scope.allows_server(&server.name));
            let lists = visible.map(|(index, server)| list(server, scope, era, Some(names.server(index))));
            Bytes::from(array(lists.map(|list| list.slice(1..list.len() - 1))))
        };
        self.all[era as usize].get_or_init(write).clone()
    }

    /// The tools of one server that `scope` may see, under their own names.
    pub fn of_server(&self, servers: &[Arc<CatalogServer>], index: usize, scope: &Scope, era: Era) -> Bytes {
        let server = &servers[index];
        let write = || list(server, scope, era, None);
        if !scope.chooses_tools() {
            return write();
        }
        let lists = self.servers.get_or_init(|| servers.iter().map(|_| PerEra::default()).collect());
        lists[index][list_era(server, era) as usize].get_or_init(write).clone()
    }
}

/// Writes the lists of `server` that were requested of the one `before`: they will be requested again.
pub(super) fn write_lists(
    server: &CatalogServer,
    names: &ServerNames,
    (before, names_before): (&CatalogServer, &ServerNames),
) {
    let scopes = [false, true].into_iter().filter_map(|read_only| Scope::new(None, read_only, 0).ok());
    let lists = scopes.flat_map(|scope| [Era::Sessions, Era::Stateless].map(|era| (scope.clone(), era)));
    for (scope, era) in lists {
        if before.lists.of(scope.read_only, era).get().is_some() {
            list(server, &scope, era, None);
        }
        if names_before.lists.of(scope.read_only, era).get().is_some() {
            list(server, &scope, era, Some(names));
        }
    }
}

/// The array of the tools of `server` that `scope` may see, under `names` or else their own.
fn list(server: &CatalogServer, scope: &Scope, era: Era, names: Option<&ServerNames>) -> Bytes {
    let era = list_era(server, era);
    let write = || {
        let mut text = vec![b'['];
        let visible = server.tools.iter().enumerate().filter(|(_, tool)| scope.allows(server, tool));
        for (position, tool) in visible {
            comma(&mut text);
            let name = names.map_or(&tool.listed_name, |names| names.of(position));
            let server = names.map(|_| server.name.as_str());
            json(&mut text, &ListedTool { name, tool, era, server });
        }
        text.push(b']');
        Bytes::from(text)
    };
    if scope.chooses_tools() {
        return write();
    }
    let lists = names.map_or(&server.lists, |names| &names.lists);
    lists.of(scope.read_only, era).get_or_init(write).clone()
}

/// The era whose lists of these tools clients of `era` get: mostly both are alike.
fn list_era(server: &CatalogServer, era: Era) -> Era {
    let says_more =
        |tool: &Arc<CatalogTool>| tool.mended.as_ref().is_some_and(|mended| mended.any_output.is_some());
    if server.tools.iter().any(says_more) { era } else { Era::Sessions }
}

/// A tool's definition under the name that this list gives it.
struct ListedTool<'a> {
    name: &'a str,
    tool: &'a Arc<CatalogTool>,
    era: Era,
    /// Under which the pages of Apps are named, where all servers stand together.
    server: Option<&'a str>,
}

impl Serialize for ListedTool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let definition: &Map<String, Value> = self.tool.listed();
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in definition {
            match (key.as_str(), self.server.filter(|_| key == "_meta")) {
                ("name", _) => map.serialize_entry(key, self.name)?,
                (_, Some(server)) => match with_joined_pages(server, value) {
                    Some(meta) => map.serialize_entry(key, &meta)?,
                    None => map.serialize_entry(key, value)?,
                },
                _ => map.serialize_entry(key, value)?,
            }
        }
        let any_output = self.tool.mended.as_ref().and_then(|mended| mended.any_output.as_ref());
        if let Some(schema) = any_output.filter(|_| self.era == Era::Stateless) {
            map.serialize_entry("outputSchema", schema)?;
        }
        map.end()
    }
}
