//! The capabilities of servers that the endpoints act on.

use serde_json::Value;

use super::endpoint::Endpoint;
use super::state::Mcp;
use crate::catalog::{Caller, CatalogServer};
use crate::upstream::{ServerInfo, Upstream};

/// Whether the server declared `capability` when it was connected last.
pub fn has(server: &CatalogServer, capability: &str) -> bool {
    server.info.as_ref().is_some_and(|info| info.capabilities.contains_key(capability))
}

/// Whether any server of the endpoint declares `what` of the capability `kind`.
pub fn any_sends(mcp: &Mcp, caller: &Caller, endpoint: &Endpoint, kind: &str, what: &str) -> bool {
    let catalog = mcp.gateway.catalog_builder().catalog();
    let mut infos = endpoint.servers(&catalog, caller).filter_map(|server| server.info.as_ref());
    infos.any(|info| sends(info, kind, what))
}

/// Whether clients can subscribe to the server's resources. Subscriptions go over the connection that all share, so that an
/// isolated server has none: its callers' resources are elsewhere.
pub fn offers_subscriptions(upstream: &Upstream) -> bool {
    !upstream.isolation().is_on()
        && upstream.tools().is_some_and(|list| sends(&list.info, "resources", "subscribe"))
}

fn sends(info: &ServerInfo, kind: &str, what: &str) -> bool {
    info.capabilities.get(kind).and_then(|kind| kind.get(what)).and_then(Value::as_bool) == Some(true)
}
