//! A resource that a client follows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::shares::Held;
use crate::upstream::{Subscriptions, Upstream};

/// Resources that one session may follow.
pub const MOST_FOLLOWED: usize = 1024;

/// A resource of a server, under the names of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowedResource {
    pub server: Box<str>,
    pub uri: Box<str>,
    /// The client's name for the resource.
    pub shown: Box<str>,
}

/// A resource that a client follows, until the value is dropped.
#[derive(Debug)]
pub struct ResourceSubscription {
    pub resource: FollowedResource,
    /// The server's subscriptions, which outlive a change of its entry.
    subscriptions: Arc<Subscriptions>,
    _held: Held,
}

impl ResourceSubscription {
    /// `held` is its part of the caller's share.
    pub fn new(upstream: &Arc<Upstream>, uri: &str, shown: &str, held: Held) -> Self {
        let (server, subscriptions) = (upstream.name().as_str().into(), upstream.subscriptions().clone());
        subscriptions.add(uri);
        let resource = FollowedResource { server, uri: uri.into(), shown: shown.into() };
        Self { resource, subscriptions, _held: held }
    }

    /// The client's name for the resource `uri` of `server`, if it is this resource or a part of it.
    ///
    /// Servers may name a part instead (2025-11-25, schema, `ResourceUpdatedNotification`).
    pub fn shown(&self, server: &str, uri: &str) -> Option<String> {
        let own = &self.resource;
        let rest = uri.strip_prefix(&*own.uri).filter(|_| &*own.server == server)?;
        let is_part = rest.is_empty() || rest.starts_with('/') || own.uri.ends_with('/');
        is_part.then(|| format!("{}{rest}", own.shown))
    }
}

impl Drop for ResourceSubscription {
    fn drop(&mut self) {
        self.subscriptions.remove(&self.resource.uri);
    }
}
