//! One snapshot of the catalog, with the documents and lists that are made of it at their first request.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::exposed_names::{ExposedNames, ServerNames};
use super::functions::{FunctionForm, FunctionList, FunctionLists};
use super::namespace::Namespace;
use super::openapi::per_scope::{OpenApiDocuments, OpenApiSettings};
use super::openapi::section::Sections;
use super::scope::Scope;
use super::server::CatalogServer;
use super::tagged_json::TaggedJson;
use super::tool_list::ScopeLists;
use crate::config::ServerName;
use crate::protocol::Era;

/// One snapshot of all servers.
#[derive(Debug, Default)]
pub struct Catalog {
    /// In the order of the configuration.
    pub servers: Vec<Arc<CatalogServer>>,
    by_name: Arc<HashMap<ServerName, usize>>,
    documents: OpenApiDocuments,
    /// MCP's lists of tools, by [`Scope::index`].
    lists: Vec<ScopeLists>,
    /// The forms for models, by [`Scope::index`].
    functions: Vec<FunctionLists>,
    exposed_names: ExposedNames,
}

/// A server of a snapshot, with the names and texts of its tools. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CatalogEntry {
    pub server: Arc<CatalogServer>,
    pub names: Arc<ServerNames>,
    /// The texts that its tools add to documents.
    pub sections: Arc<Sections>,
}

impl Catalog {
    /// A snapshot of `entries` for `scopes` scopes.
    ///
    /// `namespace` is that of all servers and of the names in `entries`.
    pub fn new(
        entries: Vec<CatalogEntry>,
        namespace: Arc<Namespace>,
        settings: Arc<OpenApiSettings>,
        scopes: usize,
    ) -> Self {
        let indexes = entries.iter().enumerate().map(|(index, entry)| (entry.server.name.clone(), index));
        let by_name = Arc::new(indexes.collect());
        let names = entries.iter().map(|entry| entry.names.clone()).collect();
        let sections = entries.iter().map(|entry| entry.sections.clone()).collect();
        Self {
            documents: OpenApiDocuments::new(settings, sections, scopes),
            servers: entries.into_iter().map(|entry| entry.server).collect(),
            lists: (0..scopes).map(|_| ScopeLists::default()).collect(),
            functions: (0..scopes).map(|_| FunctionLists::default()).collect(),
            exposed_names: ExposedNames::new(namespace, names, Arc::clone(&by_name)),
            by_name,
        }
    }

    /// The snapshot for one client, with `replaced` in the places of shared servers.
    ///
    /// It has no documents, and lists for `scopes` scopes.
    #[must_use]
    pub fn with_client_servers(&self, replaced: Vec<Arc<CatalogServer>>, scopes: usize) -> Self {
        let (mut servers, mut exposed_names) = (self.servers.clone(), self.exposed_names.clone());
        for server in replaced {
            if let Some(&index) = self.by_name.get(&server.name) {
                exposed_names.replace(index, &server);
                servers[index] = server;
            }
        }
        Self {
            servers,
            exposed_names,
            by_name: self.by_name.clone(),
            lists: (0..scopes).map(|_| ScopeLists::default()).collect(),
            ..Self::default()
        }
    }

    /// The server called `name`.
    pub fn server(&self, name: &str) -> Option<&Arc<CatalogServer>> {
        self.by_name.get(name).map(|&index| &self.servers[index])
    }

    /// The same, if `scope` opens it.
    pub fn visible_server(&self, scope: &Scope, name: &str) -> Option<&Arc<CatalogServer>> {
        self.server(name).filter(|server| scope.allows_server(&server.name))
    }

    /// The server of a gateway in single-server mode.
    pub fn only_server(&self) -> Option<&Arc<CatalogServer>> {
        self.servers.iter().find(|server| server.upstream().is_some())
    }

    /// The exposed names of the tools of all servers.
    pub fn exposed_names(&self) -> &ExposedNames {
        &self.exposed_names
    }

    /// The server called `name`, with the names and texts of its tools.
    pub(super) fn entry(&self, name: &str) -> Option<CatalogEntry> {
        self.by_name.get(name).map(|&index| self.entry_at(index))
    }

    pub(super) fn entry_at(&self, index: usize) -> CatalogEntry {
        CatalogEntry {
            server: self.servers[index].clone(),
            names: self.exposed_names.server(index).clone(),
            sections: self.documents.sections(index).clone(),
        }
    }

    /// The OpenAPI document of all servers, or of one, that callers of `scope` get.
    pub fn document(&self, scope: &Scope, server: Option<&ServerName>) -> TaggedJson {
        self.documents.document(&self.servers, scope, self.index_of(server))
    }

    /// The same, unless it has yet to be written.
    pub(super) fn written_document(&self, scope: &Scope, server: Option<&ServerName>) -> Option<&TaggedJson> {
        self.documents.written(scope, self.index_of(server))
    }

    fn index_of(&self, server: Option<&ServerName>) -> Option<usize> {
        self.by_name.get(server?).copied()
    }

    /// The functions for models of the tools that `scope` may see.
    pub fn functions(&self, scope: &Scope, form: FunctionForm) -> &FunctionList {
        self.functions[scope.index].list(&self.servers, &self.exposed_names, scope, form)
    }

    /// The tools of all servers that `scope` may see, under their exposed names, for clients of `era`.
    pub fn tool_list(&self, scope: &Scope, era: Era) -> Bytes {
        self.lists[scope.index].of_all(&self.servers, &self.exposed_names, scope, era)
    }

    /// The tools of the server `name` that `scope` may see, under their own names.
    pub fn tool_list_of(&self, scope: &Scope, era: Era, name: &str) -> Bytes {
        let index = self.by_name.get(name).copied();
        match index.filter(|&index| scope.allows_server(&self.servers[index].name)) {
            Some(index) => self.lists[scope.index].of_server(&self.servers, index, scope, era),
            None => Bytes::from_static(b"[]"),
        }
    }
}
