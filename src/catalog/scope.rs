//! Who calls, and what that caller may see: the scope decides over servers and tools on every face.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::compute::Owner;
use crate::config::ServerName;

/// The servers and tools that a caller may see and call.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// A server must be in each of them; none opens all servers.
    servers: Vec<GlobSet>,
    /// A tool's name among those of all servers must be in each of them; none opens all tools.
    tools: Vec<GlobSet>,
    /// Only tools that are read-only.
    pub read_only: bool,
    /// Position among all scopes; 0 sees everything. Documents are prebuilt for the first ones, those of keys.
    pub index: usize,
}

/// An authenticated caller, or the anonymous one of a gateway without keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the API key, `None` when the request carried none.
    pub key_name: Option<Arc<str>>,
    /// The profile that the request itself asked for; that of the key is part of the scope anyway.
    pub profile: Option<Arc<str>>,
    /// What is shown to the caller, and can be called by its name.
    pub scope: Arc<Scope>,
    /// What the key opens, whatever profile it is shown in: the gateway's own tools find and call all of it, since
    /// a profile that shows them is one for clients that bear few tools. Equal to `scope` without a profile.
    pub reach: Arc<Scope>,
    /// May see URLs, stderr tails and full reasons.
    pub admin: bool,
    /// May read the metrics, which name every server and tool.
    pub metrics: bool,
}

impl Caller {
    /// Whose turn long computations for this caller take: its key's, else that of `server`.
    pub fn owner<'a>(&'a self, server: &'a str) -> Owner<'a> {
        self.key_name.as_deref().unwrap_or(server)
    }

    /// The same caller out of its profile. Only for what the gateway's own tools do in its name.
    pub fn out_of_profile(&self) -> Self {
        Self { scope: self.reach.clone(), ..self.clone() }
    }
}

impl Scope {
    /// A scope over the servers that match one of `servers` (all when `None`).
    pub fn new(servers: Option<&[String]>, read_only: bool, index: usize) -> Result<Self, globset::Error> {
        Ok(Self { servers: globs(servers)?, tools: Vec::new(), read_only, index })
    }

    /// What is in this scope and also among `servers` and `tools` (all when `None`).
    pub fn narrowed(
        &self,
        servers: Option<&[String]>,
        tools: Option<&[String]>,
        index: usize,
    ) -> Result<Self, globset::Error> {
        let mut scope = Self { index, ..self.clone() };
        scope.servers.extend(globs(servers)?);
        scope.tools.extend(globs(tools)?);
        Ok(scope)
    }

    /// Whether this scope leaves out nothing.
    pub fn is_unlimited(&self) -> bool {
        self.servers.is_empty() && self.tools.is_empty() && !self.read_only
    }

    /// Whether what is seen of a server hangs on how its tools are named among those of all servers.
    pub fn names_tools(&self) -> bool {
        !self.tools.is_empty()
    }

    pub fn allows_server(&self, server: &ServerName) -> bool {
        self.servers.iter().all(|set| set.is_match(server.as_str()))
    }

    /// Whether a tool of a server that is allowed is, too. `name` gives its name among those of all servers, and is
    /// asked only where that matters.
    pub fn allows_tool<'a>(&self, read_only: bool, name: impl FnOnce() -> Option<&'a str>) -> bool {
        if self.read_only && !read_only {
            return false;
        }
        if self.tools.is_empty() {
            return true;
        }
        name().is_some_and(|name| self.tools.iter().all(|set| set.is_match(name)))
    }
}

/// At most one set, which matches what one of `patterns` does.
fn globs(patterns: Option<&[String]>) -> Result<Vec<GlobSet>, globset::Error> {
    let Some(patterns) = patterns else { return Ok(Vec::new()) };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern)?);
    }
    Ok(vec![set.build()?])
}
