//! Keeps a server with sessions informed of the resources that somebody follows: what is followed now is asked for, over
//! a new connection all of it, and what nobody follows any longer is given up. A session that begins to follow asks by
//! itself before, to be told of a refusal; asking twice is harmless.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::Upstream;
use super::link::Link;
use super::request::{Manner, Request, What};
use super::subscriptions::Subscriptions;

/// One connection's share of it.
pub struct Following<'a> {
    subscriptions: &'a Subscriptions,
    link: &'a dyn Link,
    changed: watch::Receiver<u64>,
    /// What the server was asked for over this connection.
    told: BTreeSet<Arc<str>>,
    is_new: bool,
}

impl<'a> Following<'a> {
    pub fn new(upstream: &'a Upstream, link: &'a dyn Link) -> Self {
        let subscriptions = upstream.subscriptions();
        Self { subscriptions, link, changed: subscriptions.changed(), told: BTreeSet::new(), is_new: true }
    }

    /// Waits for the next change and tells the server of it. May be dropped and called again.
    pub async fn follow(&mut self) {
        if !self.is_new && self.changed.changed().await.is_err() {
            return std::future::pending().await;
        }
        let is_told_otherwise = self.link.speech().manner() == Manner::Stateless;
        let now: BTreeSet<Arc<str>> = self.subscriptions.uris().into_iter().collect();
        if !is_told_otherwise {
            for uri in now.difference(&self.told) {
                self.tell("resources/subscribe", uri).await;
            }
            for uri in self.told.difference(&now) {
                self.tell("resources/unsubscribe", uri).await;
            }
        }
        self.is_new = false;
        self.told = now;
    }

    async fn tell(&self, method: &str, uri: &str) {
        let members = format!("\"uri\":{}", serde_json::Value::from(uri));
        let what = What::Other { method, members: members.as_bytes(), name: Some(uri) };
        if let Err(error) = self.link.request(Request::plain(what), None).await {
            tracing::debug!(%error, "{method} was not answered");
        }
    }
}
