//! The exposed names of the tools of all servers in one snapshot, by the rules of [`Namespace`].

use std::collections::HashMap;
use std::sync::Arc;

use super::list_cache::ServerLists;
use super::namespace::Namespace;
use super::server::CatalogServer;
use super::tool::CatalogTool;
use crate::config::ServerName;

/// The exposed names of the tools of one server, and the lists of them under these names.
#[derive(Debug, Default)]
pub struct ServerNames {
    /// In the order of the server's tools; quarantined ones come last.
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
pub struct ExposedNames {
    namespace: Arc<Namespace>,
    /// In the order of the snapshot.
    servers: Vec<Arc<ServerNames>>,
    /// Where each server stands.
    indexes: Arc<HashMap<ServerName, usize>>,
}

impl ExposedNames {
    /// The names of `servers` in `namespace`, each of which stands where `indexes` says.
    pub fn new(
        namespace: Arc<Namespace>,
        servers: Vec<Arc<ServerNames>>,
        indexes: Arc<HashMap<ServerName, usize>>,
    ) -> Self {
        Self { namespace, servers, indexes }
    }

    /// Replaces the names of the server at `index` by those of `server`.
    pub fn replace(&mut self, index: usize, server: &CatalogServer) {
        self.servers[index] = Arc::new(ServerNames::new(server, &self.namespace));
    }

    /// The namespace that the names are of.
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// The names of the tools of the server at `index`, quarantined ones last.
    pub fn of_server(&self, index: usize) -> &[Arc<str>] {
        &self.servers[index].names
    }

    /// The names of the server at `index`, with its lists.
    pub(super) fn server(&self, index: usize) -> &Arc<ServerNames> {
        &self.servers[index]
    }

    /// The tool with the exposed name `name`, and its server.
    pub fn find<'a>(
        &self,
        servers: &'a [Arc<CatalogServer>],
        name: &str,
    ) -> Option<(&'a Arc<CatalogServer>, &'a Arc<CatalogTool>)> {
        let (server, position) = self.place(servers, name)?;
        Some((server, server.tools.get(position)?))
    }

    /// The quarantined tool with the exposed name `name`, and its server.
    pub fn find_quarantined<'a>(
        &self,
        servers: &'a [Arc<CatalogServer>],
        name: &str,
    ) -> Option<(&'a Arc<CatalogServer>, &'a Arc<CatalogTool>)> {
        let (server, position) = self.place(servers, name)?;
        Some((server, server.quarantined.get(position.checked_sub(server.tools.len())?)?))
    }

    /// The server of the tool with the exposed name `name`, and the tool's position among all that are known.
    fn place<'a>(
        &self,
        servers: &'a [Arc<CatalogServer>],
        name: &str,
    ) -> Option<(&'a Arc<CatalogServer>, usize)> {
        let server = *self.indexes.get(self.namespace.server_of(name)?)?;
        Some((&servers[server], *self.servers[server].positions.get(name)?))
    }
}
