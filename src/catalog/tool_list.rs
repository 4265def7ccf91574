//! Tools as MCP lists them: the JSON text of an array, each definition as its server sent it where that is as it should be
//! ([`super::definition`]).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::prefixed::ServerNames;
use super::resource_uri::with_joined_pages;
use super::{Catalog, CatalogServer, CatalogTool, Scope};
use crate::protocol::Era;

/// A list for clients with sessions, and one for those without.
type PerEra<T> = [OnceLock<T>; 2];

/// The lists of one server's tools, under one kind of names. Without patterns over tools, what a scope may see
/// of a server depends on whether it is read-only alone.
#[derive(Debug, Default)]
pub struct ServerLists {
    all: PerEra<Bytes>,
    read_only: PerEra<Bytes>,
}

impl ServerLists {
    fn of(&self, scope: &Scope, era: Era) -> &OnceLock<Bytes> {
        let lists = if scope.read_only { &self.read_only } else { &self.all };
        &lists[era as usize]
    }
}

/// The lists of one scope, made at the first request for them.
#[derive(Debug, Default)]
pub struct ScopeLists {
    all: PerEra<Bytes>,
    /// By server, for a scope that chooses tools.
    servers: OnceLock<Vec<PerEra<Bytes>>>,
}

impl CatalogServer {
    /// Makes the lists of this server, whose tools are called `names` among those of all, that were asked for of the one
    /// `before`: they will be again, and then they are there.
    pub fn list_as(&self, names: &ServerNames, (before, names_before): (&Self, &ServerNames)) {
        let scopes = [false, true].into_iter().filter_map(|read_only| Scope::new(None, read_only, 0).ok());
        let lists = scopes.flat_map(|scope| [Era::Sessions, Era::Stateless].map(|era| (scope.clone(), era)));
        for (scope, era) in lists {
            if before.lists.of(&scope, era).get().is_some() {
                self.list(&scope, era, None);
            }
            if names_before.lists.of(&scope, era).get().is_some() {
                self.list(&scope, era, Some(names));
            }
        }
    }

    /// The array of the tools that `scope` may see, under `names` or else their own.
    fn list(&self, scope: &Scope, era: Era, names: Option<&ServerNames>) -> Bytes {
        let era = self.list_era(era);
        let write = || {
            let mut text = vec![b'['];
            let visible = self.tools.iter().enumerate().filter(|(_, tool)| scope.allows(self, tool));
            for (position, tool) in visible {
                if text.len() > 1 {
                    text.push(b',');
                }
                let name = names.map_or(&tool.listed_name, |names| names.of(position));
                let server = names.map(|_| self.name.as_str());
                serde_json::to_writer(&mut text, &Listed { name, tool, era, server })
                    .expect("JSON values with string keys are always written");
            }
            text.push(b']');
            Bytes::from(text)
        };
        if scope.chooses_tools() {
            return write();
        }
        names.map_or(&self.lists, |names| &names.lists).of(scope, era).get_or_init(write).clone()
    }

    /// The era whose list is sent to clients of `era`: mostly one list serves both.
    fn list_era(&self, era: Era) -> Era {
        let says_more =
            |tool: &Arc<CatalogTool>| tool.mended.as_ref().is_some_and(|mended| mended.any_output.is_some());
        if self.tools.iter().any(says_more) { era } else { Era::Sessions }
    }
}

impl Catalog {
    /// The tools of all servers that `scope` may see, under their prefixed names, for clients of `era`.
    pub fn tool_list(&self, scope: &Scope, era: Era) -> Bytes {
        let differs = |server: &Arc<CatalogServer>| server.list_era(era) == era;
        let era = if self.servers.iter().any(differs) { era } else { Era::Sessions };
        let write = || {
            let servers = self.servers.iter().enumerate();
            let visible = servers.filter(|(_, server)| scope.allows_server(&server.name));
            joined(
                visible.map(|(index, server)| server.list(scope, era, Some(self.prefixed().server(index)))),
            )
        };
        self.lists[scope.index].all[era as usize].get_or_init(write).clone()
    }

    /// The tools of one server that `scope` may see, under their own names, for clients of `era`.
    pub fn tool_list_of(&self, scope: &Scope, era: Era, name: &str) -> Bytes {
        let index = self.by_name.get(name).copied();
        let found = index.map(|index| (index, &self.servers[index]));
        let Some((index, server)) = found.filter(|(_, server)| scope.allows_server(&server.name)) else {
            return Bytes::from_static(b"[]");
        };
        let write = || server.list(scope, era, None);
        if !scope.chooses_tools() {
            return write();
        }
        let lists = &self.lists[scope.index].servers;
        let lists = lists.get_or_init(|| self.servers.iter().map(|_| PerEra::default()).collect());
        lists[index][server.list_era(era) as usize].get_or_init(write).clone()
    }
}

/// One array of the elements of all `arrays`.
fn joined(arrays: impl IntoIterator<Item = Bytes>) -> Bytes {
    let mut text = vec![b'['];
    for array in arrays.into_iter().filter(|array| array.len() > 2) {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(&array[1..array.len() - 1]);
    }
    text.push(b']');
    text.into()
}

/// A tool's definition under the name that this list gives it.
struct Listed<'a> {
    name: &'a str,
    tool: &'a Arc<CatalogTool>,
    era: Era,
    /// Under which the pages of Apps are named, where all servers stand together.
    server: Option<&'a str>,
}

impl Serialize for Listed<'_> {
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
