//! Tells what has changed at any server: its state and tools, and its prompts and resources.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::identity::IdentityKey;
use crate::config::ServerName;

/// News that may wait for a slow reader, who misses the oldest beyond this.
const NEWS: usize = 1024;

/// Tells what has changed at any server.
#[derive(Debug)]
pub struct Changes {
    /// Some server's state or tools. The number has no meaning of its own.
    count: watch::Sender<u64>,
    pub(super) news: NewsFeed,
}

impl Default for Changes {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), news: NewsFeed::new(NEWS) }
    }
}

impl Changes {
    /// Some server's state or tools are others now.
    pub fn tell(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Something at `server` that no snapshot shows is another now.
    pub(super) fn announce(&self, server: &ServerName, what: Change) {
        let _nobody_follows = self.news.send(News { server: server.clone(), what });
    }

    /// Follows the states and tools of all servers.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }

    /// Follows the prompts and resources of all servers.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }
}

/// What has changed at a server, for clients that follow it.
#[derive(Debug, Clone)]
pub struct News {
    pub server: ServerName,
    pub what: Change,
}

/// See [`News`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The tools that these clients are offered alone.
    ToolsOf(IdentityKey),
    Prompts,
    Resources,
    /// One resource that is subscribed to.
    Resource(Arc<str>),
}

/// Where the news of all servers go.
pub type NewsFeed = broadcast::Sender<News>;
