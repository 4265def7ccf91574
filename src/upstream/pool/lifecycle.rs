//! One dedicated connection from its opening to its end, and its place among the others of its server.

use std::sync::Arc;

use futures_util::future::OptionFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::shares::Principal;
use crate::upstream::availability::TRY_AGAIN;
use crate::upstream::error::CloseReason;
use crate::upstream::identity::{Identity, IdentityKey};
use crate::upstream::pool::connect::{Connect, DedicatedConnection};
use crate::upstream::pool::entries::{ConnectOutcome, LeasedConnection, PoolEntries, PoolState};
use crate::upstream::pool::usage::Usage;

/// Keeps one connection from its opening to its end.
pub(super) async fn keep_connection(
    member: Member,
    connector: Arc<dyn Connect>,
    identity: Identity,
    outcome: watch::Sender<ConnectOutcome>,
    closing: CancellationToken,
) {
    let fail = |reason| {
        outcome.send_replace(ConnectOutcome::Failed { reason: Arc::new(reason), at: Instant::now() });
    };
    let admitting = async {
        match &member.pool.processes {
            Some(processes) => processes.admit(identity.principal(), &member.usage).await.map(Some),
            None => Ok(None),
        }
    };
    let _process = match closing.run_until_cancelled(admitting).await {
        Some(Ok(process)) => process,
        Some(Err(exceeded)) => {
            // Not kept: a process may have become free when the next call comes.
            drop(member);
            return fail(CloseReason::AllInUse(Box::new(exceeded)));
        }
        None => return fail(CloseReason::Stopping),
    };
    match connector.open(&identity, &closing).await {
        Ok(dedicated) => {
            let (connection, relay, log) = (&dedicated.connection, &dedicated.relay, &dedicated.log);
            let open =
                LeasedConnection { connection: connection.clone(), relay: relay.clone(), log: log.clone() };
            outcome.send_replace(ConnectOutcome::Open(open));
            let probing = async {
                connector.probe(&identity, &dedicated).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = member.serve(&dedicated, &identity, &closing) => {}
                () = probing => {}
            }
            // Before the end is awaited: the next call gets a new connection.
            member.forget(&mut member.pool.entries());
            dedicated.close(&member.pool.server).await;
        }
        Err(reason) => {
            fail(reason);
            closing.run_until_cancelled(sleep(TRY_AGAIN)).await;
        }
    }
}

/// The slot of a connection in the pool, until it is dropped.
pub(super) struct Member {
    pub(super) pool: Arc<PoolState>,
    pub(super) key: IdentityKey,
    pub(super) serial: u64,
    pub(super) principal: Principal,
    pub(super) usage: Arc<Usage>,
}

impl Member {
    /// Returns when the connection has ended, is to end, or was unused for long enough.
    async fn serve(&self, dedicated: &DedicatedConnection, identity: &Identity, closing: &CancellationToken) {
        let mut session = identity.ended().cloned();
        let mut look_again = Instant::now() + self.pool.entries().idle;
        loop {
            tokio::select! {
                _ = dedicated.connection.end().wait() => return,
                () = closing.cancelled() => return,
                // Calls that still use it are the last.
                Some(()) = OptionFuture::from(session.as_ref().map(|session| session.cancelled())) => {
                    self.usage.end();
                    session = None;
                }
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
        let now = Instant::now();
        let until = self.usage.unused_since().unwrap_or(now) + entries.idle;
        if until <= now && self.usage.end_if_unused() {
            self.forget(&mut entries);
            return None;
        }
        Some(until)
    }

    /// Lets the next call get a new connection.
    fn forget(&self, entries: &mut PoolEntries) {
        if entries.by_key.get(&self.key).is_some_and(|entry| entry.serial == self.serial) {
            entries.by_key.remove(&self.key);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut entries = self.pool.entries();
        self.forget(&mut entries);
        if let Some(count) = entries.tended.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                entries.tended.remove(&self.principal);
            }
        }
    }
}
