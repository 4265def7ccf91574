//! Callers from one configuration to the next: which are the same, and which have ended.

use std::collections::HashMap;

use super::{Access, ApiKey, Keys};
use crate::catalog::Caller;

impl Keys {
    /// `before`, a caller under an earlier configuration, with its rights under this one. `None` when its key, profile or
    /// sign-in is gone, or its key has another value.
    pub fn again(&self, before: &Caller) -> Option<Caller> {
        let sign_in_end = before.sign_in_end.clone();
        if sign_in_end.has_come() || sign_in_end.can_come() && self.users.own().is_none() {
            return None;
        }
        let caller = match (&before.user, before.fingerprint) {
            (Some(user), None) => self.users.again(user),
            (Some(user), Some(_)) => {
                let key = self.find_again(before)?;
                key.users.as_ref()?.again(user, &key.caller)
            }
            (None, Some(_)) => self.find_again(before).map(|key| key.caller.clone()),
            (None, None) => self.without_credentials(Access::Call),
        }?;
        let caller = Caller { sign_in_end, ..caller };
        match &before.profile {
            None => Some(caller),
            Some(profile) => self.in_profile(&caller, profile),
        }
    }

    /// The names of the keys that `next` does not have, or has with another value.
    pub fn ended_by(&self, next: &Self) -> Vec<&str> {
        let digests: HashMap<_, _> =
            next.keys.iter().map(|key| (key.caller.principal.key_name(), key.digest)).collect();
        let has_ended = |key: &&ApiKey| digests.get(&key.caller.principal.key_name()) != Some(&key.digest);
        let ended = self.keys.iter().filter(has_ended);
        ended.filter_map(|key| key.caller.principal.key_name()).collect()
    }

    /// The same key with the same value.
    fn find_again(&self, before: &Caller) -> Option<&ApiKey> {
        self.keys.iter().find(|key| {
            key.caller.principal.key_name() == before.principal.key_name()
                && key.caller.fingerprint == before.fingerprint
        })
    }
}
