//! Who calls, and what that caller may see: the scope decides over servers and tools on every face.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::config::ServerName;

/// The servers and tools that a caller may see and call.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `None` opens all servers.
    servers: Option<GlobSet>,
    /// Only tools that are read-only.
    pub read_only: bool,
    /// Position among the configured scopes; documents are prebuilt for each. 0 sees everything.
    pub index: usize,
}

/// An authenticated caller, or the anonymous one of a gateway without keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the API key, `None` when the request carried none.
    pub key_name: Option<Arc<str>>,
    pub scope: Arc<Scope>,
    /// May see URLs, stderr tails and full reasons.
    pub admin: bool,
    /// May read the metrics, which name every server and tool.
    pub metrics: bool,
}

impl Scope {
    /// A scope over the servers that match one of `servers` (all when `None`).
    pub fn new(servers: Option<&[String]>, read_only: bool, index: usize) -> Result<Self, globset::Error> {
        let servers = match servers {
            None => None,
            Some(patterns) => {
                let mut set = GlobSetBuilder::new();
                for pattern in patterns {
                    set.add(Glob::new(pattern)?);
                }
                Some(set.build()?)
            }
        };
        Ok(Self { servers, read_only, index })
    }

    /// Whether this scope leaves out nothing.
    pub fn is_unlimited(&self) -> bool {
        self.servers.is_none() && !self.read_only
    }

    pub fn allows_server(&self, server: &ServerName) -> bool {
        self.servers.as_ref().is_none_or(|set| set.is_match(server.as_str()))
    }

    pub fn allows_tool(&self, read_only: bool) -> bool {
        read_only || !self.read_only
    }
}
