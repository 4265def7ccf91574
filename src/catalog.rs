//! All that is offered, as one immutable snapshot: servers, their tools, and the prebuilt documents.
//!
//! A snapshot is built when a server's tools change, and swapped in whole ([`keeper`]); a call reads it
//! without a lock.

pub mod arguments;
pub mod definition;
pub mod document;
pub mod documents;
pub mod drift;
pub mod earlier_drafts;
pub mod functions;
pub mod keeper;
pub mod namespace;
pub mod openapi;
pub mod operation_id;
pub mod prefixed;
pub mod progress;
pub mod resource_uri;
pub mod scope;
pub mod server;
pub mod tool;
pub mod tool_list;
pub mod weight;

use std::collections::HashMap;
use std::sync::Arc;

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
use prefixed::ServerNames;
use tool_list::ScopeLists;

/// One snapshot.
#[derive(Debug, Default)]
pub struct Catalog {
    /// In the order of the configuration.
    pub servers: Vec<Arc<CatalogServer>>,
    by_name: Arc<HashMap<ServerName, usize>>,
    /// What each server adds to documents: of the tools that it has here, or for a moment of those that it had.
    sections: Vec<Arc<Sections>>,
    settings: Arc<DocumentSettings>,
    /// By [`Scope::index`]; made at the first request for them.
    documents: Vec<ScopeDocuments>,
    /// MCP's lists of tools, by [`Scope::index`].
    lists: Vec<ScopeLists>,
    /// The forms for models, by [`Scope::index`]; made at the first request for them.
    functions: Vec<FunctionLists>,
    prefixed: PrefixedNames,
}

/// A server of a snapshot, with what is made of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Entry {
    pub server: Arc<CatalogServer>,
    pub names: Arc<ServerNames>,
    /// What it adds to documents.
    pub sections: Arc<Sections>,
}

impl Catalog {
    /// Puts a snapshot of `entries` together; there are `scopes` scopes. `namespace` is that of all servers and of the names in
    /// `entries`, `settings` are those of all documents.
    pub fn new(
        entries: Vec<Entry>,
        namespace: Arc<Namespace>,
        settings: Arc<DocumentSettings>,
        scopes: usize,
    ) -> Self {
        let indexes = entries.iter().enumerate().map(|(index, entry)| (entry.server.name.clone(), index));
        let by_name = Arc::new(indexes.collect());
        let names = entries.iter().map(|entry| entry.names.clone()).collect();
        Self {
            sections: entries.iter().map(|entry| entry.sections.clone()).collect(),
            servers: entries.into_iter().map(|entry| entry.server).collect(),
            settings,
            documents: (0..scopes).map(|_| ScopeDocuments::default()).collect(),
            lists: (0..scopes).map(|_| ScopeLists::default()).collect(),
            functions: (0..scopes).map(|_| FunctionLists::default()).collect(),
            prefixed: PrefixedNames::new(namespace, names, Arc::clone(&by_name)),
            by_name,
        }
    }

    /// The same with `offered`, what some servers offer to one client alone, in their places; without documents, and with
    /// room for the lists of `scopes`.
    #[must_use]
    pub fn with_offered(&self, offered: Vec<Arc<CatalogServer>>, scopes: usize) -> Self {
        let (mut servers, mut prefixed) = (self.servers.clone(), self.prefixed.clone());
        for server in offered {
            if let Some(&index) = self.by_name.get(&server.name) {
                prefixed.replace(index, &server);
                servers[index] = server;
            }
        }
        Self {
            servers,
            prefixed,
            by_name: self.by_name.clone(),
            lists: (0..scopes).map(|_| ScopeLists::default()).collect(),
            ..Self::default()
        }
    }

    /// The server called `name`.
    pub fn server(&self, name: &str) -> Option<&Arc<CatalogServer>> {
        self.by_name.get(name).map(|&index| &self.servers[index])
    }

    /// The names under which the tools of all servers stand together.
    pub fn prefixed(&self) -> &PrefixedNames {
        &self.prefixed
    }

    /// The server called `name`, with what is made of it.
    fn entry(&self, name: &str) -> Option<Entry> {
        self.by_name.get(name).map(|&index| self.entry_at(index))
    }

    fn entry_at(&self, index: usize) -> Entry {
        Entry {
            server: self.servers[index].clone(),
            names: self.prefixed.server(index).clone(),
            sections: self.sections[index].clone(),
        }
    }
}
