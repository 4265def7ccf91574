//! Tools as MCP lists them: the JSON text of an array, each definition as its server sent it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::prefixed::ServerNames;
use super::{Catalog, CatalogServer, CatalogTool, Scope};

/// The tools of one server as elements of lists, under one kind of names. Without patterns over tools, what a scope may see
/// of a server depends on whether it is read-only alone.
#[derive(Debug, Default)]
pub struct ServerLists {
    all: OnceLock<Bytes>,
    read_only: OnceLock<Bytes>,
}

impl ServerLists {
    fn of(&self, scope: &Scope) -> &OnceLock<Bytes> {
        if scope.read_only { &self.read_only } else { &self.all }
    }
}

/// The lists of one scope, made at the first request for them.
#[derive(Debug, Default)]
pub struct ScopeLists {
    all: OnceLock<Bytes>,
    /// By server, for a scope that chooses tools.
    servers: OnceLock<Vec<OnceLock<Bytes>>>,
}

impl CatalogServer {
    /// Makes the lists of this server, whose tools are called `names` among those of all, that were asked for of the one
    /// `before`: they will be again, and then they are there.
    pub fn list_as(&self, names: &ServerNames, (before, names_before): (&Self, &ServerNames)) {
        let scopes = [false, true].into_iter().filter_map(|read_only| Scope::new(None, read_only, 0).ok());
        for scope in scopes {
            if before.lists.of(&scope).get().is_some() {
                self.elements(&scope, None);
            }
            if names_before.lists.of(&scope).get().is_some() {
                self.elements(&scope, Some(names));
            }
        }
    }

    /// The tools that `scope` may see, under `names` or else their own.
    fn elements(&self, scope: &Scope, names: Option<&ServerNames>) -> Bytes {
        let write = || {
            let mut text = Vec::new();
            let visible = self.tools.iter().enumerate().filter(|(_, tool)| scope.allows(self, tool));
            for (position, tool) in visible {
                if !text.is_empty() {
                    text.push(b',');
                }
                let name = names.map_or(&tool.listed_name, |names| names.of(position));
                serde_json::to_writer(&mut text, &Named { name, tool })
                    .expect("JSON values with string keys are always written");
            }
            Bytes::from(text)
        };
        if scope.chooses_tools() {
            return write();
        }
        names.map_or(&self.lists, |names| &names.lists).of(scope).get_or_init(write).clone()
    }
}

impl Catalog {
    /// The tools of all servers that `scope` may see, under their prefixed names.
    pub fn tool_list(&self, scope: &Scope) -> Bytes {
        let write = || {
            let servers = self.servers.iter().enumerate();
            let visible = servers.filter(|(_, server)| scope.allows_server(&server.name));
            array(visible.map(|(index, server)| server.elements(scope, Some(self.prefixed().server(index)))))
        };
        self.lists[scope.index].all.get_or_init(write).clone()
    }

    /// The tools of one server that `scope` may see, under their own names.
    pub fn tool_list_of(&self, scope: &Scope, name: &str) -> Bytes {
        let index = self.by_name.get(name).copied();
        let found = index.map(|index| (index, &self.servers[index]));
        let Some((index, server)) = found.filter(|(_, server)| scope.allows_server(&server.name)) else {
            return Bytes::from_static(b"[]");
        };
        let write = || array([server.elements(scope, None)]);
        if !scope.chooses_tools() {
            return write();
        }
        let lists = &self.lists[scope.index].servers;
        let lists = lists.get_or_init(|| self.servers.iter().map(|_| OnceLock::new()).collect());
        lists[index].get_or_init(write).clone()
    }
}

fn array(parts: impl IntoIterator<Item = Bytes>) -> Bytes {
    let mut text = vec![b'['];
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(&part);
    }
    text.push(b']');
    text.into()
}

/// A tool's definition under the name that this list gives it.
struct Named<'a> {
    name: &'a str,
    tool: &'a Arc<CatalogTool>,
}

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let definition: &Map<String, Value> = &self.tool.definition;
        let mut map = serializer.serialize_map(Some(definition.len()))?;
        for (key, value) in definition {
            if key == "name" {
                map.serialize_entry(key, self.name)?;
            } else {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}
