//! One dedicated connection from its opening to its end, and its place among the others of its server.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Open, Outcome, Pool};
use crate::upstream::TRY_AGAIN;
use crate::upstream::dedicated::{Dedicated, Opener};
use crate::upstream::identity::{Identity, IdentityKey};

/// Keeps one connection from its opening to its end.
pub(super) async fn tend(
    place: Place,
    opener: Arc<dyn Opener>,
    identity: Identity,
    tell: watch::Sender<Outcome>,
    closing: CancellationToken,
) {
    match opener.open(&identity, &closing).await {
        Ok(dedicated) => {
            let (link, relay, log) = (&dedicated.link, &dedicated.relay, &dedicated.log);
            let open = Open { link: link.clone(), relay: relay.clone(), log: log.clone() };
            tell.send_replace(Outcome::Open(open));
            let exploring = async {
                opener.explore(&identity, &*dedicated.link).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = place.serve(&dedicated, &closing) => {}
                () = exploring => {}
            }
            // Before the end is awaited: the next call gets a new connection.
            drop(place);
            dedicated.close().await;
        }
        Err(reason) => {
            let at = Instant::now();
            tell.send_replace(Outcome::Failed { reason: Arc::new(reason), at });
            closing.run_until_cancelled(sleep_until(at + TRY_AGAIN)).await;
        }
    }
}

/// Where a task stands in the pool, until it is dropped.
pub(super) struct Place {
    pub(super) pool: Arc<Pool>,
    pub(super) key: IdentityKey,
    pub(super) serial: u64,
}

impl Place {
    /// Returns when the connection has ended, is to end, or was unused for long enough.
    async fn serve(&self, dedicated: &Dedicated, closing: &CancellationToken) {
        let mut look_again = Instant::now() + self.pool.entries().idle;
        loop {
            tokio::select! {
                _ = dedicated.link.end().wait() => return,
                () = closing.cancelled() => return,
                () = sleep_until(look_again) => match self.unused_until() {
                    Some(until) => look_again = until,
                    None => return,
                },
            }
        }
    }

    /// When the connection is to be ended unless it is used before; `None` when that is now, and done.
    fn unused_until(&self) -> Option<Instant> {
        let mut entries = self.pool.entries();
        let entry = entries.by_key.get(&self.key).filter(|entry| entry.serial == self.serial)?;
        let now = Instant::now();
        let until = if entry.users > 0 { now } else { entry.used_at } + entries.idle;
        if until <= now {
            entries.by_key.remove(&self.key);
            return None;
        }
        Some(until)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.pool.entries();
        if entries.by_key.get(&self.key).is_some_and(|entry| entry.serial == self.serial) {
            entries.by_key.remove(&self.key);
        }
    }
}
