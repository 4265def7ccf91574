//! Access tokens of the gateway's own authorization server: each is good for the API key that was typed in for it.

use super::user_entries::UserRefusal;
use super::{Keys, digest_of};
use crate::authorization_server::{AccessEnd, KeyIdentity};
use crate::catalog::Caller;
use crate::issuer::TokenError;

impl Keys {
    /// The caller with such a token, whose digest is `digest`; `None` for any other text.
    pub(super) fn caller_of_own(
        &self,
        digest: [u8; 32],
        token: &[u8],
    ) -> Option<Result<Caller, UserRefusal>> {
        let own = self.users.own()?;
        let revocations = own.revocations();
        let accepted = own.accept(std::str::from_utf8(token).ok()?)?;
        let checked = accepted.map_err(|end| match end {
            AccessEnd::Expired => TokenError::Expired,
            AccessEnd::Revoked => TokenError::Ended,
        });
        let checked = checked.and_then(|accepted| {
            let caller = self.caller_of_key(&accepted.key).ok_or(TokenError::Ended)?.clone();
            self.users.remember(digest, caller.clone(), accepted.until, revocations);
            Ok(caller)
        });
        Some(checked.map_err(UserRefusal::Token))
    }

    /// The caller of the API key `key`, if it is configured with the same value.
    pub fn caller_of_key(&self, key: &KeyIdentity) -> Option<&Caller> {
        let named = self.keys.iter().find(|one| one.caller.principal.key_name() == Some(&key.name))?;
        (KeyIdentity::new(&key.name, &named.digest) == *key).then_some(&named.caller)
    }

    /// The API key whose value was typed in.
    pub fn key_of_value(&self, value: &str) -> Option<KeyIdentity> {
        let key = self.find(digest_of(value.trim().as_bytes()))?;
        Some(KeyIdentity::new(key.caller.principal.key_name()?, &key.digest))
    }
}
