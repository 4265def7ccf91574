//! What a client asks its session to tell it by itself: the changes of resources, and the log of servers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::resource_subscription::FollowedResource;
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

impl Session {
    /// All that its client asks it to tell.
    pub fn interests(&self) -> Vec<Interest> {
        let log = self.client.log_level().map(|_| Interest::Log);
        log.into_iter().chain(self.followed().keys().cloned().map(Interest::Resource)).collect()
    }
}
