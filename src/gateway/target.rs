//! The tool that a call resolved to.

use std::sync::Arc;

use crate::catalog::{CatalogServer, CatalogTool, ServerSource};

/// The gateway's own tool that passes calls on.
pub const RELAY: &str = "call_tool";

/// A tool that was found and that the caller may call. Cheap to make: two reference counts.
#[derive(Debug, Clone)]
pub struct Target {
    pub server: Arc<CatalogServer>,
    pub tool: Arc<CatalogTool>,
}

impl Target {
    /// Whether the tool is the gateway's own, which leads a user to sign in to the server.
    pub fn is_sign_in(&self) -> bool {
        self.server.awaits_sign_in()
    }

    /// Whether the tool only relays calls, which are counted by themselves.
    pub fn is_relay(&self) -> bool {
        matches!(self.server.source, ServerSource::Gateway) && &*self.tool.name == RELAY
    }
}
