//! One server of the catalog: its tools under their exposed names.

mod selection;

use std::collections::HashMap;
use std::sync::Arc;

use super::drift::Drift;
use super::list_cache::ServerLists;
use super::tool::CatalogTool;
use crate::config::lock::{LockedTool, ServerLock};
use crate::config::{ServerConfig, ServerName};
use crate::upstream::{Definition, ServerInfo, ToolList, Upstream};
use selection::{OWN_PATHS, ToolSelection};

/// Where a server's calls go.
#[derive(Debug, Clone)]
pub enum ServerSource {
    Upstream(Arc<Upstream>),
    /// The gateway's own tools.
    Gateway,
}

/// A server with the tools that are exposed of it.
#[derive(Debug)]
pub struct CatalogServer {
    pub name: ServerName,
    pub source: ServerSource,
    /// `None` while the server has never connected.
    pub info: Option<ServerInfo>,
    /// In the server's own order.
    pub tools: Vec<Arc<CatalogTool>>,
    /// Tools that differ from the lock, and so are neither listed nor called.
    pub quarantined: Vec<Arc<CatalogTool>>,
    /// All differences from the lock, missing tools among them; sorted by name.
    pub drift: Vec<Drift>,
    /// Positions among all that are known.
    by_exposed_name: HashMap<Arc<str>, usize>,
    pub(super) lists: ServerLists,
    /// The revision of the tool list that this was built from; 0 when none is known.
    pub revision: u64,
}

impl CatalogServer {
    /// The entry of an upstream from its last known list.
    pub fn of_upstream(upstream: &Arc<Upstream>, list: Option<&ToolList>) -> Self {
        let definitions = list.map_or(&[][..], |list| &list.tools);
        let config = upstream.config();
        // The entry chooses among the tools of the server, and not the gateway's own that leads a first user to sign in.
        let bare = list.filter(|list| list.info.awaits_sign_in).map(|_| config.without_tool_rules());
        Self::new(
            bare.as_ref().unwrap_or(&config),
            ServerSource::Upstream(upstream.clone()),
            list.map(|list| list.info.clone()),
            definitions,
            list.map_or(0, |list| list.revision),
        )
    }

    /// Whether its one tool is the gateway's own, which leads a first user to sign in.
    pub fn awaits_sign_in(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.awaits_sign_in)
    }

    /// Takes over the unchanged tools of `before`, with their compiled schemas and progress habits.
    #[must_use]
    pub fn keeping(mut self, before: &Self) -> Self {
        for tool in self.tools.iter_mut().chain(&mut self.quarantined) {
            let known = before.position(&tool.exposed_name).and_then(|position| before.known().nth(position));
            if let Some(known) = known.filter(|known| known.is_as(tool)) {
                *tool = known.clone();
            }
        }
        self
    }

    /// The entry of the gateway's own tools.
    pub fn of_gateway(config: &ServerConfig, info: ServerInfo, definitions: &[Definition]) -> Self {
        Self::new(config, ServerSource::Gateway, Some(info), definitions, 1)
    }

    fn new(
        config: &ServerConfig,
        source: ServerSource,
        info: Option<ServerInfo>,
        definitions: &[Definition],
        revision: u64,
    ) -> Self {
        let ToolSelection { tools, quarantined, drift } = {
            // A list for one client has no revision, and is compared with the lock all the same.
            let has_connected = info.is_some();
            ToolSelection::of(config, definitions, has_connected, revision != 0)
        };
        let known = tools.iter().chain(&quarantined).enumerate();
        let by_exposed_name = known.map(|(index, tool)| (tool.exposed_name.clone(), index)).collect();
        Self {
            name: config.name.clone(),
            source,
            info,
            tools,
            quarantined,
            drift,
            by_exposed_name,
            lists: ServerLists::default(),
            revision,
        }
    }

    /// The tool that is exposed as `name`.
    pub fn tool(&self, name: &str) -> Option<&Arc<CatalogTool>> {
        self.tools.get(self.position(name)?)
    }

    /// Where the tool that is exposed as `name` stands among all that are known ([`Self::known`]).
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_exposed_name.get(name).copied()
    }

    /// The tool that MCP lists show as `name`.
    pub fn tool_called(&self, name: &str) -> Option<&Arc<CatalogTool>> {
        if OWN_PATHS.contains(&name) {
            return self.tools.iter().find(|tool| &*tool.listed_name == name);
        }
        self.tool(name).filter(|tool| &*tool.listed_name == name)
    }

    /// All known tools, quarantined ones last.
    pub fn known(&self) -> impl Iterator<Item = &Arc<CatalogTool>> {
        self.tools.iter().chain(&self.quarantined)
    }

    /// The quarantined tool with the exposed or listed name `name`.
    pub fn quarantined_tool(&self, name: &str) -> Option<&Arc<CatalogTool>> {
        if OWN_PATHS.contains(&name) {
            return self.quarantined.iter().find(|tool| &*tool.listed_name == name);
        }
        self.quarantined.get(self.position(name)?.checked_sub(self.tools.len())?)
    }

    /// How a tool is not as it was locked; by the server's own name.
    pub fn drift_of(&self, tool: &str) -> Option<&Drift> {
        self.drift.binary_search_by(|drift| (*drift.tool).cmp(tool)).ok().map(|index| &self.drift[index])
    }

    /// The definitions of the tools, for the lock.
    pub fn lock(&self) -> ServerLock {
        let info = self.info.clone().unwrap_or_default();
        let tools = self.known().map(|tool| (tool.name.to_string(), LockedTool::of(&tool.own)));
        ServerLock {
            server: format!("{} {}", info.name, info.version).trim().to_owned(),
            tools: tools.collect(),
        }
    }

    /// Whether this is the entry of `upstream`, and not of another server of the same name.
    pub fn is_of(&self, upstream: &Arc<Upstream>) -> bool {
        self.upstream().is_some_and(|own| Arc::ptr_eq(own, upstream))
    }

    /// The live side, for servers that have one.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        match &self.source {
            ServerSource::Upstream(upstream) => Some(upstream),
            ServerSource::Gateway => None,
        }
    }
}

#[cfg(test)]
mod tests;
