//! Tools as MCP lists them: the JSON text of an array, each definition as its server sent it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Catalog, CatalogTool, Scope};

/// The lists of one server, made when somebody asks. Without patterns over tools, what a scope may see of a server
/// hangs on whether it is read-only alone.
#[derive(Debug, Default)]
pub struct ServerLists {
    all: OnceLock<Bytes>,
    read_only: OnceLock<Bytes>,
}

/// The lists of one scope, made when somebody asks.
#[derive(Debug, Default)]
pub struct ScopeLists {
    all: OnceLock<Bytes>,
    /// By server, where its own lists are too long for this scope.
    servers: OnceLock<Vec<OnceLock<Bytes>>>,
}

impl Catalog {
    /// The tools of all servers that `scope` may see, under their prefixed names.
    pub fn tool_list(&self, scope: &Scope) -> Bytes {
        let write = || {
            let names = self.prefixed();
            let mut list = Vec::new();
            for (index, server) in self.servers.iter().enumerate() {
                if !scope.allows_server(&server.name) {
                    continue;
                }
                for (tool, name) in server.tools.iter().zip(names.of_server(index)) {
                    if scope.allows(server, tool) {
                        list.push(Named { name, tool });
                    }
                }
            }
            text(&List(list))
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
        let list = if scope.chooses_tools() {
            let lists = &self.lists[scope.index].servers;
            &lists.get_or_init(|| self.servers.iter().map(|_| OnceLock::new()).collect())[index]
        } else if scope.read_only {
            &server.lists.read_only
        } else {
            &server.lists.all
        };
        let write = || {
            let visible = server.tools.iter().filter(|tool| scope.allows(server, tool));
            text(&List(visible.map(|tool| Named { name: &tool.listed_name, tool }).collect()))
        };
        list.get_or_init(write).clone()
    }
}

/// A tool's definition under the name that this list gives it.
struct Named<'a> {
    name: &'a str,
    tool: &'a Arc<CatalogTool>,
}

struct List<'a>(Vec<Named<'a>>);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for named in &self.0 {
            list.serialize_element(named)?;
        }
        list.end()
    }
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

fn text(list: &List<'_>) -> Bytes {
    serde_json::to_vec(list).expect("JSON values with string keys are always written").into()
}
