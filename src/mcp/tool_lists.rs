//! The list of tools at an endpoint: that of everybody or the client's own, with room among the results of all callers.

use std::sync::Arc;

use arc_swap::Guard;
use bytes::Bytes;
use tokio::time::timeout;

use super::Mcp;
use super::answer::Fault;
use super::era::LIST_TTL;
use super::methods::Asked;
use super::place::Place;
use super::way::Way;
use crate::catalog::{Caller, Catalog};
use crate::compute;
use crate::config::ServerName;
use crate::memory_budget::{Reservation, SMALL};
use crate::protocol::Era;
use crate::upstream::Freshness;
use crate::upstream::transport::intake;

/// From so many tools on, their list is written apart from the workers.
const MANY_TOOLS: usize = 256;

impl Mcp {
    pub(super) async fn list_tools(&self, asked: &Asked<'_>, way: &Way) -> Result<Bytes, Fault> {
        self.first_outcomes(asked).await;
        let era = way.era;
        let shared = self.tool_list_apart(asked, era).await;
        // A list of the client's own is much the same, so the length of the shared one tells what either takes.
        let room = self.room_for(asked, shared.len()).await?;
        let own = match &way.client {
            Some(client) => self.own_tool_list(asked, client, era).await,
            None => None,
        };
        let is_own = own.is_some();
        let list = own.unwrap_or(shared);
        let mut text = Vec::with_capacity(list.len() + 10);
        text.extend_from_slice(b"{\"tools\":");
        text.extend_from_slice(&list);
        if way.era == Era::Stateless {
            text.extend_from_slice(self.freshness(asked, is_own).as_bytes());
        }
        text.push(b'}');
        Ok(kept(room, text.into()))
    }

    /// Waits for room among the results of all callers, for a list of so many bytes; a small one needs none.
    ///
    /// # Errors
    ///
    /// When others leave no room.
    pub(super) async fn room_for(
        &self,
        asked: &Asked<'_>,
        bytes: usize,
    ) -> Result<Option<Arc<Reservation>>, Fault> {
        if bytes <= SMALL {
            return Ok(None);
        }
        let share = self.gateway.results().reserve(&asked.caller.key_name, bytes);
        let share = timeout(intake::PATIENCE, share).await;
        share.map(|share| Some(Arc::new(share))).map_err(|_| Fault::no_room(intake::PATIENCE))
    }

    /// How long a list of tools may be kept, and by whom, as the members that say so: the shortest time and the narrowest
    /// circle of its servers; a list of the client's own is private.
    fn freshness(&self, asked: &Asked<'_>, is_own: bool) -> String {
        let catalog = self.gateway.catalog_builder().catalog();
        let listed = asked.place.servers(&catalog, asked.caller).filter_map(|server| server.info.as_ref());
        let freshness = listed.fold(Freshness::default(), |all, info| all.and(info.freshness));
        let ttl = freshness.ttl.unwrap_or(u64::from(LIST_TTL)).min(u64::from(LIST_TTL));
        let scope = if self.is_open() && !is_own && !freshness.is_private { "public" } else { "private" };
        format!(",\"ttlMs\":{ttl},\"cacheScope\":\"{scope}\"")
    }

    /// The same as [`Self::tool_list`] without keeping the worker: the text of ten thousand tools takes a while to write.
    async fn tool_list_apart(&self, asked: &Asked<'_>, era: Era) -> Bytes {
        let catalog = Guard::into_inner(self.gateway.catalog_builder().catalog());
        let tools: usize = catalog.servers.iter().map(|server| server.tools.len()).sum();
        let (caller, place) = (asked.caller.clone(), asked.place.clone());
        let list = move || tool_list(&catalog, &caller, &place, era);
        if tools <= MANY_TOOLS { list() } else { compute::run(asked.caller.owner("mcp"), list).await }
    }

    /// The JSON text of the tools that `caller`, a client of `era`, sees at `place`.
    pub(super) fn tool_list(&self, caller: &Caller, place: &Place, era: Era) -> Bytes {
        tool_list(&self.gateway.catalog_builder().catalog(), caller, place, era)
    }

    /// Waits, for a few seconds at most, until the servers of the endpoint have been heard of.
    pub(super) async fn first_outcomes(&self, asked: &Asked<'_>) {
        let concerns = |name: &ServerName| match asked.place {
            Place::All => asked.caller.scope.allows_server(name),
            Place::One(server) => name.as_str() == server,
        };
        self.gateway.catalog_builder().first_outcomes(concerns).await;
    }
}

/// `list`, which gives its room back when it is dropped.
pub fn kept(room: Option<Arc<Reservation>>, list: Bytes) -> Bytes {
    match room {
        Some(room) => room.held_by(list),
        None => list,
    }
}

fn tool_list(catalog: &Catalog, caller: &Caller, place: &Place, era: Era) -> Bytes {
    match place {
        Place::All => catalog.tool_list(&caller.scope, era),
        Place::One(name) => catalog.tool_list_of(&caller.scope, era, name),
    }
}
