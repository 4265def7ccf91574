//! The interests of clients in the store that replicas share: followed resources, and the level of the log.
//!
//! Each session has a name there, with one sealed member for each interest, so that its replicas may change it at once. A
//! change is answered when the store has it. The other replicas are told, and one that has the session open takes it up; a
//! replica that opens the session again asks for all of it.
//!
//! While the store is away a change counts at its own replica, and the store is told when it is back.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::clock::now;
use super::interest::{Interest, StoredInterest};
use super::resource_subscription::{FollowedResource, MOST_FOLLOWED, ResourceSubscription};
use super::shared::INTERESTS;
use super::state::Session;
use super::table::{Sessions, USES_WRITTEN};
use crate::json::hex;
use crate::seal::SealSecrets;
use crate::shared_store::{MemberValue, SealedValues, SharedStore, StoreAway, StoreEvent};
use crate::shares::Principal;

/// Changes of one session that wait for a store that is away; it is told of no further ones.
const MOST_UNTOLD: usize = 2 * MOST_FOLLOWED;

/// Follows a resource for this principal as the configuration is now, if it can be followed.
pub type Follow = Box<dyn Fn(&Principal, &FollowedResource) -> Option<ResourceSubscription> + Send + Sync>;

/// The interests in the store.
pub struct SharedInterests {
    values: SealedValues,
    sessions: Arc<Sessions>,
    follow: Follow,
    /// When the life of the interests of sessions in use was prolonged last.
    prolonged: AtomicU64,
}

impl SharedInterests {
    /// Of `sessions`, in `store`.
    pub fn new(
        store: &Arc<SharedStore>,
        secrets: &SealSecrets,
        sessions: Arc<Sessions>,
        follow: Follow,
    ) -> Self {
        let values = SealedValues::new(store, secrets, INTERESTS);
        Self { values, sessions, follow, prolonged: AtomicU64::new(now()) }
    }

    /// Makes a `change` of `interest` here, and tells the store and the replicas.
    pub async fn change<T>(&self, session: &Session, interest: Interest, change: impl FnOnce() -> T) -> T {
        let mut untold = session.untold.lock().await;
        let changed = change();
        if untold.len() < MOST_UNTOLD {
            untold.insert(interest);
        }
        // Else the store is away, and is told when it is back.
        if self.tell(session, &mut untold, &[]).await.is_ok() {
            let _told_when_it_is_back = self.publish(session).await;
        }
        changed
    }

    /// Takes up what other replicas know of a session that is open again.
    pub async fn recall(&self, session: &Session) {
        let mut untold = session.untold.lock().await;
        // Another request may have done it meanwhile.
        if session.lacks_interests() {
            // When it fails, the store is away, and all is compared when it is back.
            let _told_by_the_store = self.take_up(session, &mut untold, &[]).await;
            session.interests_are_taken_up();
        }
    }

    /// Takes up the changes of other replicas, and keeps the interests of sessions in use, until `stop`.
    pub async fn keep(&self, stop: CancellationToken) {
        let mut events = self.values.store.subscribe();
        let mut minutes = interval_at(Instant::now() + USES_WRITTEN, USES_WRITTEN);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                _ = minutes.tick() => {
                    self.prolong().await;
                    continue;
                }
                event = events.recv() => event,
            };
            match event {
                Ok(StoreEvent::Told { topic, message }) if &*topic == INTERESTS => {
                    OptionFuture::from(self.told(&message).map(|session| self.follow_up(session, false)))
                        .await;
                }
                Ok(StoreEvent::Told { .. }) => {}
                Ok(StoreEvent::Connected) | Err(RecvError::Lagged(_)) => self.compare().await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Tells the store what changed, and what it may have lost, and takes up what it knows.
    async fn compare(&self) {
        let concerned = |session: &Session| {
            session.is_of_other_process
                || !session.interests().is_empty()
                || session.untold.try_lock().is_ok_and(|untold| !untold.is_empty())
        };
        for session in self.sessions.all(concerned) {
            self.follow_up(session, true).await;
        }
    }

    /// Has the session as the store knows it; a store that has lost it gets it back where `offers` says so.
    async fn follow_up(&self, session: Arc<Session>, offers: bool) {
        let mut untold = session.untold.lock().await;
        let offered = if offers { session.interests() } else { Vec::new() };
        let has_news = !untold.is_empty() || !offered.is_empty();
        // When it fails, the store is away, and all is compared when it is back.
        if self.take_up(&session, &mut untold, &offered).await.is_ok() && has_news {
            let _told_when_it_is_back = self.publish(&session).await;
        }
    }

    /// Has `session` as the store knows it, after the store is told the rest.
    async fn take_up(
        &self,
        session: &Session,
        untold: &mut HashSet<Interest>,
        offered: &[Interest],
    ) -> Result<(), StoreAway> {
        if !untold.is_empty() || !offered.is_empty() {
            self.tell(session, untold, offered).await?;
        }
        let name = name(session);
        let members = self.values.store.members(INTERESTS, &name).await?;
        // The log says which one does not open.
        let opened = members.iter().filter_map(|(_, value)| self.values.open(&name, value).ok());
        let mut resources = Vec::new();
        for interest in opened {
            match interest {
                StoredInterest::Log(level) => session.client.set_log_level(level),
                StoredInterest::Resource(resource) => resources.push(resource),
            }
        }
        let stored: HashSet<&str> = resources.iter().map(|resource| &*resource.shown).collect();
        session.followed().retain(|shown, _| stored.contains(&**shown));
        for resource in resources.iter().take(MOST_FOLLOWED) {
            if !session.followed().contains_key(&resource.shown)
                && let Some(followed) = (self.follow)(&session.holder.principal, resource)
            {
                session.followed().insert(resource.shown.clone(), followed);
            }
        }
        Ok(())
    }

    async fn tell(
        &self,
        session: &Session,
        untold: &mut HashSet<Interest>,
        offered: &[Interest],
    ) -> Result<(), StoreAway> {
        let name = name(session);
        let member = |interest: &Interest| -> Result<MemberValue, StoreAway> {
            let value = interest.of(session).map(|stored| self.values.seal(&name, &stored)).transpose()?;
            Ok((interest.name(session), value.unwrap_or_default()))
        };
        let offered = offered.iter().map(member).collect::<Result<Vec<_>, _>>()?;
        let changed = untold.iter().map(member).collect::<Result<Vec<_>, _>>()?;
        let store = &self.values.store;
        store.change_members(INTERESTS, &name, &offered, &changed, self.life()).await?;
        untold.clear();
        Ok(())
    }

    /// Tells the replicas that interests of the session have changed.
    async fn publish(&self, session: &Session) -> Result<(), StoreAway> {
        let id = String::from_utf8_lossy(&session.id);
        let message = self.values.seal(INTERESTS, &(self.sessions.process, id))?;
        self.values.store.publish(INTERESTS, &message).await
    }

    /// The session whose interests another replica has changed, if it is open here.
    fn told(&self, message: &[u8]) -> Option<Arc<Session>> {
        let (process, id): (u64, String) = self.values.open(INTERESTS, message).ok()?;
        (process != self.sessions.process).then(|| self.sessions.open_session(id.as_bytes())).flatten()
    }

    async fn prolong(&self) {
        let now = now();
        let since = self.prolonged.swap(now, Ordering::Relaxed);
        let is_meant = |session: &Session| session.used(now) >= since && !session.interests().is_empty();
        let names: Vec<String> = self.sessions.all(is_meant).iter().map(|session| name(session)).collect();
        if self.values.store.prolong(INTERESTS, &names, self.life()).await.is_err() {
            self.prolonged.store(since, Ordering::Relaxed);
        }
    }

    /// Longer than a session may rest, since the uses of sessions are told once a minute.
    fn life(&self) -> Duration {
        let idle = Duration::from_millis(self.sessions.idle.load(Ordering::Relaxed));
        idle.saturating_add(2 * USES_WRITTEN)
    }
}

/// The name of the session's interests.
fn name(session: &Session) -> String {
    hex(&session.client.digest())
}

impl fmt::Debug for SharedInterests {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SharedInterests").field("values", &self.values).finish_non_exhaustive()
    }
}
