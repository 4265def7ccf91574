//! Tools as MCP lists them: the JSON text of an array, each definition as its server sent it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Catalog, CatalogServer, CatalogTool, Scope};

/// The lists of one server, made when somebody asks: what a scope may see hangs on whether it is read-only alone.
#[derive(Debug, Default)]
pub struct ServerLists {
    all: OnceLock<Bytes>,
    read_only: OnceLock<Bytes>,
}

impl CatalogServer {
    /// The tools that `scope` may see, under their own names.
    pub fn tool_list(&self, scope: &Scope) -> Bytes {
        let list = if scope.read_only { &self.lists.read_only } else { &self.lists.all };
        let write = || {
            let visible = self.tools.iter().filter(|tool| scope.allows_tool(tool.read_only));
            text(&List(visible.map(|tool| Named { name: &tool.listed_name, tool }).collect()))
        };
        list.get_or_init(write).clone()
    }
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
                    if scope.allows_tool(tool.read_only) {
                        list.push(Named { name, tool });
                    }
                }
            }
            text(&List(list))
        };
        self.lists[scope.index].get_or_init(write).clone()
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
