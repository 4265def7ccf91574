//! Servers and tools as they are shown.

use serde_json::{Map, Value};

use crate::cli::server_list::ServerState;

/// A server as it is shown.
#[derive(Debug)]
pub(super) struct ShownServer {
    pub state: ServerState,
    pub tools: Vec<ShownTool>,
}

/// A tool as it is shown.
#[derive(Debug)]
pub(super) struct ShownTool {
    /// The name to call it by.
    pub name: String,
    /// As the server sent it, except that references may be spelled differently.
    pub definition: Map<String, Value>,
}

impl ShownTool {
    /// Whether the server claims that the tool changes nothing.
    pub fn is_read_only(&self) -> bool {
        let annotations = self.definition.get("annotations");
        annotations.is_some_and(|annotations| annotations["readOnlyHint"] == Value::Bool(true))
    }
}
