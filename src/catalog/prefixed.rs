//! The names under which the tools of all servers stand together in one MCP list, of one snapshot. How each is made says
//! [`Namespace`].

use std::collections::HashMap;
use std::sync::Arc;

use super::{CatalogServer, CatalogTool, Namespace};

/// The names of one snapshot, both ways. They are the same for all callers, whatever each may see.
#[derive(Debug, Clone, Default)]
pub struct PrefixedNames {
    /// By server and tool, in the order of the snapshot; tools that are held back come last.
    names: Vec<Vec<Arc<str>>>,
    places: HashMap<Arc<str>, (usize, usize)>,
}

impl PrefixedNames {
    pub fn new(servers: &[Arc<CatalogServer>], namespace: &Namespace) -> Self {
        let mut prefixed = Self::default();
        for (index, server) in servers.iter().enumerate() {
            prefixed.names.push(Vec::new());
            prefixed.set(index, server, namespace);
        }
        prefixed
    }

    /// Puts `offered`, what a server offers to one client alone, in the place of the server at `index`. The names of the
    /// others stay as they are.
    pub fn replace(&mut self, index: usize, offered: &CatalogServer, namespace: &Namespace) {
        self.places.retain(|_, (server, _)| *server != index);
        self.set(index, offered, namespace);
    }

    fn set(&mut self, index: usize, server: &CatalogServer, namespace: &Namespace) {
        let tools = server.known().map(|tool| &*tool.exposed_name);
        let names: Vec<Arc<str>> =
            namespace.exposed_names(&server.name, tools).into_iter().map(Arc::from).collect();
        let places = names.iter().enumerate().map(|(position, name)| (name.clone(), (index, position)));
        self.places.extend(places);
        self.names[index] = names;
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
