//! Access tokens of the gateway's own authorization server: each is good for the API key that was typed in for it.

use http::{HeaderMap, header};

use super::user_entries::UserRefusal;
use super::{Access, Keys, Refusal, digest_of};
use crate::authorization_server::{AccessEnd, KeyIdentity, PAGE_COOKIE};
use crate::catalog::{Caller, SignInEnd};
use crate::http::page::cookie_of;
use crate::issuer::TokenError;

/// Whether a browser says that a page from elsewhere sends the request.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

impl Keys {
    /// As [`Keys::admit`], for a request that reads a page or what a page shows.
    ///
    /// There the cookie of a browser counts, too, when the request brings no credentials. Whether it did is told beside.
    /// The cookie comes along from no other site (`SameSite=Strict`); a browser that says where a request comes from is
    /// held to it, since another port of this host is the same site.
    pub async fn admit_reader(&self, headers: &HeaderMap, access: Access) -> Result<(Caller, bool), Refusal> {
        match self.reader_by_cookie(headers) {
            Some(caller) => Ok((caller, true)),
            None => Ok((self.admit(headers, access).await?, false)),
        }
    }

    fn reader_by_cookie(&self, headers: &HeaderMap) -> Option<Caller> {
        let own = self.users.own()?;
        if headers.contains_key(header::AUTHORIZATION) || is_foreign(headers) {
            return None;
        }
        let key = own.key_of_page(&cookie_of(headers, PAGE_COOKIE)?)?;
        self.caller_of_key(&key).cloned()
    }

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
            let key = self.caller_of_key(&accepted.key).ok_or(TokenError::Ended)?;
            let caller = Caller { sign_in_end: SignInEnd::new(accepted.ended), ..key.clone() };
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
