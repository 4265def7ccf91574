//! What a server says of itself and of its tools.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::http_transport::HttpTransport;
use super::tools::Definition;

/// What a server says of itself in `initialize`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// `serverInfo.name`.
    pub name: String,
    /// `serverInfo.version`.
    pub version: String,
    /// The whole text of `instructions`.
    pub instructions: Option<String>,
    /// The protocol revision agreed on.
    pub protocol: String,
    /// `serverInfo` whole: title, icons, ... Empty in lists that an earlier version kept.
    #[serde(default)]
    pub implementation: Map<String, Value>,
    /// `capabilities` whole.
    #[serde(default)]
    pub capabilities: Map<String, Value>,
    /// The HTTP transport that it was found to speak; `None` where nothing had to be found.
    #[serde(default)]
    pub transport: Option<HttpTransport>,
    /// How long the tool list holds.
    #[serde(default)]
    pub freshness: Freshness,
}

/// How long what a server said may be kept, and by whom (2026-07-28, "Caching"): over all pages the shortest time and
/// the narrowest circle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// In milliseconds; `None` when the server says nothing, as in the era of sessions.
    pub ttl: Option<u64>,
    pub is_private: bool,
}

impl Freshness {
    /// What holds for both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let ttl = match (self.ttl, other.ttl) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { ttl, is_private: self.is_private || other.is_private }
    }
}

/// A server's tools, in its own order.
#[derive(Debug)]
pub struct ToolList {
    pub info: ServerInfo,
    pub tools: Vec<Definition>,
    /// Counts the lists that one run of the gateway saw; 0 until published.
    pub revision: u64,
}
