//! Where in the path space of the port the gateway stands: behind a root path that a proxy may or may not have taken
//! away, and under a prefix.

use crate::config::ListenConfig;

/// The paths before those of the faces.
#[derive(Debug, Clone)]
pub struct Prefixes {
    /// Without a slash at its end; empty when there is none.
    prefix: String,
    root_path: String,
}

impl Prefixes {
    pub fn new(listen: &ListenConfig) -> Self {
        Self {
            prefix: listen.path_prefix.trim_end_matches('/').to_owned(),
            root_path: listen.root_path.clone(),
        }
    }

    /// The path prefix; empty when there is none.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A raw path without the root path.
    pub fn within_root<'a>(&self, raw: &'a str) -> &'a str {
        strip(raw, &self.root_path).unwrap_or(raw)
    }

    /// What is left of such a path behind the prefix; it starts with a slash.
    pub fn within_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        strip(path, &self.prefix)
    }
}

fn strip<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.starts_with('/'))
}
