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

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::clock::now;
use super::interest::{Interest, StoredInterest, UntoldInterests};
use super::resource_subscription::{FollowedResource, MOST_FOLLOWED, ResourceSubscription};
use super::shared::INTERESTS;
use super::state::Session;
use super::table::{Sessions, USES_WRITTEN};
use crate::json::hex;
use crate::seal::SealSecrets;
use crate::shared_store::{MemberValue, SealedValues, SharedStore, StoreAway, StoreEvent};
use crate::shares::{Exceeded, LogThrottle, Principal};

/// Follows a resource for this principal, if the configuration has it; fails when its share is full.
pub type Follow = Box<
    dyn Fn(&Principal, &FollowedResource) -> Result<Option<ResourceSubscription>, Exceeded> + Send + Sync,
>;

/// The interests in the store.
pub struct SharedInterests {
    values: SealedValues,
    sessions: Arc<Sessions>,
    follow: Follow,
    refusals: LogThrottle,
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
        Self { values, sessions, follow, refusals: LogThrottle::default(), prolonged: AtomicU64::new(now()) }
    }

    /// Makes a `change` of `interest` here, and tells the store and the replicas.
    pub async fn change<T>(&self, session: &Session, interest: Interest, change: impl FnOnce() -> T) -> T {
        let mut untold = session.untold.lock().await;
        let changed = change();
        untold.note(session, interest);
        let _told_when_it_is_back = self.tell(session, &mut untold).await;
        changed
    }

    /// Takes up what other replicas know of a session that is open again.
    pub async fn recall(&self, session: &Session) {
        let mut untold = session.untold.lock().await;
        // Another request may have done it meanwhile.
        if session.lacks_interests() {
            self.compare_one(session, &mut untold, false).await;
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
                    if let Some(session) = self.told(&message) {
                        self.compare_one(&session, &mut *session.untold.lock().await, false).await;
                    }
                }
                Ok(StoreEvent::Told { .. }) => {}
                Ok(StoreEvent::Connected) => self.compare_all(true).await,
                // The store has lost nothing.
                Err(RecvError::Lagged(_)) => self.compare_all(false).await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Has all sessions as the store knows them: those with a stream or an interest at once, the others at their next
    /// request. What a client asked at another replica may have been missed.
    async fn compare_all(&self, offers: bool) {
        let all = self.sessions.all(|_| true);
        all.iter().for_each(|session| session.may_lack_interests());
        for session in all {
            let mut untold = session.untold.lock().await;
            if session.has_stream() || session.has_interests() || !untold.is_empty() {
                self.compare_one(&session, &mut untold, offers).await;
            }
        }
    }

    /// Has `session` as the store knows it, after the store is told what changed here. A store that has lost the session gets
    /// it back where this replica `offers` it.
    async fn compare_one(&self, session: &Session, untold: &mut UntoldInterests, offers: bool) {
        let tells = !untold.is_empty() || (offers && session.has_interests());
        let told = if tells { self.tell(session, untold).await } else { Ok(()) };
        // When it fails, the store is away, and all is compared when it is back.
        if told.is_ok() {
            let _compared_when_it_is_back = self.take_up(session).await;
        }
        session.interests_are_taken_up();
    }

    /// Has `session` as the store knows it. A store that knows nothing of it changes nothing.
    async fn take_up(&self, session: &Session) -> Result<(), StoreAway> {
        let name = name(session);
        let Some(members) = self.values.store.members(INTERESTS, &name).await? else { return Ok(()) };
        // The log says that one does not open.
        let opened = members.iter().filter_map(|(_, value)| self.values.open(&name, value).ok());
        let opened: Vec<StoredInterest> = opened.collect();
        let all_open = opened.len() == members.len();
        let mut resources = Vec::new();
        for interest in opened {
            match interest {
                StoredInterest::Log(level) => session.client.set_log_level(level),
                StoredInterest::Resource(resource) => resources.push(resource),
            }
        }
        // One that does not open may be any: while `sessionKey` changes, another replica may seal by the new one already.
        if all_open {
            let stored: HashSet<&str> = resources.iter().map(|resource| &*resource.shown).collect();
            session.followed().retain(|shown, _| stored.contains(&**shown));
        }
        for resource in resources.iter().take(MOST_FOLLOWED) {
            if session.followed().contains_key(&resource.shown) {
                continue;
            }
            match (self.follow)(&session.holder.principal, resource) {
                Ok(Some(followed)) => {
                    session.followed().insert(resource.shown.clone(), followed);
                }
                Ok(None) => {}
                // The share has no room for the others either.
                Err(exceeded) => {
                    if self.refusals.may_log().is_some() {
                        tracing::warn!(
                            "a session that another replica had does not follow all of its resources here: {exceeded}"
                        );
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tells the store what changed, and a store that knows nothing of the session all of it. What is news there, it tells
    /// the replicas.
    async fn tell(&self, session: &Session, untold: &mut UntoldInterests) -> Result<(), StoreAway> {
        let (name, store) = (name(session), &self.values.store);
        let member = |(member, stored): (String, Option<StoredInterest>)| -> Result<MemberValue, StoreAway> {
            let value = stored.map(|stored| self.values.seal(&name, &stored)).transpose()?;
            Ok((member, value.unwrap_or_default()))
        };
        let changed = untold.of(session).map(member).collect::<Result<Vec<_>, _>>()?;
        let news = self.news_of(session)?;
        if !store.change_members(INTERESTS, &name, None, &changed, &news, self.life()).await? {
            let all = session.interests().into_iter();
            let all = all.map(|interest| member((interest.name(session), interest.of(session))));
            let all = all.collect::<Result<Vec<_>, _>>()?;
            store.change_members(INTERESTS, &name, Some(&all), &changed, &news, self.life()).await?;
        }
        untold.clear();
        Ok(())
    }

    /// The message that interests of the session have changed here.
    fn news_of(&self, session: &Session) -> Result<Vec<u8>, StoreAway> {
        self.values.seal(INTERESTS, &(self.sessions.process, String::from_utf8_lossy(&session.id)))
    }

    /// The session whose interests another replica has changed, if it is open here.
    fn told(&self, message: &[u8]) -> Option<Arc<Session>> {
        let (process, id): (u64, String) = self.values.open(INTERESTS, message).ok()?;
        (process != self.sessions.process).then(|| self.sessions.open_session(id.as_bytes())).flatten()
    }

    async fn prolong(&self) {
        let now = now();
        let since = self.prolonged.swap(now, Ordering::Relaxed);
        let is_meant = |session: &Session| {
            session.used(now) >= since && (session.is_of_other_process || session.has_interests())
        };
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
