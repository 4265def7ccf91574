//! Selects the tools of a server that are listed, and names them: the operator's globs, overrides and lock.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::catalog::definition::{self, Defined, Findings};
use crate::catalog::drift::{self, Drift, DriftKind, shown};
use crate::catalog::progress::ProgressHabit;
use crate::catalog::tool::{CatalogTool, hint};
use crate::config::nearest;
use crate::config::{DriftPolicy, LockConfig, ServerConfig, ToolOverride};
use crate::upstream::Definition;
use crate::upstream::tools::header_params::HeaderParam;

/// Paths of the server itself: a tool of this name is exposed with a `_`.
pub(super) const OWN_PATHS: [&str; 3] = ["mcp", "docs", "openapi.json"];
/// Drifts of one list that are logged, each with its lines; further ones are counted.
const MOST_LOGGED: usize = 100;

/// A server's tools after globs, overrides and lock.
#[derive(Debug, Default)]
pub struct ToolSelection {
    pub tools: Vec<Arc<CatalogTool>>,
    pub quarantined: Vec<Arc<CatalogTool>>,
    pub drift: Vec<Drift>,
}

impl ToolSelection {
    /// Selects among `definitions`, and logs their flaws.
    ///
    /// `is_known` is false for a server that has never connected: its list is empty, and no tool is missing. Drift is
    /// logged if `logs`: once a list, and not each time that a client asks for its own.
    pub fn of(config: &ServerConfig, definitions: &[Definition], is_known: bool, logs: bool) -> Self {
        let server = &config.name;
        let filter = Filter::new(config);
        let mut tools: Vec<Arc<CatalogTool>> = Vec::with_capacity(definitions.len());
        let mut own_names: HashSet<&str> = HashSet::with_capacity(definitions.len());
        let mut taken: HashMap<Arc<str>, &str> = HashMap::with_capacity(definitions.len());
        let mut findings = Findings::default();
        // The first tool that is left out, why, and how many are.
        let mut left_out: Option<(&str, String, usize)> = None;
        for definition in definitions {
            let name = name_of(definition);
            if !filter.allows(name) {
                continue;
            }
            if !own_names.insert(name) {
                left_out
                    .get_or_insert_with(|| (name, format!("two tools are named `{}`", shown(name)), 0))
                    .2 += 1;
                continue;
            }
            let changed = config.overrides.get(name);
            let listed: Arc<str> = changed.and_then(|changed| changed.name.as_deref()).unwrap_or(name).into();
            if let Some(other) = taken.insert(listed.clone(), name) {
                taken.insert(listed.clone(), other);
                let why = || format!("`{}` would be named `{listed}` as `{}` is", shown(name), shown(other));
                left_out.get_or_insert_with(|| (name, why(), 0)).2 += 1;
                continue;
            }
            // Invalid ones count where headers do, and there the tool was left out of the list.
            let header_params = HeaderParam::all_of(definition).unwrap_or_default();
            let own = definition.clone();
            let definition = changed.map_or_else(|| own.clone(), |changed| overridden(&own, changed));
            let checked = definition::mended(Defined::Tool, &definition);
            findings.note(name, &checked);
            // A tool has a name, and all else can be mended.
            let mended = checked.ok().flatten().map(Arc::new);
            tools.push(Arc::new(CatalogTool {
                name: name.into(),
                exposed_name: listed.clone(),
                listed_name: listed,
                read_only: filter.is_read_only(&own),
                definition,
                mended,
                own,
                checker: OnceCell::new(),
                header_params: header_params.into(),
                progress: ProgressHabit::default(),
                meter: OnceLock::new(),
            }));
        }
        expose_hidden(&mut tools, &taken);
        if let Some((name, why, count)) = left_out {
            let others =
                if count > 1 { format!(" (so it is for {} more)", count - 1) } else { String::new() };
            tracing::warn!(mcp_server = %server, mcp_tool = name, "{server}: {why}; the first is served{others}");
        }
        if logs {
            findings.log(server, "tool", None);
            warn_of_unused(config, definitions);
        }
        match &config.lock {
            Some(lock) if is_known => {
                let is_wanted = |name: &str| filter.allows(name) && !own_names.contains(name);
                let gone = lock.lock.tools.keys().filter(|name| is_wanted(name));
                let gone = gone.map(|name| drift::missing(name)).collect();
                compared(config, lock, tools, gone, logs)
            }
            _ => Self { tools, ..Self::default() },
        }
    }
}

/// Compares tools with `lock`; `drift` begins with the missing ones.
fn compared(
    config: &ServerConfig,
    lock: &LockConfig,
    all: Vec<Arc<CatalogTool>>,
    mut drift: Vec<Drift>,
    logs: bool,
) -> ToolSelection {
    let mut selection = ToolSelection::default();
    for tool in all {
        let Some(mut drifted) = drift::of_tool(&lock.lock, &tool.own) else {
            selection.tools.push(tool);
            continue;
        };
        if drift.len() >= MOST_LOGGED {
            drifted.diff.clear();
        }
        drift.push(drifted);
        match lock.drift {
            DriftPolicy::Warn => selection.tools.push(tool),
            DriftPolicy::Quarantine => selection.quarantined.push(tool),
        }
    }
    drift.sort_by(|left, right| left.tool.cmp(&right.tool));
    for drifted in drift.iter().filter(|_| logs).take(MOST_LOGGED) {
        log(config, lock.drift, drifted);
    }
    if let Some(more) = drift.len().checked_sub(MOST_LOGGED + 1).filter(|_| logs) {
        let server = &config.name;
        tracing::warn!(mcp_server = %server, "{server}: {} further tools are not as they were locked", more + 1);
    }
    ToolSelection { drift, ..selection }
}

fn log(config: &ServerConfig, policy: DriftPolicy, drifted: &Drift) {
    let server = &config.name;
    let tool = shown(&drifted.tool);
    let outcome = match (drifted.change, policy) {
        (DriftKind::Missing, _) => "`mcpo lock` takes it out of the lock",
        (_, DriftPolicy::Warn) => "it is served all the same; `mcpo lock` accepts it",
        (_, DriftPolicy::Quarantine) => "it is quarantined until `mcpo lock` accepts it",
    };
    let change = drifted.change.name();
    tracing::warn!(mcp_server = %server, mcp_tool = tool, change, "{server}/{tool} {}: {outcome}", drifted.change);
    for line in &drifted.diff {
        tracing::warn!(mcp_server = %server, mcp_tool = tool, change, "{server}/{tool} {line}");
    }
}

fn name_of(definition: &Definition) -> &str {
    definition.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn overridden(definition: &Definition, changed: &ToolOverride) -> Definition {
    let mut definition = (**definition).clone();
    let ToolOverride { name, description, title } = changed;
    for (key, text) in [("name", name), ("description", description), ("title", title)] {
        if let Some(text) = text {
            definition.insert(key.to_owned(), text.as_str().into());
        }
    }
    Arc::new(definition)
}

/// An override for a tool that is not there is a slip, or the server has renamed it.
fn warn_of_unused(config: &ServerConfig, definitions: &[Definition]) {
    let server = &config.name;
    let names = || definitions.iter().map(name_of);
    for tool in config.overrides.keys().filter(|tool| !names().any(|name| name == *tool)) {
        let like = nearest(tool, names()).map(|like| format!("; did you mean `{}`?", shown(like)));
        let like = like.unwrap_or_default();
        tracing::warn!(mcp_server = %server, mcp_tool = tool, "{server}: the override of `{tool}` is for no tool of the server{like}");
    }
}

fn expose_hidden(tools: &mut [Arc<CatalogTool>], taken: &HashMap<Arc<str>, &str>) {
    for tool in tools {
        if OWN_PATHS.contains(&&*tool.listed_name) {
            let mut exposed = format!("{}_", tool.listed_name);
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
        match &self.read_only {
            Some(read_only) => read_only.is_match(name_of(definition)),
            None => hint(definition, "readOnlyHint"),
        }
    }
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
