//! The texts that the tools of one server add to documents: written once for a list of tools, tool by tool.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use super::component;
use super::hoist::MOST_STEPS;
use super::operation::{self, Setting, Written};
use super::path::{mount_path, path_segment};
use crate::catalog::json_text::{join, json, member};
use crate::catalog::namespace::Namespace;
use crate::catalog::operation_id::server_operation_ids;
use crate::catalog::tool::CatalogTool;
use crate::config::ServerName;

/// The settings that the sections of all servers share.
#[derive(Debug, Default)]
pub struct Wording {
    /// Whether calls need an API key.
    pub secured: bool,
    /// That of all configured servers.
    pub namespace: Arc<Namespace>,
}

/// The members of a document's `paths` and `components.schemas` that are of one server.
#[derive(Debug, Default)]
struct Section {
    paths: Vec<u8>,
    schemas: Vec<u8>,
    /// Where the text of each tool ends in both.
    ends: Vec<(usize, usize)>,
}

/// The sections of one server, in its own document and in that of all servers.
#[derive(Debug, Default)]
pub struct Sections {
    /// In the server's own order.
    pub tools: Vec<Arc<CatalogTool>>,
    pub wording: Arc<Wording>,
    own: Section,
    combined: Section,
    /// Hashes of the names of each tool in its texts.
    names: Vec<u64>,
}

/// The texts of the tools that a document is of.
#[derive(Debug, Default)]
pub struct SelectedTexts<'a> {
    paths: Vec<&'a [u8]>,
    schemas: Vec<&'a [u8]>,
}

impl Section {
    fn push(&mut self, path: &str, written: &Written) {
        json(&mut self.paths, path);
        self.paths.push(b':');
        json(&mut self.paths, &written.path_item);
        let mut schemas = vec![b'{'];
        for (key, component) in &written.components {
            member(&mut schemas, key);
            json(&mut schemas, component);
        }
        self.schemas.extend_from_slice(&schemas[1..]);
        self.ends.push((self.paths.len(), self.schemas.len()));
    }

    fn push_text(&mut self, (path, schemas): (&[u8], &[u8])) {
        self.paths.extend_from_slice(path);
        self.schemas.extend_from_slice(schemas);
        self.ends.push((self.paths.len(), self.schemas.len()));
    }

    /// Gives back what the texts were grown by beyond their length: of ten thousand tools, megabytes.
    fn shrink(&mut self) {
        self.paths.shrink_to_fit();
        self.schemas.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    fn text(&self, tool: usize) -> (&[u8], &[u8]) {
        let (path, schema) = tool.checked_sub(1).map(|before| self.ends[before]).unwrap_or_default();
        let (path_end, schema_end) = self.ends[tool];
        (&self.paths[path..path_end], &self.schemas[schema..schema_end])
    }
}

impl Sections {
    /// The texts of the tools that `allows`, in the server's own document.
    pub fn own(&self, allows: impl Fn(&CatalogTool) -> bool) -> SelectedTexts<'_> {
        let mut selected = SelectedTexts::default();
        selected.add(&self.own, &self.tools, allows);
        selected
    }

    /// Adds the texts of the tools that `allows` to those of other servers.
    pub fn add_to<'a>(&'a self, combined: &mut SelectedTexts<'a>, allows: impl Fn(&CatalogTool) -> bool) {
        combined.add(&self.combined, &self.tools, allows);
    }
}

impl<'a> SelectedTexts<'a> {
    fn add(
        &mut self,
        section: &'a Section,
        tools: &[Arc<CatalogTool>],
        allows: impl Fn(&CatalogTool) -> bool,
    ) {
        for (index, _) in tools.iter().enumerate().filter(|(_, tool)| allows(tool)) {
            let (path, schemas) = section.text(index);
            self.paths.push(path);
            self.schemas.push(schemas);
        }
    }

    pub(super) fn write_paths(&self, text: &mut Vec<u8>) {
        join(text, &self.paths);
    }

    pub(super) fn write_schemas(&self, text: &mut Vec<u8>) {
        join(text, &self.schemas);
    }
}

/// Sections in the making.
#[derive(Debug)]
pub struct Writing {
    server: ServerName,
    sections: Sections,
    own: DocumentNames,
    combined: DocumentNames,
    before: Option<Arc<Sections>>,
    /// Of two tools with one exposed name the first is documented.
    exposed: HashSet<Arc<str>>,
    /// Where the tools of `before` stand, by their addresses.
    positions: HashMap<usize, usize>,
    /// The first tool whose schemas cost too much to stand in a document, and how many there are.
    costly: Option<(Arc<str>, usize)>,
}

/// The names of the tools in one document.
#[derive(Debug)]
struct DocumentNames {
    ids: Vec<String>,
    stems: Vec<String>,
}

impl DocumentNames {
    fn setting<'a>(&'a self, tool: usize, tag: Option<&'a str>, secured: bool) -> Setting<'a> {
        Setting { operation_id: &self.ids[tool], stem: &self.stems[tool], tag, secured }
    }
}

impl Writing {
    /// Begins the sections of `tools` of `server`. The texts of tools that are the very same as in `before` are taken over.
    pub fn new(
        server: ServerName,
        tools: Vec<Arc<CatalogTool>>,
        wording: Arc<Wording>,
        before: Option<Arc<Sections>>,
    ) -> Self {
        let names = || tools.iter().map(|tool| &*tool.listed_name);
        let own = DocumentNames { ids: server_operation_ids(names()), stems: component::stems(names()) };
        let ids = wording.namespace.operation_ids(&server, names());
        let combined = DocumentNames { stems: component::stems(ids.iter().map(String::as_str)), ids };
        let before = before.filter(|before| before.wording.secured == wording.secured);
        let known = before.iter().flat_map(|before| before.tools.iter().enumerate());
        let positions = known.map(|(position, tool)| (address(tool), position)).collect();
        let sections = Sections { tools, wording, ..Sections::default() };
        Self { server, sections, own, combined, before, exposed: HashSet::new(), positions, costly: None }
    }

    /// Writes the texts of one more tool, and of more until `deadline`; whether all are written.
    pub fn write_until(&mut self, deadline: Instant) -> bool {
        while let Some(tool) = self.sections.tools.get(self.sections.names.len()).cloned() {
            self.write(&tool);
            if Instant::now() >= deadline {
                break;
            }
        }
        self.sections.names.len() == self.sections.tools.len()
    }

    fn write(&mut self, tool: &Arc<CatalogTool>) {
        let Self { server, sections, own, combined, before, exposed, positions, costly } = self;
        let index = sections.names.len();
        let mut hasher = DefaultHasher::new();
        for called in [&*own, &*combined] {
            (&called.ids[index], &called.stems[index]).hash(&mut hasher);
        }
        let names = hasher.finish();
        let known = before.as_ref().zip(positions.get(&address(tool)));
        let known = known.filter(|(before, position)| before.names[**position] == names);
        sections.names.push(names);
        if !exposed.insert(tool.exposed_name.clone()) {
            sections.own.push_text(Default::default());
            sections.combined.push_text(Default::default());
            return;
        }
        if let Some((before, &position)) = known {
            sections.own.push_text(before.own.text(position));
            sections.combined.push_text(before.combined.text(position));
            return;
        }
        let secured = sections.wording.secured;
        let settings =
            [own.setting(index, None, secured), combined.setting(index, Some(server.as_str()), secured)];
        let ([in_own, in_combined], is_costly) = operation::written(tool, settings.each_ref());
        let segment = path_segment(&tool.exposed_name);
        sections.own.push(&format!("/{segment}"), &in_own);
        sections.combined.push(&format!("{}/{segment}", mount_path("/", server)), &in_combined);
        if is_costly {
            costly.get_or_insert_with(|| (tool.name.clone(), 0)).1 += 1;
        }
    }

    /// The sections, once all is written; says in the log which schemas are not in them.
    pub fn finish(mut self) -> Sections {
        self.sections.own.shrink();
        self.sections.combined.shrink();
        if let Some((tool, count)) = &self.costly {
            let (server, steps) = (&self.server, MOST_STEPS);
            let others =
                if *count > 1 { format!(" and of {} further tools", count - 1) } else { String::new() };
            tracing::warn!(mcp_server = %server, mcp_tool = %tool, count, "{server}: the schema of `{tool}`{others} takes more than {steps} steps to take apart; documents show any object in its place");
        }
        self.sections
    }
}

fn address(tool: &Arc<CatalogTool>) -> usize {
    Arc::as_ptr(tool) as usize
}
