//! What a client with a stream knows of the lists at its endpoint, and which of them have changed since.

use std::sync::Arc;

use bytes::Bytes;

use super::super::Mcp;
use super::super::all::has_capability;
use super::super::place::Place;
use crate::catalog::{Caller, Namespace};
use crate::config::ServerName;
use crate::protocol::Era;

/// What a client was told, or can be told by asking.
pub(super) struct Known {
    tools: Bytes,
    prompts: Offering,
    resources: Offering,
}

/// The servers that offer things of one kind: a new one at the endpoint brings its own.
#[derive(PartialEq, Eq)]
struct Offering {
    servers: Vec<ServerName>,
    /// Where they have other names than their servers give them: what these depend on.
    names: Option<Arc<Namespace>>,
    /// Whether clients are told of changes.
    is_told: bool,
}

impl Known {
    /// Whether the lists of tools, prompts and resources are others than `before`.
    pub(super) fn changed_since(&self, before: &Self) -> [bool; 3] {
        let prompts = self.prompts.differs(&before.prompts);
        let resources = self.resources.differs(&before.resources);
        [self.tools != before.tools, prompts, resources]
    }
}

impl Offering {
    fn differs(&self, before: &Self) -> bool {
        let is_other = self.servers != before.servers || self.names != before.names;
        is_other && (self.is_told || before.is_told)
    }
}

impl Mcp {
    /// What `caller` can be told at `place` now.
    pub(super) fn known(&self, caller: &Caller, place: &Place) -> Known {
        let catalog = self.gateway.catalog_builder().catalog();
        let offering = |kind| {
            let servers = place.servers(&catalog, caller).filter(|server| has_capability(server, kind));
            let servers = servers.map(|server| server.name.clone()).collect();
            Offering { servers, names: None, is_told: self.tells(caller, place, kind, "listChanged") }
        };
        let (mut prompts, resources) = (offering("prompts"), offering("resources"));
        prompts.names = (*place == Place::All).then(|| self.gateway.catalog_builder().namespace().clone());
        Known { tools: self.tool_list(caller, place, Era::Sessions), prompts, resources }
    }
}
