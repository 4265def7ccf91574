//! Names of servers: what may stand in the first segment of a path.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// First path segments that the gateway keeps for itself (product: surfaces on the one port).
pub const RESERVED: [&str; 12] = [
    "docs",
    "redoc",
    "openapi.json",
    "mcp",
    "health",
    "ready",
    "metrics",
    "servers",
    "v1",
    "oauth",
    "assets",
    ".well-known",
];

/// The name of one entry of `mcpServers`; never empty and never reserved. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerName(Arc<str>);

/// Why a text cannot name a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a server name must not be empty")]
    Empty,
    #[error("`{0}` is a path of the gateway itself and cannot name a server")]
    Reserved(String),
}

impl ServerName {
    /// Checks `name` against the empty and the reserved names.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if RESERVED.contains(&name) {
            return Err(NameError::Reserved(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in those of units and sockets, where other characters become `-`. Names that would then be the same are
    /// told apart by a digest.
    pub fn in_units(&self) -> String {
        let allowed = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if self.0.chars().all(allowed) {
            return self.0.to_string();
        }
        let kept: String =
            self.0.chars().map(|character| if allowed(character) { character } else { '-' }).collect();
        let digest = Sha256::digest(self.0.as_bytes());
        format!("{kept}-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
    }
}

impl std::borrow::Borrow<str> for ServerName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_units_are_plain_and_differ_as_the_names_do() {
        let in_units = |name: &str| ServerName::new(name).unwrap().in_units();
        assert_eq!(in_units("upstash-context7"), "upstash-context7");
        assert_eq!(in_units("a b"), "a-b-c8687a08");
        let all: std::collections::HashSet<_> = ["a b", "a/b", "a-b", "ä-b"].map(in_units).into();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn reserved_and_empty_names_are_refused_and_odd_ones_are_not() {
        assert_eq!(ServerName::new(""), Err(NameError::Empty));
        for reserved in RESERVED {
            assert_eq!(ServerName::new(reserved), Err(NameError::Reserved(reserved.to_owned())));
        }
        for odd in ["time", "Docs", "a b", "a/b", "mcp-server", "ä", "{x}", "?"] {
            assert_eq!(ServerName::new(odd).unwrap().as_str(), odd);
        }
    }
}
