//! The state of the accept loop: the edge of one configuration, and the bounds of its connections.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::DropGuard;

use super::super::layers::Edge;
use crate::config::LimitsConfig;

/// The bounds of the loop.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// Open connections at one time; further ones wait in the system's backlog.
    pub connections: usize,
    /// How long a client may take for the TLS handshake, and from there to its first whole request head.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests, or take nothing of an answer, at least.
    pub idle_timeout: Duration,
    /// How long requests in flight may go on after the shutdown was asked for.
    pub drain: Duration,
}

impl From<&LimitsConfig> for ServeOptions {
    fn from(limits: &LimitsConfig) -> Self {
        Self {
            connections: limits.connections,
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            drain: limits.drain,
        }
    }
}

/// The edge of one configuration. A reload swaps it in whole: each request is answered by the configuration that it
/// began under.
#[derive(Debug)]
pub struct Served {
    pub edge: Edge,
    pub options: ServeOptions,
    /// Cancels its token once the last request of this configuration has been answered.
    pub ended: DropGuard,
}

/// The configuration that is served now.
pub type Serving = Arc<ArcSwap<Served>>;
