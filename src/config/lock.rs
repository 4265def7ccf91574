//! `tools.lock`: the definitions of all tools when an operator last reviewed them, as a file for git.
//!
//! The file holds all of a tool that a model can be shown, so that a change can be described, and a digest of it. It is
//! sorted and pretty-printed JSON: one change of a tool is one small change of the file. The server's own text is locked,
//! before any override.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::file;
use crate::json::hex;

/// The version of the file's form.
const VERSION: u64 = 1;

/// The most bytes that the definitions of all tools may take together.
const LONGEST: u64 = 256 << 20;

/// The members of a definition that are locked: all that a model or a person is shown. The rest (`_meta`, icons) says
/// nothing of what a tool does.
pub const LOCKED: [&str; 6] = ["name", "title", "description", "inputSchema", "outputSchema", "annotations"];

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolsLock {
    pub version: u64,
    pub servers: BTreeMap<String, ServerLock>,
}

/// One server's tools.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerLock {
    /// Name and version that the server gave itself. Another one alone is no drift.
    pub server: String,
    /// By the server's own names.
    pub tools: BTreeMap<String, LockedTool>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedTool {
    /// `sha256:` and the digest of the canonical JSON of `definition`.
    pub digest: String,
    /// The [`LOCKED`] members, sorted.
    pub definition: Map<String, Value>,
}

/// The fate of a tool that is not as it was locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriftPolicy {
    /// It is served, and the log says what has changed.
    #[default]
    Warn,
    /// It is neither listed nor called until it is locked anew.
    Quarantine,
}

/// The values of `lock.drift`.
pub(super) const DRIFT_POLICIES: [(&str, DriftPolicy); 2] =
    [("warn", DriftPolicy::Warn), ("quarantine", DriftPolicy::Quarantine)];

/// The rules for one server.
#[derive(Debug, Clone, PartialEq)]
pub struct LockConfig {
    pub drift: DriftPolicy,
    /// Empty for a server that is not in the file: all its tools are new then.
    pub lock: Arc<ServerLock>,
}

/// Why a file is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("it is no lock of this program: {0}")]
    Form(#[from] serde_json::Error),
    #[error("it is of version {0}, and this program knows version {VERSION}")]
    Version(u64),
    #[error("the digest of `{server}/{tool}` is not that of its text, so one of the two was edited")]
    Digest { server: String, tool: String },
}

impl ToolsLock {
    pub fn new(servers: BTreeMap<String, ServerLock>) -> Self {
        Self { version: VERSION, servers }
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When the file is missing or is not a lock file.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let lock: Self = serde_json::from_slice(&file::read(path, LONGEST)?)?;
        if lock.version != VERSION {
            return Err(LockError::Version(lock.version));
        }
        for (server, entry) in &lock.servers {
            for (tool, locked) in &entry.tools {
                if locked.digest != digest(&locked.definition) {
                    return Err(LockError::Digest { server: server.clone(), tool: tool.clone() });
                }
            }
        }
        Ok(lock)
    }

    /// The text of the file; the same lock gives the same text.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("its keys are strings");
        text.push('\n');
        text
    }
}

impl LockedTool {
    /// A tool as its server defines it now.
    pub fn of(definition: &Map<String, Value>) -> Self {
        let kept = LOCKED.iter().filter_map(|key| Some(((*key).to_owned(), sorted(definition.get(*key)?))));
        let mut kept: Vec<(String, Value)> = kept.collect();
        kept.sort_by(|left, right| left.0.cmp(&right.0));
        let definition = Map::from_iter(kept);
        Self { digest: digest(&definition), definition }
    }
}

/// The digest of canonical JSON: no white space, members sorted.
fn digest(definition: &Map<String, Value>) -> String {
    let text = sorted(&Value::Object(definition.clone())).to_string();
    format!("sha256:{}", hex(&Sha256::digest(text)))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> =
                members.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(elements) => elements.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(definition: Value) -> LockedTool {
        LockedTool::of(definition.as_object().unwrap())
    }

    #[test]
    fn a_digest_is_of_what_is_said_and_not_of_how_it_is_written() {
        let one = tool(
            json!({"name": "a", "inputSchema": {"type": "object", "properties": {}}, "_meta": {"x": 1}}),
        );
        let same =
            tool(json!({"inputSchema": {"properties": {}, "type": "object"}, "name": "a", "icons": []}));
        assert_eq!(one, same);
        for other in [
            json!({"name": "b", "inputSchema": {"type": "object", "properties": {}}}),
            json!({"name": "a", "inputSchema": {"type": "object"}}),
            json!({"name": "a", "inputSchema": {"type": "object", "properties": {}}, "description": ""}),
            json!({"name": "a", "inputSchema": {"type": "object", "properties": {}}, "annotations": {}}),
            json!({"name": "a", "inputSchema": {"type": "object", "properties": {}}, "title": "A"}),
            json!({"name": "a", "inputSchema": {"type": "object", "properties": {}}, "outputSchema": {}}),
        ] {
            assert_ne!(one.digest, tool(other.clone()).digest, "{other}");
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_an_edited_one_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tools = BTreeMap::from([("a".to_owned(), tool(json!({"name": "a", "description": "looks"})))]);
        let server = ServerLock { server: "s 1".to_owned(), tools };
        let lock = ToolsLock::new(BTreeMap::from([("s".to_owned(), server)]));
        std::fs::write(file.path(), lock.text()).unwrap();
        assert_eq!(ToolsLock::read(file.path()).unwrap(), lock);
        assert_eq!(ToolsLock::read(file.path()).unwrap().text(), lock.text());
        for (text, said) in [
            (lock.text().replace("looks", "lies"), "digest of `s/a` is not that of its text"),
            (lock.text().replace("\"version\": 1", "\"version\": 2"), "of version 2"),
            (lock.text().replace("\"server\"", "\"serve\""), "it is no lock"),
            (String::new(), "it is no lock"),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let error = ToolsLock::read(file.path()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(
            ToolsLock::read(Path::new("/nowhere/tools.lock"))
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
    }
}
