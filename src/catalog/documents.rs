//! The documents of each scope: one for each server that it may see, and the combined one. They are put together from the
//! texts of tools when somebody asks, once for a snapshot.

use std::sync::OnceLock;

use super::openapi::section::Chosen;
use super::openapi::{CombinedDocument, ServerDocument, combined_document, mount_path, server_document};
use super::{Caller, Catalog, CatalogServer, CatalogTool, Document, Keeper, Scope};
use crate::compute;
use crate::config::{Config, DocumentConfig, ServerName};

/// Computes for callers without a key: a document is not of one server.
const FACE: &str = "/openapi.json";

/// What all documents of one gateway have in common.
#[derive(Debug, Clone, Default)]
pub struct DocumentSettings {
    document: DocumentConfig,
    /// Root path and path prefix; starts and ends with `/`.
    prefix: String,
    secured: bool,
    single: bool,
}

impl DocumentSettings {
    pub fn new(config: &Config) -> Self {
        Self {
            document: config.document.clone(),
            prefix: format!("{}{}", config.listen.root_path, config.listen.path_prefix),
            secured: !config.auth.keys.is_empty(),
            single: config.single,
        }
    }
}

/// All documents that callers of one scope get, as far as one asked.
#[derive(Debug, Default)]
pub struct ScopeDocuments {
    combined: OnceLock<Document>,
    /// By server.
    servers: OnceLock<Vec<OnceLock<Document>>>,
}

impl Keeper {
    /// The document of all servers, or of one that `caller` may see.
    pub async fn document(&self, caller: &Caller, server: Option<&ServerName>) -> Document {
        let catalog = self.catalog().clone();
        if let Some(made) = catalog.made_document(&caller.scope, server) {
            return made.clone();
        }
        let (scope, server) = (caller.scope.clone(), server.cloned());
        compute::run(caller.owner(FACE), move || catalog.document(&scope, server.as_ref())).await
    }
}

impl Catalog {
    fn made_document(&self, scope: &Scope, server: Option<&ServerName>) -> Option<&Document> {
        let documents = self.documents.get(scope.index)?;
        match server {
            Some(server) => documents.servers.get()?.get(*self.by_name.get(server)?)?.get(),
            None => documents.combined.get(),
        }
    }

    /// The document that callers of `scope` get of all servers, or of one.
    pub fn document(&self, scope: &Scope, server: Option<&ServerName>) -> Document {
        let documents = &self.documents[scope.index];
        let index = server.and_then(|server| self.by_name.get(server).copied());
        let Some(index) = index else {
            return documents.combined.get_or_init(|| self.combined_document(scope)).clone();
        };
        let servers =
            documents.servers.get_or_init(|| self.servers.iter().map(|_| OnceLock::new()).collect());
        servers[index].get_or_init(|| self.server_document(scope, index)).clone()
    }

    fn server_document(&self, scope: &Scope, index: usize) -> Document {
        let (server, settings) = (&self.servers[index], &self.settings);
        let mount = mount_path(&settings.prefix, &server.name);
        let head = ServerDocument {
            name: &server.name,
            info: server.info.as_ref(),
            mount: (!settings.single).then_some(mount.as_str()),
            secured: settings.secured,
            document: &settings.document,
        };
        let tools = self.sections[index].own(|tool| is_visible(scope, server, tool));
        Document::new(server_document(&head, &tools))
    }

    fn combined_document(&self, scope: &Scope) -> Document {
        let visible = || {
            let servers = self.servers.iter().enumerate();
            servers.filter(|(_, server)| scope.allows_server(&server.name))
        };
        if let Some((index, _)) = visible().next().filter(|_| self.settings.single) {
            return self.server_document(scope, index);
        }
        let mut tools = Chosen::default();
        for (index, server) in visible() {
            self.sections[index].add_to(&mut tools, |tool| is_visible(scope, server, tool));
        }
        let servers: Vec<_> = visible().map(|(_, server)| (&server.name, server.info.as_ref())).collect();
        let head = CombinedDocument {
            servers: &servers,
            prefix: &self.settings.prefix,
            secured: self.settings.secured,
            document: &self.settings.document,
        };
        Document::new(combined_document(&head, &tools))
    }
}

fn is_visible(scope: &Scope, server: &CatalogServer, tool: &CatalogTool) -> bool {
    scope.allows_tool(&server.name, &tool.exposed_name, tool.read_only)
}
