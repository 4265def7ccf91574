//! What outlives a configuration: the sessions, and the way for open streams to the configuration that is served now.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Mcp;
use super::parked::Parked;
use super::sessions::Sessions;
use crate::catalog::definition::Told;
use crate::shares::{Ledger, Thing};

/// Shared by the faces of all configurations, one after the other.
#[derive(Debug)]
pub struct Shared {
    pub(super) sessions: Sessions,
    pub(super) parked: Arc<Parked>,
    /// Streams that wait for changes.
    pub(super) listeners: Arc<Ledger>,
    /// Resources that clients follow.
    pub(super) followed: Arc<Ledger>,
    /// What was told of odd definitions.
    pub(super) told: Told,
    pub(super) current: watch::Sender<Option<Arc<Mcp>>>,
    /// Cancelled when the gateway begins to stop: streams close then, so that nobody waits for them.
    pub(super) closing: CancellationToken,
    /// Requests that go on without their client; all end soon after `closing`, once nobody reads their answers.
    pub(super) tasks: TaskTracker,
}

impl Shared {
    /// `tasks` are waited for at the end of the gateway, before its servers end.
    pub fn new(closing: CancellationToken, tasks: TaskTracker) -> Self {
        Self {
            sessions: Sessions::default(),
            parked: Arc::default(),
            listeners: Ledger::new(Thing { setting: "listeners", plural: "streams that wait for changes" }),
            followed: Ledger::new(Thing { setting: "followed", plural: "resources that they follow" }),
            told: Told::default(),
            current: watch::Sender::new(None),
            closing,
            tasks,
        }
    }

    /// `face` is served from now on. Open streams follow it; what belongs to keys that are no longer good ends.
    pub fn serve(&self, face: Arc<Mcp>) {
        let Some(before) = self.current.send_replace(Some(face.clone())) else { return };
        for name in before.keys.ended_by(&face.keys) {
            tracing::info!(
                "the key {name} has another value or is gone: its sessions and waiting requests end"
            );
            self.sessions.end_of(&name);
            self.parked.end_of(&name);
        }
    }
}
