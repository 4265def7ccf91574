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
pub use documents::Documents;
pub use functions::{FunctionForm, FunctionList};
pub use keeper::{Keeper, OwnTools};
pub use namespace::Namespace;
pub use prefixed::PrefixedNames;
pub use scope::{Caller, Scope};
pub use server::{CatalogServer, ServerSource};
pub use tool::CatalogTool;

use crate::config::ServerName;
pub use crate::upstream::ServerInfo;
use functions::FunctionLists;
use tool_list::ScopeLists;

/// One snapshot.
#[derive(Debug, Default)]
pub struct Catalog {
    /// In the order of the configuration.
    pub servers: Vec<Arc<CatalogServer>>,
    by_name: HashMap<ServerName, usize>,
    /// By [`Scope::index`], for the scopes of keys.
    documents: Vec<Arc<Documents>>,
    /// MCP's lists of tools, by [`Scope::index`].
    lists: Vec<ScopeLists>,
    /// The forms for models, by [`Scope::index`]; made when somebody asks.
    functions: Vec<FunctionLists>,
    namespace: Arc<Namespace>,
    prefixed: OnceLock<PrefixedNames>,
}

impl Catalog {
    /// Puts a snapshot together; `documents` are in the order of the scopes, of which there are `scopes` with those
    /// that no document is made for. `namespace` is that of all `servers`.
    pub fn new(
        servers: Vec<Arc<CatalogServer>>,
        namespace: Arc<Namespace>,
        documents: Vec<Arc<Documents>>,
        scopes: usize,
    ) -> Self {
        let by_name =
            servers.iter().enumerate().map(|(index, server)| (server.name.clone(), index)).collect();
        let lists = (0..scopes).map(|_| ScopeLists::default()).collect();
        let functions = (0..scopes).map(|_| FunctionLists::default()).collect();
        Self { servers, by_name, documents, lists, functions, namespace, prefixed: OnceLock::new() }
    }

    /// What the catalog of a new configuration may take over: the entries of servers, but no document, since
    /// scopes and settings may have changed, and not the gateway's own tools, whose rules may have.
    pub fn for_successor(&self) -> Self {
        let kept = self.servers.iter().filter(|server| server.upstream().is_some());
        Self::new(kept.cloned().collect(), self.namespace.clone(), Vec::new(), 0)
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
        Self { prefixed: names.into(), ..Self::new(servers, self.namespace.clone(), Vec::new(), scopes) }
    }

    /// The server called `name`.
    pub fn server(&self, name: &str) -> Option<&Arc<CatalogServer>> {
        self.by_name.get(name).map(|&index| &self.servers[index])
    }

    /// The names under which the tools of all servers stand together.
    pub fn prefixed(&self) -> &PrefixedNames {
        self.prefixed.get_or_init(|| PrefixedNames::new(&self.servers, &self.namespace))
    }

    /// The documents that callers of `scope` get.
    pub fn documents(&self, scope: &Scope) -> &Arc<Documents> {
        &self.documents[scope.index]
    }
}
