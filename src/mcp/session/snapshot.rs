//! The lists that a client with a stream knows, to find out which of them have changed.

use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::{Caller, Namespace};
use crate::config::ServerName;
use crate::mcp::capabilities;
use crate::mcp::endpoint::Endpoint;
use crate::mcp::method::list_tools::tool_list;
use crate::mcp::state::Mcp;
use crate::protocol::Era;

/// The state of the lists of an endpoint for one caller.
pub struct ListSnapshot {
    tools: Bytes,
    prompts: Offering,
    resources: Offering,
}

/// The servers that have a list of one kind: a new server brings new entries.
#[derive(PartialEq, Eq)]
struct Offering {
    servers: Vec<ServerName>,
    /// The namespace of the entries' names, where they differ from the servers' own.
    names: Option<Arc<Namespace>>,
    /// Whether clients get notifications of changes.
    is_told: bool,
}

impl ListSnapshot {
    /// The lists that `caller` sees at `endpoint` now.
    pub fn new(mcp: &Mcp, caller: &Caller, endpoint: &Endpoint) -> Self {
        let catalog = mcp.gateway.catalog_builder().catalog();
        let offering = |kind| {
            let servers = endpoint.servers(&catalog, caller).filter(|server| capabilities::has(server, kind));
            let servers = servers.map(|server| server.name.clone()).collect();
            let is_told = capabilities::any_sends(mcp, caller, endpoint, kind, "listChanged");
            Offering { servers, names: None, is_told }
        };
        let (mut prompts, resources) = (offering("prompts"), offering("resources"));
        prompts.names =
            (*endpoint == Endpoint::All).then(|| mcp.gateway.catalog_builder().namespace().clone());
        Self { tools: tool_list(&catalog, caller, endpoint, Era::Sessions), prompts, resources }
    }

    /// Whether the lists of tools, prompts and resources differ from `before`.
    pub fn changed_since(&self, before: &Self) -> [bool; 3] {
        let prompts = self.prompts.differs(&before.prompts);
        let resources = self.resources.differs(&before.resources);
        [self.tools != before.tools, prompts, resources]
    }

    /// Whether clients are told of changes of the lists of tools, prompts and resources.
    pub fn told(&self) -> [bool; 3] {
        [true, self.prompts.is_told, self.resources.is_told]
    }
}

impl Offering {
    fn differs(&self, before: &Self) -> bool {
        let is_other = self.servers != before.servers || self.names != before.names;
        is_other && (self.is_told || before.is_told)
    }
}
