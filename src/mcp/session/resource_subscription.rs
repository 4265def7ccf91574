//! A resource that a client follows.

use std::sync::Arc;

use crate::config::ServerName;
use crate::shares::Held;
use crate::upstream::{Subscriptions, Upstream};

/// Resources that one session may follow.
pub const MOST_FOLLOWED: usize = 1024;

/// A resource that a client follows, until the value is dropped.
#[derive(Debug)]
pub struct ResourceSubscription {
    server: ServerName,
    /// The server's subscriptions, which outlive a change of its entry.
    subscriptions: Arc<Subscriptions>,
    uri: Box<str>,
    /// The client's name for the resource.
    shown: Box<str>,
    _held: Held,
}

impl ResourceSubscription {
    /// `held` is its part of the caller's share.
    pub fn new(upstream: &Arc<Upstream>, uri: &str, shown: &str, held: Held) -> Self {
        let (server, subscriptions) = (upstream.name().clone(), upstream.subscriptions().clone());
        subscriptions.add(uri);
        Self { server, subscriptions, uri: uri.into(), shown: shown.into(), _held: held }
    }

    /// The client's name for the resource `uri` of `server`, if it is this resource or a part of it.
    ///
    /// Servers may name a part instead (2025-11-25, schema, `ResourceUpdatedNotification`).
    pub fn shown(&self, server: &str, uri: &str) -> Option<String> {
        let rest = uri.strip_prefix(&*self.uri).filter(|_| self.server.as_str() == server)?;
        let is_part = rest.is_empty() || rest.starts_with('/') || self.uri.ends_with('/');
        is_part.then(|| format!("{}{rest}", self.shown))
    }
}

impl Drop for ResourceSubscription {
    fn drop(&mut self) {
        self.subscriptions.remove(&self.uri);
    }
}
