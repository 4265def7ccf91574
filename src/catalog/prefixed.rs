//! The names under which the tools of all servers stand together in one MCP list: `{server}_{tool}`.
//!
//! They are made like the ids of the combined OpenAPI document ([`super::operation_id`]): at most 64 characters of
//! `[A-Za-z0-9_-]`, which is within what MCP allows (2026-07-28, server/tools, "Tool Names") and what models'
//! interfaces take. A name that had to be cut or cleaned carries a hash, and no two tools share one.

use std::collections::HashMap;
use std::sync::Arc;

use super::operation_id::{combined_operation_ids, hashed_id, lasting_ids};
use super::{CatalogServer, CatalogTool};
use crate::config::ServerName;

/// The names of one snapshot, both ways. They are the same for all callers, whatever each may see.
#[derive(Debug, Clone, Default)]
pub struct PrefixedNames {
    /// By server and tool, in the order of the snapshot; tools that are held back come last, so that a name does not
    /// hang on whether another tool is.
    names: Vec<Vec<Arc<str>>>,
    places: HashMap<Arc<str>, (usize, usize)>,
}

impl PrefixedNames {
    pub fn new(servers: &[Arc<CatalogServer>]) -> Self {
        let tools = servers
            .iter()
            .flat_map(|server| server.known().map(|tool| (server.name.as_str(), &*tool.exposed_name)));
        let mut ids = combined_operation_ids(tools).into_iter();
        let mut prefixed = Self::default();
        for (server_index, server) in servers.iter().enumerate() {
            let names: Vec<Arc<str>> =
                ids.by_ref().take(server.tools.len() + server.held.len()).map(Arc::from).collect();
            for (tool_index, name) in names.iter().enumerate() {
                prefixed.places.insert(name.clone(), (server_index, tool_index));
            }
            prefixed.names.push(names);
        }
        prefixed
    }

    /// Puts `offered`, what a server offers to one client alone, in the place of the server at `index` of `servers`. A
    /// tool that everybody gets keeps its name, and no other one gets such a name; the names of the others hang on
    /// nothing else that is offered.
    pub fn replace(&mut self, servers: &[Arc<CatalogServer>], index: usize, offered: &CatalogServer) {
        let known = &servers[index];
        let names: Vec<&ServerName> = servers.iter().map(|server| &server.name).collect();
        let named = offered.known().map(|tool| {
            if let Some(position) = known.position(&tool.exposed_name) {
                return self.names[index][position].clone();
            }
            let own = (offered.name.as_str(), &*tool.exposed_name);
            let id = lasting_ids(&names, [own]).swap_remove(0);
            let is_taken = self.places.contains_key(&*id);
            Arc::from(if is_taken { hashed_id(own.0, own.1) } else { id })
        });
        let named: Vec<Arc<str>> = named.collect();
        self.places.retain(|_, (server, _)| *server != index);
        for (position, name) in named.iter().enumerate() {
            self.places.entry(name.clone()).or_insert((index, position));
        }
        self.names[index] = named;
    }

    /// The names of the tools of the server at `index`, and then of those that are held back.
    pub fn of_server(&self, index: usize) -> &[Arc<str>] {
        &self.names[index]
    }

    /// The server and the tool called `name`.
    pub fn find<'a>(
        &self,
        servers: &'a [Arc<CatalogServer>],
        name: &str,
    ) -> Option<(&'a Arc<CatalogServer>, &'a Arc<CatalogTool>)> {
        let &(server, tool) = self.places.get(name)?;
        let server = &servers[server];
        Some((server, server.tools.get(tool)?))
    }

    /// The tool called `name` that is held back.
    pub fn find_held<'a>(
        &self,
        servers: &'a [Arc<CatalogServer>],
        name: &str,
    ) -> Option<(&'a Arc<CatalogServer>, &'a Arc<CatalogTool>)> {
        let &(server, tool) = self.places.get(name)?;
        let server = &servers[server];
        Some((server, server.held.get(tool.checked_sub(server.tools.len())?)?))
    }
}
