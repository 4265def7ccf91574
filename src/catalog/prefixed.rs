//! The names under which the tools of all servers stand together in one MCP list, of one snapshot. How each is made says
//! [`Namespace`].

use std::collections::HashMap;
use std::sync::Arc;

use super::tool_list::ServerLists;
use super::{CatalogServer, CatalogTool, Namespace};
use crate::config::ServerName;

/// What the tools of one server are called among those of all, and the lists of them under these names.
#[derive(Debug, Default)]
pub struct ServerNames {
    /// In the order of the server's tools; those that are held back come last.
    names: Vec<Arc<str>>,
    positions: HashMap<Arc<str>, usize>,
    pub(super) lists: ServerLists,
}

impl ServerNames {
    /// The names of the tools of `server` in `namespace`.
    pub fn new(server: &CatalogServer, namespace: &Namespace) -> Self {
        let tools = server.known().map(|tool| &*tool.exposed_name);
        let names: Vec<Arc<str>> =
            namespace.exposed_names(&server.name, tools).into_iter().map(Arc::from).collect();
        let positions = names.iter().enumerate().map(|(position, name)| (name.clone(), position)).collect();
        Self { names, positions, lists: ServerLists::default() }
    }

    /// The name of the tool at `position`.
    pub(super) fn of(&self, position: usize) -> &Arc<str> {
        &self.names[position]
    }
}

/// The names of one snapshot, both ways. They are the same for all callers, whatever each may see.
#[derive(Debug, Clone, Default)]
pub struct PrefixedNames {
    namespace: Arc<Namespace>,
    /// In the order of the snapshot.
    servers: Vec<Arc<ServerNames>>,
    /// Where each server stands.
    indexes: Arc<HashMap<ServerName, usize>>,
}

impl PrefixedNames {
    /// The names of `servers` in `namespace`, each of which stands where `indexes` says.
    pub fn new(
        namespace: Arc<Namespace>,
        servers: Vec<Arc<ServerNames>>,
        indexes: Arc<HashMap<ServerName, usize>>,
    ) -> Self {
        Self { namespace, servers, indexes }
    }

    /// Puts `offered`, what a server offers to one client alone, in the place of the server at `index`. The names of the
    /// others stay as they are.
    pub fn replace(&mut self, index: usize, offered: &CatalogServer) {
        self.servers[index] = Arc::new(ServerNames::new(offered, &self.namespace));
    }

    /// The namespace that the names are of.
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// The names of the tools of the server at `index`, and then of those that are held back.
    pub fn of_server(&self, index: usize) -> &[Arc<str>] {
        &self.servers[index].names
    }

    /// The same with their lists.
    pub(super) fn server(&self, index: usize) -> &Arc<ServerNames> {
        &self.servers[index]
    }

    /// The server and the tool called `name`.
    pub fn find<'a>(
        &self,
        servers: &'a [Arc<CatalogServer>],
        name: &str,
    ) -> Option<(&'a Arc<CatalogServer>, &'a Arc<CatalogTool>)> {
        let (server, tool) = self.place(name)?;
        let server = &servers[server];
        Some((server, server.tools.get(tool)?))
    }

    /// The tool called `name` that is held back.
    pub fn find_held<'a>(
        &self,
        servers: &'a [Arc<CatalogServer>],
        name: &str,
    ) -> Option<(&'a Arc<CatalogServer>, &'a Arc<CatalogTool>)> {
        let (server, tool) = self.place(name)?;
        let server = &servers[server];
        Some((server, server.held.get(tool.checked_sub(server.tools.len())?)?))
    }

    /// Where what is called `name` stands: no other server can have something that is called so.
    fn place(&self, name: &str) -> Option<(usize, usize)> {
        let server = *self.indexes.get(self.namespace.server_of(name)?)?;
        Some((server, *self.servers[server].positions.get(name)?))
    }
}
