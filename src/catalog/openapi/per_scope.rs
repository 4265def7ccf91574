//! The documents of each scope: one for each server that it may see, and the combined one.
//!
//! They are put together from the texts of tools at the first request for them, once for a snapshot.

use std::sync::{Arc, OnceLock};

use super::frame::{CombinedDocument, ServerDocument, combined_document, server_document};
use super::path::mount_path;
use super::section::{Sections, SelectedTexts};
use crate::catalog::scope::Scope;
use crate::catalog::server::CatalogServer;
use crate::catalog::tagged_json::TaggedJson;
use crate::config::{Config, DocumentConfig};

/// The settings that all documents of one gateway share.
#[derive(Debug, Clone, Default)]
pub struct OpenApiSettings {
    document: DocumentConfig,
    /// Root path and path prefix; starts and ends with `/`.
    prefix: String,
    secured: bool,
    single: bool,
}

impl OpenApiSettings {
    pub fn new(config: &Config) -> Self {
        Self {
            document: config.document.clone(),
            prefix: format!("{}{}", config.listen.root_path, config.listen.path_prefix),
            secured: !config.auth.is_open(),
            single: config.single,
        }
    }
}

/// The documents of one snapshot.
#[derive(Debug, Default)]
pub struct OpenApiDocuments {
    settings: Arc<OpenApiSettings>,
    /// By server. They are of the tools in the snapshot, or for a moment of those before.
    sections: Vec<Arc<Sections>>,
    /// By [`Scope::index`].
    scopes: Vec<ScopeDocuments>,
}

/// The documents that were requested for one scope.
#[derive(Debug, Default)]
struct ScopeDocuments {
    combined: OnceLock<TaggedJson>,
    /// By server.
    servers: OnceLock<Vec<OnceLock<TaggedJson>>>,
}

impl OpenApiDocuments {
    pub fn new(settings: Arc<OpenApiSettings>, sections: Vec<Arc<Sections>>, scopes: usize) -> Self {
        let scopes = (0..scopes).map(|_| ScopeDocuments::default()).collect();
        Self { settings, sections, scopes }
    }

    pub fn sections(&self, server: usize) -> &Arc<Sections> {
        &self.sections[server]
    }

    /// The document of the server at an index, or of all, unless it has yet to be written.
    pub fn written(&self, scope: &Scope, server: Option<usize>) -> Option<&TaggedJson> {
        let documents = self.scopes.get(scope.index)?;
        match server {
            Some(server) => documents.servers.get()?[server].get(),
            None => documents.combined.get(),
        }
    }

    /// The document of the server of `servers` at an index, or of all, that callers of `scope` get.
    pub fn document(
        &self,
        servers: &[Arc<CatalogServer>],
        scope: &Scope,
        server: Option<usize>,
    ) -> TaggedJson {
        let documents = &self.scopes[scope.index];
        let Some(index) = server else {
            return documents.combined.get_or_init(|| self.write_combined(servers, scope)).clone();
        };
        let own = documents.servers.get_or_init(|| servers.iter().map(|_| OnceLock::new()).collect());
        own[index].get_or_init(|| self.write_own(servers, scope, index)).clone()
    }

    fn write_own(&self, servers: &[Arc<CatalogServer>], scope: &Scope, index: usize) -> TaggedJson {
        let (server, settings) = (&servers[index], &self.settings);
        let mount = mount_path(&settings.prefix, &server.name);
        let head = ServerDocument {
            name: &server.name,
            info: server.info.as_ref(),
            mount: (!settings.single).then_some(mount.as_str()),
            secured: settings.secured,
            document: &settings.document,
        };
        let tools = self.sections[index].own(|tool| scope.allows(server, tool));
        TaggedJson::new(server_document(&head, &tools))
    }

    fn write_combined(&self, servers: &[Arc<CatalogServer>], scope: &Scope) -> TaggedJson {
        let visible = || servers.iter().enumerate().filter(|(_, server)| scope.allows_server(&server.name));
        if let Some((index, _)) = visible().next().filter(|_| self.settings.single) {
            return self.write_own(servers, scope, index);
        }
        let mut tools = SelectedTexts::default();
        for (index, server) in visible() {
            self.sections[index].add_to(&mut tools, |tool| scope.allows(server, tool));
        }
        let servers: Vec<_> = visible().map(|(_, server)| (&server.name, server.info.as_ref())).collect();
        let head = CombinedDocument {
            servers: &servers,
            prefix: &self.settings.prefix,
            secured: self.settings.secured,
            document: &self.settings.document,
        };
        TaggedJson::new(combined_document(&head, &tools))
    }
}
