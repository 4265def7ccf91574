//! What a client with a session wishes to be told: log messages from a level on, and changes of resources.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::Mcp;
use super::answer::Fault;
use super::methods::{Asked, Era};
use super::place::Place;
use super::session::Session;
use super::stateless::LEVELS;
use super::way::Way;
use crate::gateway;
use crate::upstream::{Manner, ServerInfo, Upstream};

/// Resources that one session may follow.
pub const MOST_FOLLOWED: usize = 1024;

#[derive(Deserialize)]
struct Level {
    level: String,
}

#[derive(Deserialize)]
struct Resource {
    uri: String,
}

/// A resource that a session follows, until this is dropped.
#[derive(Debug)]
pub struct Followed {
    upstream: Arc<Upstream>,
    uri: Box<str>,
}

impl Followed {
    pub fn new(upstream: &Arc<Upstream>, uri: &str) -> Self {
        upstream.subscriptions().add(uri);
        Self { upstream: upstream.clone(), uri: uri.into() }
    }

    /// Whether it is the resource `uri` of `server`.
    pub fn is(&self, server: &str, uri: &str) -> bool {
        &*self.uri == uri && self.upstream.name().as_str() == server
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.upstream.subscriptions().remove(&self.uri);
    }
}

impl Mcp {
    /// `logging/setLevel`. From now on the session has connections of its own, since servers tell their log to a
    /// connection and not to a request; the one of this endpoint's server is told at once.
    pub(super) async fn set_log_level(
        &self,
        asked: &Asked<'_>,
        session: &Arc<Session>,
        params: &str,
    ) -> Result<Bytes, Fault> {
        let wanted: Level =
            serde_json::from_str(params).map_err(|_| Fault::invalid_params("`level` must be a text"))?;
        if !LEVELS.contains(&wanted.level.as_str()) {
            return Err(Fault::invalid_params(format!("`level` must be one of {}", LEVELS.join(", "))));
        }
        let client = session.client();
        client.set_log_level(wanted.level.into());
        if let Place::One(name) = asked.place
            && let Some(upstream) = self.upstream(name)
            && upstream.manner() == Manner::Sessions
            && let Some(side) = client.side()
        {
            // Opening the connection sets the level there, and a level that differs is a connection of its own.
            let way = Way {
                era: Era::Sessions,
                progress: None,
                client: Some(gateway::Client { side, hearing: client.clone() }),
                session: None,
            };
            self.pass_on(asked, &upstream, "ping", "{}", &way).await?;
        }
        Ok(Bytes::from_static(b"{}"))
    }

    /// `resources/subscribe` and its opposite. The server is asked once for all who follow the same resource.
    pub(super) async fn follow_resource(
        &self,
        asked: &Asked<'_>,
        session: &Arc<Session>,
        method: &str,
        params: &str,
    ) -> Result<Bytes, Fault> {
        let Resource { uri } =
            serde_json::from_str(params).map_err(|_| Fault::invalid_params("`uri` must be a text"))?;
        let Some((upstream, own)) = self.resource(asked, &uri) else {
            return Err(Fault::method_not_found(method));
        };
        if !offers_subscriptions(&upstream) {
            return Err(Fault::method_not_found(method));
        }
        if method == "resources/unsubscribe" {
            session.unfollow(&uri);
            return Ok(Bytes::from_static(b"{}"));
        }
        if session.follows() >= MOST_FOLLOWED {
            return Err(Fault::invalid_params(format!(
                "a session follows {MOST_FOLLOWED} resources at most"
            )));
        }
        if upstream.manner() == Manner::Sessions {
            let params = serde_json::json!({ "uri": own }).to_string();
            self.pass_on(asked, &upstream, method, &params, &Way::plain(Era::Sessions)).await?;
        }
        session.follow(&uri, Followed::new(&upstream, &own));
        Ok(Bytes::from_static(b"{}"))
    }

    /// The server that a resource is one of, and the server's own name for it.
    pub(super) fn resource(&self, asked: &Asked<'_>, uri: &str) -> Option<(Arc<Upstream>, String)> {
        match asked.place {
            Place::One(name) => Some((self.upstream(name)?, uri.to_owned())),
            Place::All => None,
        }
    }

    /// Whether a server of the endpoint tells when its list of `kind` changes.
    pub(super) fn tells(&self, asked: &Asked<'_>, kind: &str) -> bool {
        let catalog = self.gateway.keeper().catalog();
        let mut infos = catalog.servers.iter().filter(|server| {
            asked.caller.scope.allows_server(&server.name)
                && asked.place.server().is_none_or(|name| server.name.as_str() == name)
        });
        infos.any(|server| server.info.as_ref().is_some_and(|info| tells(info, kind)))
    }

    pub(super) fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        self.gateway.keeper().catalog().server(name).and_then(|server| server.upstream()).cloned()
    }
}

/// Whether the server tells when its list of `kind` (`prompts`, `resources`) changes.
pub fn tells(info: &ServerInfo, kind: &str) -> bool {
    let kind = info.capabilities.get(kind);
    kind.and_then(|kind| kind.get("listChanged")).and_then(serde_json::Value::as_bool) == Some(true)
}

/// Whether the server tells of changes of its resources.
pub fn offers_subscriptions(upstream: &Upstream) -> bool {
    let list = upstream.tools();
    let resources = list.as_ref().and_then(|list| list.info.capabilities.get("resources"));
    resources.and_then(|resources| resources.get("subscribe")).and_then(serde_json::Value::as_bool)
        == Some(true)
}
