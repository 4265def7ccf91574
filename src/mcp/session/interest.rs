//! What a client asks its session to tell it by itself: the changes of resources, and the log of servers.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::resource_subscription::{FollowedResource, MOST_FOLLOWED};
use super::sealed::shortened;
use super::state::Session;
use crate::json::hex;

/// Something that a client asks its session to tell it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Interest {
    /// Log messages from its level on.
    Log,
    /// Updates of the resource with this name of the client's.
    Resource(Box<str>),
}

/// Interests of one session that a store which is away may wait for; of further ends it is not told.
const MOST_UNTOLD: usize = 2 * MOST_FOLLOWED;

/// Changed interests of one session, by their names in the store. An end keeps no more than the name.
#[derive(Debug, Default)]
pub struct UntoldInterests(HashMap<String, Option<Interest>>);

/// An interest as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredInterest {
    Log(Arc<str>),
    Resource(FollowedResource),
}

impl Interest {
    /// The name that the interest has in the store. It discloses no address, not even to a guess, since the session's id
    /// cannot be guessed.
    pub fn name(&self, session: &Session) -> String {
        let uri = match self {
            Self::Log => return "log".to_owned(),
            Self::Resource(uri) => uri,
        };
        let digest = Sha256::new().chain_update(&session.id).chain_update("\0").chain_update(&**uri);
        hex(&shortened(digest.finalize().into()))
    }

    /// The interest as `session` has it; `None` when it has not.
    pub fn of(&self, session: &Session) -> Option<StoredInterest> {
        match self {
            Self::Log => session.client.log_level().map(StoredInterest::Log),
            Self::Resource(uri) => session
                .followed()
                .get(uri)
                .map(|followed| StoredInterest::Resource(followed.resource.clone())),
        }
    }
}

impl UntoldInterests {
    /// Notes that `interest` is another one now. One that begins is always noted: a session has no more than it may follow.
    pub fn note(&mut self, session: &Session, interest: Interest) {
        let name = interest.name(session);
        let is_full = self.0.len() >= MOST_UNTOLD && !self.0.contains_key(&name);
        if interest.of(session).is_none() {
            if !is_full {
                self.0.insert(name, None);
            }
            return;
        }
        if is_full
            && let Some(end) = self.0.iter().find_map(|(name, kept)| kept.is_none().then(|| name.clone()))
        {
            self.0.remove(&end);
        }
        self.0.insert(name, Some(interest));
    }

    /// All of them as `session` has them now; `None` for an end.
    pub fn of(&self, session: &Session) -> impl Iterator<Item = (String, Option<StoredInterest>)> {
        self.0.iter().map(|(name, interest)| {
            (name.clone(), interest.as_ref().and_then(|interest| interest.of(session)))
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The store was told.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Session {
    /// Whether its client asks it to tell anything.
    pub fn has_interests(&self) -> bool {
        self.client.log_level().is_some() || !self.followed().is_empty()
    }

    /// All that its client asks it to tell.
    pub fn interests(&self) -> Vec<Interest> {
        let log = self.client.log_level().map(|_| Interest::Log);
        log.into_iter().chain(self.followed().keys().cloned().map(Interest::Resource)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::holder::Holder;
    use super::*;
    use crate::catalog::Caller;
    use crate::mcp::endpoint::Endpoint;
    use crate::shares::Principal;

    #[test]
    fn ends_are_noted_up_to_a_limit_and_without_their_text_and_what_begins_is_noted_all_the_same() {
        let caller = Caller::of_test(Principal::default());
        let id = Arc::from(&b"id"[..]);
        let session = Session::new(id, Holder::of(&caller, &Endpoint::All), "{}".into(), "2025-11-25", 0, 0);
        let mut untold = UntoldInterests::default();
        for number in 0..2 * MOST_UNTOLD {
            untold.note(&session, Interest::Resource(number.to_string().into()));
        }
        assert_eq!(untold.0.len(), MOST_UNTOLD);
        assert!(untold.0.iter().all(|(name, interest)| name.len() == 32 && interest.is_none()));
        session.client.set_log_level("debug".into());
        untold.note(&session, Interest::Log);
        assert_eq!(untold.0.len(), MOST_UNTOLD);
        let begun: Vec<_> = untold.of(&session).filter_map(|(_, stored)| stored).collect();
        assert_eq!(begun, [StoredInterest::Log("debug".into())]);
    }
}
