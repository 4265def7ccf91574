//! A server's declarations of itself and of its tools.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::ServerName;
use crate::upstream::transport_detection::HttpTransport;

/// A server's declaration of itself in `initialize` or `server/discover`.
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
    /// The server is unknown until a first user signs in to it; the gateway itself made its list.
    #[serde(skip)]
    pub awaits_sign_in: bool,
}

/// How long, and for which callers, a server's answer may be kept (2026-07-28, "Caching"). Over all pages the
/// shortest time and the narrowest circle count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// In milliseconds; `None` when the server says nothing, as in the era of sessions.
    pub ttl: Option<u64>,
    pub is_private: bool,
}

impl Freshness {
    /// The freshness that holds for both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let ttl = match (self.ttl, other.ttl) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self { ttl, is_private: self.is_private || other.is_private }
    }
}

/// One tool as defined by its server; nothing is dropped.
pub type Definition = Arc<Map<String, Value>>;

/// The one tool of a server that waits for a first user to sign in.
pub const SIGN_IN_TOOL: &str = "sign_in";

/// A server's tools, in its own order.
#[derive(Debug)]
pub struct ToolList {
    pub info: ServerInfo,
    pub tools: Vec<Definition>,
    /// Counts the lists that one run of the gateway saw; 0 until published.
    pub revision: u64,
}

impl ToolList {
    /// The list of `server`, to which no user has signed in yet: a tool whose call leads a user there.
    pub fn before_sign_in(server: &ServerName) -> Self {
        let description = format!(
            "Signs in to {server} with your own account there. Its tools are known, and listed, after that."
        );
        let tool = json!({
            "name": SIGN_IN_TOOL,
            "description": description,
            "inputSchema": { "type": "object", "properties": {} },
            "annotations": { "readOnlyHint": true },
        });
        let tools = tool.as_object().cloned().map(Arc::new).into_iter().collect();
        Self { info: ServerInfo { awaits_sign_in: true, ..ServerInfo::default() }, tools, revision: 0 }
    }
}
