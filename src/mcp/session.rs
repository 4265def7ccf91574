//! The sessions of clients (revisions 2024-11-05 to 2025-11-25): who opened each, for which endpoint, and when it was
//! used last. They outlive reloads, and end with the gateway.
//!
//! A session is its key's: under another key, in another profile, or at another endpoint, its id is unknown. Looking one up takes no
//! lock; opening and ending one copies the table of their references.

mod in_flight;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustix::rand::{GetRandomFlags, getrandom};
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::place::Place;
use super::replay::Replay;
use super::wishes::Followed;
use crate::catalog::Caller;
pub use in_flight::InFlight;
use in_flight::Requests;

/// The first revision whose clients poll the streams of answers (SEP-1699).
const POLLING_SINCE: &str = "2025-11-25";

/// The table of all sessions.
#[derive(Debug)]
pub struct Sessions {
    table: ArcSwap<HashMap<Box<[u8]>, Arc<Session>>>,
    began: Instant,
}

/// One session.
#[derive(Debug)]
pub struct Session {
    /// See [`new_id`].
    pub id: Box<str>,
    holder: Holder,
    /// Milliseconds since the table was made.
    used: AtomicU64,
    streams: AtomicUsize,
    /// Requests that a `notifications/cancelled` may name.
    in_flight: Arc<Requests>,
    client: Arc<Client>,
    revision: &'static str,
    replay: Replay,
    /// By the names that the client has for them.
    followed: Mutex<HashMap<Box<str>, Followed>>,
    ended: CancellationToken,
}

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    key_name: Option<Arc<str>>,
    /// The one that the requests ask for.
    profile: Option<Arc<str>>,
    /// The server of the endpoint, `None` for that of all.
    server: Option<Box<str>>,
}

impl Holder {
    /// Whoever calls as `caller` at `place`.
    pub fn of(caller: &Caller, place: &Place) -> Self {
        Self {
            key_name: caller.key_name.clone(),
            profile: caller.profile.clone(),
            server: place.server().map(Box::from),
        }
    }

    fn is(&self, caller: &Caller, place: &Place) -> bool {
        self.key_name == caller.key_name
            && self.profile == caller.profile
            && self.server.as_deref() == place.server()
    }
}

/// A stream that is open; its session does not rest meanwhile.
#[derive(Debug)]
pub struct OpenStream(Arc<Session>);

impl Default for Sessions {
    fn default() -> Self {
        Self { table: ArcSwap::default(), began: Instant::now() }
    }
}

impl Sessions {
    /// Opens a session of `holder`. Those that have rested for `idle` end; when there are `most` all the same, the one
    /// that rested longest does.
    ///
    /// # Errors
    ///
    /// When the kernel gives no random numbers.
    pub fn open(
        &self,
        holder: Holder,
        most: usize,
        idle: Duration,
        capabilities: Option<&RawValue>,
        revision: &'static str,
    ) -> Result<Arc<Session>, rustix::io::Errno> {
        let id = new_id()?;
        let client = Client::new(&id, capabilities);
        let session = Arc::new(Session {
            replay: Replay::new(client.number_of_its_own()),
            client,
            revision,
            id,
            followed: Mutex::default(),
            holder,
            used: AtomicU64::new(self.now()),
            streams: AtomicUsize::new(0),
            in_flight: Arc::default(),
            ended: CancellationToken::new(),
        });
        self.table.rcu(|table| {
            let mut table: HashMap<_, _> = table
                .iter()
                .filter(|(_, known)| !self.rests(known, idle))
                .map(|(id, known)| (id.clone(), known.clone()))
                .collect();
            while table.len() >= most.max(1) {
                let oldest = table.values().min_by_key(|known| known.used.load(Ordering::Relaxed)).cloned();
                let Some(oldest) = oldest else { break };
                table.remove(oldest.id.as_bytes());
            }
            table.insert(Box::from(session.id.as_bytes()), session.clone());
            table
        });
        Ok(session)
    }

    /// The session `id`, if `caller` opened it at `place` and it has not rested for `idle`.
    pub fn find(&self, id: &[u8], caller: &Caller, place: &Place, idle: Duration) -> Option<Arc<Session>> {
        let table = self.table.load();
        let session = table.get(id)?;
        if !session.holder.is(caller, place) || self.rests(session, idle) {
            return None;
        }
        session.used.store(self.now(), Ordering::Relaxed);
        Some(session.clone())
    }

    /// Ends a session: its id is unknown from now on, and its stream closes.
    pub fn end(&self, session: &Session) {
        self.table.rcu(|table| {
            let mut table = HashMap::clone(table);
            table.remove(session.id.as_bytes());
            table
        });
        session.followed().clear();
        session.client.leave();
        session.ended.cancel();
    }

    /// Ends the sessions of the key `name`.
    pub fn end_of(&self, name: &str) {
        let table = self.table.load_full();
        let own = table.values().filter(|session| session.holder.key_name.as_deref() == Some(name));
        own.for_each(|session| self.end(session));
    }

    /// How many there are, those included that have rested too long and were not asked for since.
    pub fn count(&self) -> usize {
        self.table.load().len()
    }

    fn rests(&self, session: &Session, idle: Duration) -> bool {
        let rested = self.now().saturating_sub(session.used.load(Ordering::Relaxed));
        session.streams.load(Ordering::Relaxed) == 0 && u128::from(rested) >= idle.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Session {
    /// Cancelled when the session was ended.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// The client that opened it.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// What the answers to its requests have said.
    pub fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Whether its client understands events that say nothing, and comes back to a stream that was closed early.
    pub fn is_primed(&self) -> bool {
        // Revisions are dates.
        self.revision >= POLLING_SINCE
    }

    /// Takes note of a resource that the client follows.
    pub fn follow(&self, uri: &str, followed: Followed) {
        self.followed().insert(uri.into(), followed);
    }

    /// Whether the client followed it until now.
    pub fn unfollow(&self, uri: &str) -> bool {
        self.followed().remove(uri).is_some()
    }

    /// How many resources the client follows.
    pub fn follows(&self) -> usize {
        self.followed().len()
    }

    /// The names of the resources that the client follows.
    pub fn names_followed(&self) -> Vec<Box<str>> {
        self.followed().keys().cloned().collect()
    }

    /// The name that the client has for the resource `uri` of `server`, if it follows it.
    pub fn followed_as(&self, server: &str, uri: &str) -> Option<String> {
        self.followed().values().find_map(|followed| followed.shown(server, uri))
    }

    fn followed(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an open stream.
    pub fn stream(self: &Arc<Self>) -> OpenStream {
        self.streams.fetch_add(1, Ordering::Relaxed);
        OpenStream(self.clone())
    }

    /// Takes note of the request `id` (JSON text).
    pub fn request(&self, id: &str) -> InFlight {
        self.in_flight.add(id)
    }

    /// Cancels the request `id`, if it is in flight.
    pub fn cancel(&self, id: &str) {
        self.in_flight.cancel(id);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Servers may know the client for longer.
        self.client.leave();
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// 32 hexadecimal digits from the kernel's random numbers.
///
/// # Errors
///
/// When it gives none.
pub fn new_id() -> Result<Box<str>, rustix::io::Errno> {
    let mut bytes = [0_u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())?;
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn caller(key: Option<&str>, profile: Option<&str>) -> Caller {
        Caller {
            key_name: key.map(Arc::from),
            profile: profile.map(Arc::from),
            scope: Arc::default(),
            reach: Arc::default(),
            admin: false,
            metrics: false,
        }
    }

    fn at(server: &str) -> Place {
        Place::One(server.to_owned())
    }

    fn open(sessions: &Sessions, caller: &Caller, place: &Place) -> Arc<Session> {
        sessions.open(Holder::of(caller, place), 3, HOUR, None, "2025-11-25").unwrap()
    }

    fn knows(sessions: &Sessions, session: &Session, caller: &Caller, place: &Place) -> bool {
        sessions.find(session.id.as_bytes(), caller, place, HOUR).is_some()
    }

    #[test]
    fn a_session_is_known_to_its_key_in_its_profile_at_its_endpoint_alone() {
        let sessions = Sessions::default();
        let mine = caller(Some("mine"), Some("small"));
        let session = open(&sessions, &mine, &at("time"));
        assert!(knows(&sessions, &session, &mine, &at("time")));
        for (key, profile, place) in [
            (Some("other"), Some("small"), at("time")),
            (None, Some("small"), at("time")),
            (Some("mine"), None, at("time")),
            (Some("mine"), Some("large"), at("time")),
            (Some("mine"), Some("small"), Place::All),
            (Some("mine"), Some("small"), at("git")),
        ] {
            assert!(
                !knows(&sessions, &session, &caller(key, profile), &place),
                "{key:?} {profile:?} {place:?}"
            );
        }
        sessions.end(&session);
        assert!(!knows(&sessions, &session, &mine, &at("time")));
        assert!(session.ended().is_cancelled());
    }

    #[test]
    fn the_one_that_rested_longest_makes_room() {
        let sessions = Sessions::default();
        let all: Vec<_> = (0..3).map(|_| open(&sessions, &caller(Some("mine"), None), &Place::All)).collect();
        let later = sessions.now() + 10;
        for used in [&all[0], &all[2]] {
            used.used.store(later, Ordering::Relaxed);
        }
        let fresh = open(&sessions, &caller(Some("mine"), None), &Place::All);
        assert_eq!(sessions.count(), 3);
        assert!(!knows(&sessions, &all[1], &caller(Some("mine"), None), &Place::All));
        assert!(knows(&sessions, &fresh, &caller(Some("mine"), None), &Place::All));
    }

    #[test]
    fn a_session_ends_by_resting_unless_a_stream_is_open() {
        let sessions = Sessions::default();
        let session = open(&sessions, &caller(Some("mine"), None), &Place::All);
        let found = || {
            let mine = caller(Some("mine"), None);
            sessions.find(session.id.as_bytes(), &mine, &Place::All, Duration::ZERO).is_some()
        };
        assert!(!found());
        let stream = session.stream();
        assert!(found());
        drop(stream);
        assert!(!found());
    }

    #[test]
    fn ids_are_long_and_differ() {
        let ids: std::collections::HashSet<_> = (0..100).map(|_| new_id().unwrap()).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
