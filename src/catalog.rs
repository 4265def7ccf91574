//! All that is offered, as one immutable snapshot: servers, their tools, and the prebuilt documents.
//!
//! A snapshot is built when a server's tools change, and swapped in whole ([`keeper`]); a call reads it
//! without a lock.

pub mod arguments;
pub mod document;
pub mod documents;
pub mod drift;
pub mod functions;
pub mod keeper;
pub mod namespace;
pub mod openapi;
pub mod operation_id;
pub mod prefixed;
pub mod progress;
pub mod scope;
pub mod server;
pub mod tool;
pub mod tool_list;
pub mod weight;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

pub use document::Document;
pub use documents::DocumentSettings;
pub use functions::{FunctionForm, FunctionList};
pub use keeper::{Keeper, OwnTools};
pub use namespace::Namespace;
pub use prefixed::PrefixedNames;
pub use scope::{Caller, Scope};
pub use server::{CatalogServer, ServerSource};
pub use tool::CatalogTool;

use crate::config::ServerName;
pub use crate::upstream::ServerInfo;
use documents::ScopeDocuments;
use functions::FunctionLists;
use openapi::Sections;
use tool_list::ScopeLists;

/// One snapshot.
#[derive(Debug, Default)]
pub struct Catalog {
    /// In the order of the configuration.
    pub servers: Vec<Arc<CatalogServer>>,
    by_name: HashMap<ServerName, usize>,
    /// What each server adds to documents: of the tools that it has here, or for a moment of those that it had.
    sections: Vec<Arc<Sections>>,
    settings: Arc<DocumentSettings>,
    /// By [`Scope::index`]; made when somebody asks.
    documents: Vec<ScopeDocuments>,
    /// MCP's lists of tools, by [`Scope::index`].
    lists: Vec<ScopeLists>,
    /// The forms for models, by [`Scope::index`]; made when somebody asks.
    functions: Vec<FunctionLists>,
    namespace: Arc<Namespace>,
    prefixed: OnceLock<PrefixedNames>,
}

impl Catalog {
    /// Puts a snapshot of `servers`, each with what it adds to documents, together; there are `scopes` scopes. `namespace` is
    /// that of all servers, `settings` are those of all documents.
    pub fn new(
        servers: Vec<(Arc<CatalogServer>, Arc<Sections>)>,
        namespace: Arc<Namespace>,
        settings: Arc<DocumentSettings>,
        scopes: usize,
    ) -> Self {
        let (servers, sections): (Vec<_>, Vec<_>) = servers.into_iter().unzip();
        let by_name =
            servers.iter().enumerate().map(|(index, server)| (server.name.clone(), index)).collect();
        let documents = (0..scopes).map(|_| ScopeDocuments::default()).collect();
        let lists = (0..scopes).map(|_| ScopeLists::default()).collect();
        let functions = (0..scopes).map(|_| FunctionLists::default()).collect();
        Self {
            servers,
            sections,
            settings,
            by_name,
            documents,
            lists,
            functions,
            namespace,
            prefixed: OnceLock::new(),
        }
    }

    /// The same with `offered`, what some servers offer to one client alone, in their places; without documents, and with
    /// room for the lists of `scopes`.
    #[must_use]
    pub fn with_offered(&self, offered: Vec<Arc<CatalogServer>>, scopes: usize) -> Self {
        let (mut servers, mut names) = (self.servers.clone(), self.prefixed().clone());
        for server in offered {
            if let Some(&index) = self.by_name.get(&server.name) {
                names.replace(index, &server, &self.namespace);
                servers[index] = server;
            }
        }
        let servers = servers.into_iter().zip(self.sections.iter().cloned()).collect();
        Self {
            prefixed: names.into(),
            ..Self::new(servers, self.namespace.clone(), self.settings.clone(), scopes)
        }
    }

    /// The server called `name`.
    pub fn server(&self, name: &str) -> Option<&Arc<CatalogServer>> {
        self.by_name.get(name).map(|&index| &self.servers[index])
    }

    /// The names under which the tools of all servers stand together.
    pub fn prefixed(&self) -> &PrefixedNames {
        self.prefixed.get_or_init(|| PrefixedNames::new(&self.servers, &self.namespace))
    }

    /// The server called `name`, with what it adds to documents.
    fn entry(&self, name: &str) -> Option<(&Arc<CatalogServer>, &Arc<Sections>)> {
        self.by_name.get(name).map(|&index| (&self.servers[index], &self.sections[index]))
    }
}
