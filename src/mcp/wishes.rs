//! What a client with a session wishes to be told: log messages from a level on, and changes of resources.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde::Deserialize;
use tokio::time::timeout;

use super::Mcp;
use super::all::resource_not_found;
use super::answer::{Fault, SHARE_EXCEEDED};
use super::methods::Asked;
use super::place::Place;
use super::session::Session;
use super::stateless::LEVELS;
use super::way::Way;
use crate::catalog::Caller;
use crate::config::ServerName;
use crate::gateway;
use crate::protocol::{Era, method};
use crate::shares::{Exceeded, Held};
use crate::upstream::{ServerInfo, Subscriptions, Upstream};

/// How long all servers together may take to hear of another level of their log.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// The longest name of a resource that can be followed, in bytes: it is kept for as long.
const LONGEST_URI: usize = 4096;
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

/// A resource that a client follows, until this is dropped.
#[derive(Debug)]
pub struct Followed {
    server: ServerName,
    /// Those of the server; they outlive a change of its entry.
    subscriptions: Arc<Subscriptions>,
    uri: Box<str>,
    /// The name that the client has for it.
    shown: Box<str>,
    _held: Held,
}

impl Followed {
    /// `held` is its part of the caller's share.
    pub fn new(upstream: &Arc<Upstream>, uri: &str, shown: &str, held: Held) -> Self {
        let (server, subscriptions) = (upstream.name().clone(), upstream.subscriptions().clone());
        subscriptions.add(uri);
        Self { server, subscriptions, uri: uri.into(), shown: shown.into(), _held: held }
    }

    /// The name that the client has for the resource `uri` of `server`, if it is this one or a part of it, which servers
    /// may name instead (2025-11-25, schema, `ResourceUpdatedNotification`).
    pub fn shown(&self, server: &str, uri: &str) -> Option<String> {
        let rest = uri.strip_prefix(&*self.uri).filter(|_| self.server.as_str() == server)?;
        let is_part = rest.is_empty() || rest.starts_with('/') || self.uri.ends_with('/');
        is_part.then(|| format!("{}{rest}", self.shown))
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.subscriptions.remove(&self.uri);
    }
}

impl Mcp {
    /// `logging/setLevel`. From now on the session has connections of its own, since servers tell their log to a
    /// connection and not to a request. Those that are open are told the level at once, the others when they are opened;
    /// at the endpoint of one server, its is opened now.
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
        let Some(side) = client.side() else { return Ok(Bytes::from_static(b"{}")) };
        let context = self.forwarding_context(asked);
        let principal = asked.caller.principal();
        let identity = |upstream: &Upstream| upstream.identity(&principal, &context.forwarded);
        let concerned: Vec<Arc<Upstream>> = {
            let catalog = self.gateway.catalog_builder().catalog();
            let upstreams =
                asked.place.servers(&catalog, asked.caller).filter_map(|server| server.upstream());
            let is_told = |upstream: &&Arc<Upstream>| {
                upstream.era() == Era::Sessions
                    && (*asked.place != Place::All
                        || upstream.own_relay(identity(upstream).as_ref(), &side).is_some())
            };
            upstreams.filter(is_told).cloned().collect()
        };
        // Whatever is asked over the connection, the level is told before.
        if *asked.place == Place::All {
            // They are open already; one that hangs is told when it is used next.
            let told = concerned.iter().map(|upstream| {
                let identity = identity(upstream);
                let side = &side;
                async move { upstream.connection(identity.as_ref(), Some(side)).await.map(drop) }
            });
            let _told_later = timeout(TOLD_WITHIN, join_all(told)).await;
            return Ok(Bytes::from_static(b"{}"));
        }
        let way = Way {
            client: Some(gateway::Client { side, hearing: client.clone() }),
            ..Way::plain(Era::Sessions)
        };
        for upstream in &concerned {
            self.pass_on(asked, upstream, method::PING, "{}", &way).await?;
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
        let is_end = method == method::RESOURCES_UNSUBSCRIBE;
        // Also of a server that is there no more.
        if is_end && session.unfollow(&uri) {
            return Ok(Bytes::from_static(b"{}"));
        }
        if !self.tells(asked.caller, asked.place, "resources", "subscribe") {
            return Err(Fault::method_not_found(method));
        }
        let Some((upstream, own)) = self.resource(asked, &uri) else {
            return Err(resource_not_found(Era::Sessions, &uri));
        };
        if !offers_subscriptions(&upstream) {
            let name = upstream.name();
            return Err(Fault::invalid_params(format!("{name} does not tell of changes of its resources")));
        }
        if is_end {
            return Ok(Bytes::from_static(b"{}"));
        }
        if session.follows() >= MOST_FOLLOWED {
            return Err(Fault::invalid_params(format!(
                "a session follows {MOST_FOLLOWED} resources at most"
            )));
        }
        let held = self.follow_one_more(asked.caller, &uri)?;
        if upstream.era() == Era::Sessions {
            let params = serde_json::json!({ "uri": own }).to_string();
            self.pass_on(asked, &upstream, method, &params, &Way::plain(Era::Sessions)).await?;
        }
        session.follow(&uri, Followed::new(&upstream, &own, &uri, held));
        Ok(Bytes::from_static(b"{}"))
    }

    /// The part of the caller's share that one more resource takes.
    ///
    /// # Errors
    ///
    /// The caller follows as many as it may, or the name is too long to be kept.
    pub(super) fn follow_one_more(&self, caller: &Caller, uri: &str) -> Result<Held, Fault> {
        if uri.len() > LONGEST_URI {
            return Err(Fault::invalid_params(format!("`uri` may have {LONGEST_URI} bytes at most")));
        }
        let taken = self.shared.followed.take(&caller.principal(), self.shares.followed());
        taken.map_err(|exceeded| self.refused(&exceeded))
    }

    /// The part of the caller's share that one more stream takes.
    pub(super) fn listen_once_more(&self, caller: &Caller) -> Result<Held, Fault> {
        let taken = self.shared.listeners.take(&caller.principal(), self.shares.listeners());
        taken.map_err(|exceeded| self.refused(&exceeded))
    }

    /// The refusal of a caller that holds as much of a thing as it may.
    fn refused(&self, exceeded: &Exceeded) -> Fault {
        self.gateway.metrics().http().refused(SHARE_EXCEEDED);
        Fault::exceeded(exceeded)
    }

    /// The server that a resource is one of, and the server's own name for it.
    pub(super) fn resource(&self, asked: &Asked<'_>, uri: &str) -> Option<(Arc<Upstream>, String)> {
        match asked.place {
            Place::One(name) => Some((self.upstream(name)?, uri.to_owned())),
            Place::All => {
                self.find_uri(asked.caller, uri).map(|(upstream, own)| (upstream, own.into_owned()))
            }
        }
    }

    /// Whether a server of the endpoint says that it tells `what` (`listChanged`, `subscribe`) of `kind` (`prompts`,
    /// `resources`).
    pub(super) fn tells(&self, caller: &Caller, place: &Place, kind: &str, what: &str) -> bool {
        let catalog = self.gateway.catalog_builder().catalog();
        let mut infos = place.servers(&catalog, caller).filter_map(|server| server.info.as_ref());
        infos.any(|info| tells(info, kind, what))
    }

    pub(super) fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        self.gateway.catalog_builder().catalog().server(name).and_then(|server| server.upstream()).cloned()
    }
}

/// Whether the server says that it tells `what` of `kind`.
fn tells(info: &ServerInfo, kind: &str, what: &str) -> bool {
    let kind = info.capabilities.get(kind);
    kind.and_then(|kind| kind.get(what)).and_then(serde_json::Value::as_bool) == Some(true)
}

/// Whether the server tells of changes of its resources.
pub fn offers_subscriptions(upstream: &Upstream) -> bool {
    upstream.tools().is_some_and(|list| tells(&list.info, "resources", "subscribe"))
}
