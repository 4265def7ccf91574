//! The context of an entry: the gateway's settings, and members that several readers share.

use super::super::fields::{Fields, mismatch};
use super::super::json_tree::JsonValue;
use super::super::keys::ServerDefaults;
use super::super::problem::Problems;

/// The gateway's own settings that count for every entry.
#[derive(Debug)]
pub struct EntryContext {
    pub defaults: ServerDefaults,
    /// An API key is configured, which callers present in `Authorization`.
    pub keyed: bool,
    /// The home directory of the user that the gateway runs as; `mcpo check` has none.
    pub home: Option<String>,
}

/// A member that must be an object of texts, as `env` and `headers` are.
pub(super) fn object<'a>(fields: &Fields<'a>, name: &str, problems: &mut Problems) -> Option<Fields<'a>> {
    let (node, location) = fields.get(name)?;
    match &node.value {
        JsonValue::Object(_) => Fields::new(node, location, problems),
        _ => mismatch(&location, "an object of strings", node, problems),
    }
}

/// Warns of members that mean nothing to the kind of server that the entry turned out to be.
pub(super) fn warn_unused(fields: &Fields<'_>, keys: &[&str], owner: &str, problems: &mut Problems) {
    for (key, location) in keys.iter().filter_map(|key| Some((key, fields.get(key)?.1))) {
        problems.warning(&location, format!("`{key}` means nothing to {owner} and is ignored"), "remove it");
    }
}
