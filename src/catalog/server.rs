//! One server of the catalog: its tools under their exposed names.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde_json::Value;

use super::progress::ProgressHabit;
use super::tool::CatalogTool;
use super::tool_list::ServerLists;
use crate::config::{ServerConfig, ServerName};
use crate::upstream::{Definition, ServerInfo, ToolList, Upstream};

/// Tool names that would hide a path of the server itself get a `_` at the end (product section 3.1).
const HIDDEN: [&str; 3] = ["mcp", "docs", "openapi.json"];

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
    by_exposed_name: HashMap<Arc<str>, usize>,
    pub(super) lists: ServerLists,
    /// The revision of the tool list that this was built from; 0 when none is known.
    pub revision: u64,
}

impl CatalogServer {
    /// Builds the entry of an upstream from its last known list.
    pub fn of_upstream(upstream: &Arc<Upstream>, list: Option<&ToolList>) -> Self {
        let definitions = list.map_or(&[][..], |list| &list.tools);
        Self::new(
            &upstream.config(),
            ServerSource::Upstream(upstream.clone()),
            list.map(|list| list.info.clone()),
            definitions,
            list.map_or(0, |list| list.revision),
        )
    }

    /// Builds the entry of the gateway's own tools.
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
        let filter = Filter::new(config);
        let mut tools: Vec<Arc<CatalogTool>> = Vec::with_capacity(definitions.len());
        let mut taken: HashMap<&str, ()> = HashMap::with_capacity(definitions.len());
        for definition in definitions {
            let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
            if !filter.allows(name) {
                continue;
            }
            if taken.insert(name, ()).is_some() {
                tracing::warn!(mcp_server = %config.name, mcp_tool = name, "{}: two tools are named `{name}`; the first is served", config.name);
                continue;
            }
            tools.push(Arc::new(CatalogTool {
                name: name.into(),
                exposed_name: name.into(),
                read_only: filter.is_read_only(definition),
                definition: definition.clone(),
                checker: OnceLock::new(),
                progress: ProgressHabit::default(),
                meter: OnceLock::new(),
            }));
        }
        expose_hidden(&mut tools, &taken);
        let by_exposed_name =
            tools.iter().enumerate().map(|(index, tool)| (tool.exposed_name.clone(), index)).collect();
        Self {
            name: config.name.clone(),
            source,
            info,
            tools,
            by_exposed_name,
            lists: ServerLists::default(),
            revision,
        }
    }

    /// The tool that is exposed as `name`.
    pub fn tool(&self, name: &str) -> Option<&Arc<CatalogTool>> {
        self.by_exposed_name.get(name).map(|&index| &self.tools[index])
    }

    /// Where the tool that is exposed as `name` stands among `tools`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.by_exposed_name.get(name).copied()
    }

    /// The tool that the server itself calls `name`.
    pub fn tool_called(&self, name: &str) -> Option<&Arc<CatalogTool>> {
        if HIDDEN.contains(&name) {
            return self.tools.iter().find(|tool| &*tool.name == name);
        }
        self.tool(name).filter(|tool| &*tool.name == name)
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

fn expose_hidden(tools: &mut [Arc<CatalogTool>], taken: &HashMap<&str, ()>) {
    for tool in tools {
        if HIDDEN.contains(&&*tool.name) {
            let mut exposed = format!("{}_", tool.name);
            while taken.contains_key(exposed.as_str()) {
                exposed.push('_');
            }
            let tool = Arc::get_mut(tool).expect("the tool was made a moment ago and has one owner");
            tool.exposed_name = exposed.into();
        }
    }
}

/// The operator's globs over tool names, compiled.
struct Filter {
    enabled: Option<GlobSet>,
    disabled: GlobSet,
    read_only: Option<GlobSet>,
}

impl Filter {
    fn new(config: &ServerConfig) -> Self {
        Self {
            enabled: (!config.enabled_tools.is_empty()).then(|| globs(&config.enabled_tools)),
            disabled: globs(&config.disabled_tools),
            read_only: config.read_only_tools.as_deref().map(globs),
        }
    }

    fn allows(&self, name: &str) -> bool {
        self.enabled.as_ref().is_none_or(|enabled| enabled.is_match(name)) && !self.disabled.is_match(name)
    }

    fn is_read_only(&self, definition: &Definition) -> bool {
        let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
        match &self.read_only {
            Some(read_only) => read_only.is_match(name),
            None => hint(definition, "readOnlyHint"),
        }
    }
}

/// A hint of `annotations`: the server's claim, false when it claims nothing.
pub fn hint(definition: &Definition, key: &str) -> bool {
    definition.get("annotations").and_then(|hints| hints.get(key)).and_then(Value::as_bool).unwrap_or(false)
}

fn globs(patterns: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        // The name itself, too: a tool may be called `delete[all]`, and a list that was exact in mcpo
        // must not fail open.
        for text in [pattern.clone(), globset::escape(pattern)] {
            if let Ok(glob) = Glob::new(&text) {
                set.add(glob);
            }
        }
    }
    set.build().unwrap_or_default()
}

#[cfg(test)]
mod tests;
