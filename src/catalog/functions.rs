//! Tools as OpenAI's interfaces take them: the `tools` array of Chat Completions, or that of Responses.
//!
//! Names are those of [`super::exposed_names`], which are within what OpenAI takes (64 characters of `[A-Za-z0-9_-]`). A
//! list is made at the first request for it, once for a snapshot, a scope and a form. The text of each server stands
//! by itself, so that a list of some servers is put together from these texts.

mod accepted;
mod strict;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::arguments::ArgumentChecker;
use super::exposed_names::ExposedNames;
use super::json_text::{array, comma, json};
use super::scope::Scope;
use super::server::CatalogServer;
use super::tagged_json::TaggedJson;
use super::tool::CatalogTool;
use super::weight::weight_of_members;
use crate::config::ServerName;

/// Azure refuses a longer description, and OpenAI did until 2025. In characters.
const SHORT_DESCRIPTION: usize = 1024;

/// The largest schema that is shown: no model reads more, and each form of each list would hold it.
const MOST_WEIGHT: usize = 20_000;

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FunctionForm {
    /// The form of the Responses interface, else that of Chat Completions.
    ///
    /// Its members stand beside `type`, the others under `function`.
    pub flat: bool,
    /// With schemas that the model is held to, where that can be had.
    pub strict: bool,
    /// With descriptions of at most 1,024 characters.
    pub short: bool,
}

impl FunctionForm {
    /// How many forms there are.
    const COUNT: usize = 8;

    fn index(self) -> usize {
        usize::from(self.flat) | usize::from(self.strict) << 1 | usize::from(self.short) << 2
    }
}

/// The lists of one scope, by [`FunctionForm::index`].
#[derive(Debug, Default)]
pub struct FunctionLists([OnceLock<FunctionList>; FunctionForm::COUNT]);

/// One list.
#[derive(Debug)]
pub struct FunctionList {
    /// The array of all tools.
    pub whole: TaggedJson,
    /// The elements of each server's tools, with commas between them.
    servers: HashMap<ServerName, Bytes>,
}

impl FunctionList {
    /// The array of the tools of `servers` alone, in this order. Those that are not there are left out.
    pub fn only<'a>(&self, servers: impl IntoIterator<Item = &'a ServerName>) -> TaggedJson {
        TaggedJson::new(array(servers.into_iter().filter_map(|server| self.servers.get(server))))
    }
}

impl FunctionLists {
    /// The functions of all `servers` that `scope` may see, written at the first request.
    pub fn list(
        &self,
        servers: &[Arc<CatalogServer>],
        names: &ExposedNames,
        scope: &Scope,
        form: FunctionForm,
    ) -> &FunctionList {
        self.0[form.index()].get_or_init(|| write(servers, names, scope, form))
    }
}

fn write(
    servers: &[Arc<CatalogServer>],
    names: &ExposedNames,
    scope: &Scope,
    form: FunctionForm,
) -> FunctionList {
    let mut by_server = HashMap::new();
    let mut in_order = Vec::new();
    for (index, server) in servers.iter().enumerate() {
        if !scope.allows_server(&server.name) {
            continue;
        }
        let mut text = Vec::new();
        for (tool, name) in server.tools.iter().zip(names.of_server(index)) {
            if !scope.allows(server, tool) {
                continue;
            }
            comma(&mut text);
            json(&mut text, &function(name, tool, form));
        }
        let text = Bytes::from(text);
        in_order.push(text.clone());
        by_server.insert(server.name.clone(), text);
    }
    FunctionList { whole: TaggedJson::new(array(in_order)), servers: by_server }
}

fn function(name: &str, tool: &CatalogTool, form: FunctionForm) -> Value {
    let schema = tool.input_schema().filter(|schema| weight_of_members(schema) <= MOST_WEIGHT);
    // Arguments of a schema that is not validated here keep the nulls that a strict one asks for.
    let strict = schema
        .filter(|_| form.strict)
        .and_then(strict::strict)
        .filter(|_| ArgumentChecker::compile(schema).validates());
    let is_strict = strict.is_some();
    let mut function = Map::new();
    if form.flat {
        function.insert("type".into(), "function".into());
    }
    function.insert("name".into(), name.into());
    if let Some(description) = tool.description().or_else(|| tool.title()) {
        function.insert("description".into(), shown(description, form).into());
    }
    function.insert("parameters".into(), Value::Object(strict.unwrap_or_else(|| accepted::accepted(schema))));
    // Responses takes a function for a strict one unless this says otherwise.
    if form.flat || form.strict {
        function.insert("strict".into(), is_strict.into());
    }
    if form.flat {
        Value::Object(function)
    } else {
        serde_json::json!({ "type": "function", "function": function })
    }
}

fn shown(description: &str, form: FunctionForm) -> String {
    match description.char_indices().nth(SHORT_DESCRIPTION) {
        Some(_) if form.short => {
            let mut cut: String = description.chars().take(SHORT_DESCRIPTION - 1).collect();
            cut.push('…');
            cut
        }
        _ => description.to_owned(),
    }
}

#[cfg(test)]
mod tests;
