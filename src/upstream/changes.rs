//! Signals of changes at any server: its state and tools, and its prompts and resources.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::config::ServerName;
use crate::upstream::identity::IdentityKey;

/// News that may wait for a slow reader; beyond this the oldest is dropped.
const NEWS: usize = 1024;

/// Signals changes at any server.
#[derive(Debug)]
pub struct Changes {
    /// Some server's state or tools. The number has no meaning of its own.
    count: watch::Sender<u64>,
    news: broadcast::Sender<News>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { count: watch::Sender::new(0), news: broadcast::Sender::new(NEWS) }
    }
}

impl Changes {
    /// Signals that a server's state or tool list changed.
    pub fn signal(&self) {
        self.count.send_modify(|count| *count += 1);
    }

    /// Signals a change at `server` that no snapshot shows.
    pub(super) fn announce(&self, server: &ServerName, what: ChangeKind) {
        let _no_follower = self.news.send(News { server: server.clone(), what });
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

/// A change at a server, for clients that want its notifications.
#[derive(Debug, Clone)]
pub struct News {
    pub server: ServerName,
    pub what: ChangeKind,
}

/// The kind of a change at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// The tools that these clients are offered alone.
    ToolsOf(IdentityKey),
    Prompts,
    Resources,
    /// One resource that is subscribed to.
    Resource(Arc<str>),
    /// This user, of [`user_of`](super::oauth::users::user_of), has signed in to the server.
    SignedIn(Arc<str>),
}
