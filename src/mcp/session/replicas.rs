//! The table of sessions beside those of other replicas.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::clock::now;
use super::outlived::SessionEvent;
use super::sealed::{SealedSession, ShortDigest, shortened};
use super::shared::{SESSIONS, SharedSession, SharedSessions, ended_in};
use super::state::Session;
use super::table::{Sessions, USES_WRITTEN};
use crate::json::hex;
use crate::shared_store::StoreEvent;
use crate::sync::lock;

impl Sessions {
    /// Whether there are other replicas to ask.
    pub fn is_shared(&self) -> bool {
        self.shared.get().is_some()
    }

    /// Asks the store about the session `id`, if it is not in use here. While the store is away this replica's own knowledge
    /// counts. Says whether the store may know interests of the session, too.
    pub async fn learn(&self, id: &[u8]) -> bool {
        let Some(shared) = self.shared.get() else { return false };
        let (idle, open) = (self.idle.load(Ordering::Relaxed), self.open_session(id));
        if let Some(open) = open.as_ref().filter(|open| !open.rests(idle, now())) {
            return open.lacks_interests();
        }
        if SealedSession::open(id, &self.sealer).is_none() {
            return false;
        }
        let session = shortened(Sha256::digest(id).into());
        match shared.session(&session).await {
            Ok(SharedSession::Ended) => lock(&self.outlived).note(SessionEvent::Ended, session, now()),
            Ok(SharedSession::RestsUntil(until)) => {
                let used = until.saturating_mul(1000).saturating_sub(idle);
                match open {
                    Some(open) => open.touch(used),
                    None => lock(&self.outlived).note(SessionEvent::Used, session, used),
                }
            }
            Ok(SharedSession::Unknown) | Err(_) => {}
        }
        true
    }

    /// Tells the other replicas of ends and uses, and takes theirs up, until `stop`.
    pub(super) async fn keep_in_store(&self, stop: CancellationToken) {
        let Some(shared) = self.shared.get() else { return };
        let mut events = shared.store.subscribe();
        let mut minutes = interval_at(Instant::now() + USES_WRITTEN, USES_WRITTEN);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = shared.some.notified() => self.tell_ends().await,
                _ = minutes.tick() => {
                    self.tell_uses(shared).await;
                    self.forget_what_is_over();
                }
                event = events.recv() => match event {
                    Ok(StoreEvent::Told { topic, message }) if &*topic == SESSIONS => {
                        self.end_elsewhere(&ended_in(&message));
                    }
                    Ok(StoreEvent::Connected) => {
                        // It may have lost what it knew.
                        self.told.store(0, Ordering::Relaxed);
                        self.tell_uses(shared).await;
                        self.tell_ends().await;
                        self.take_up_ends(shared).await;
                    }
                    Err(RecvError::Lagged(_)) => self.take_up_ends(shared).await,
                    Ok(StoreEvent::Told { .. }) => {}
                    Err(RecvError::Closed) => break,
                },
            }
        }
        self.tell_uses(shared).await;
        self.tell_ends().await;
    }

    /// Tells the other replicas which sessions have ended here.
    pub(super) async fn tell_ends(&self) {
        let idle = self.idle.load(Ordering::Relaxed);
        if let Some(shared) = self.shared.get() {
            shared.tell_ends(now().saturating_add(idle).div_ceil(1000)).await;
        }
    }

    async fn tell_uses(&self, shared: &SharedSessions) {
        let (idle, now) = (self.idle.load(Ordering::Relaxed), now());
        let since = self.told.swap(now, Ordering::Relaxed);
        let uses = self.used_since(since, now);
        let until = |used: u64| used.saturating_add(idle).div_ceil(1000);
        let uses: Vec<(ShortDigest, u64)> =
            uses.into_iter().map(|(session, used)| (session, until(used))).collect();
        if shared.note_uses(&uses).await.is_err() {
            self.told.store(since, Ordering::Relaxed);
        }
    }

    /// Ends the open sessions whose end at another replica this one may have missed.
    async fn take_up_ends(&self, shared: &SharedSessions) {
        // When it fails, the store is away, and all is compared when it is back.
        let Ok(ended) = shared.ended().await else { return };
        let open = self.used_since(0, now()).into_iter().map(|(session, _)| session);
        self.end_elsewhere(&open.filter(|session| ended.contains(&hex(session))).collect());
    }

    /// Ends the sessions that have ended at another replica.
    fn end_elsewhere(&self, ended: &HashSet<ShortDigest>) {
        let now = now();
        {
            let mut outlived = lock(&self.outlived);
            ended.iter().for_each(|session| outlived.note(SessionEvent::Ended, *session, now));
        }
        let is_ended = |session: &Session| ended.contains(&session.client.digest());
        self.all(is_ended).iter().for_each(|session| self.end(session));
    }
}
