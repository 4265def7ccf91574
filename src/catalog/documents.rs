//! The prebuilt documents of one scope: one for each server it may see, and the combined one.

use std::collections::HashMap;
use std::sync::Arc;

use super::openapi::{
    CombinedDocument, ServerDocument, ServerTools, combined_document, mount_path, server_document,
};
use super::{Catalog, CatalogServer, CatalogTool, Document, Namespace, Scope};
use crate::config::{Config, DocumentConfig, ServerName};

/// What all documents of one gateway have in common.
#[derive(Debug, Clone)]
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

/// All documents that callers of one scope get.
#[derive(Debug)]
pub struct Documents {
    pub combined: Document,
    servers: HashMap<ServerName, Document>,
}

impl Documents {
    /// Builds the documents of `scope`; those of unchanged servers are taken over from `before`.
    pub fn build(
        servers: &[Arc<CatalogServer>],
        scope: &Scope,
        namespace: &Namespace,
        settings: &DocumentSettings,
        before: Option<(&Self, &Catalog)>,
    ) -> Self {
        let visible: Vec<(&Arc<CatalogServer>, Vec<Arc<CatalogTool>>)> = servers
            .iter()
            .filter(|server| scope.allows_server(&server.name))
            .map(|server| {
                let tools = server.tools.iter().filter(|tool| scope.allows(server, tool));
                (server, tools.cloned().collect())
            })
            .collect();
        let documents = visible
            .iter()
            .map(|(server, tools)| {
                let known = before.and_then(|(documents, catalog)| {
                    let unchanged = Arc::ptr_eq(catalog.server(server.name.as_str())?, server);
                    unchanged.then(|| documents.servers.get(&server.name).cloned()).flatten()
                });
                let document = known.unwrap_or_else(|| settings.server_document(server, tools));
                (server.name.clone(), document)
            })
            .collect();
        let combined = match (settings.single, visible.first()) {
            (true, Some((server, tools))) => settings.server_document(server, tools),
            _ => {
                let servers: Vec<ServerTools<'_>> = visible
                    .iter()
                    .map(|(server, tools)| ServerTools {
                        name: &server.name,
                        info: server.info.as_ref(),
                        tools,
                    })
                    .collect();
                Document::new(&combined_document(&CombinedDocument {
                    servers: &servers,
                    namespace,
                    prefix: &settings.prefix,
                    secured: settings.secured,
                    document: &settings.document,
                }))
            }
        };
        Self { combined, servers: documents }
    }

    /// The document of one server.
    pub fn server(&self, name: &ServerName) -> Option<&Document> {
        self.servers.get(name)
    }
}

impl DocumentSettings {
    fn server_document(&self, server: &CatalogServer, tools: &[Arc<CatalogTool>]) -> Document {
        let mount = mount_path(&self.prefix, &server.name);
        Document::new(&server_document(&ServerDocument {
            name: &server.name,
            info: server.info.as_ref(),
            tools,
            mount: (!self.single).then_some(mount.as_str()),
            secured: self.secured,
            document: &self.document,
        }))
    }
}
