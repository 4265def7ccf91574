//! Users: the callers with an access token of an issuer, and what they may do.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use papaya::HashMap;

use super::error::KeysError;
use super::scopes::Scopes;
use super::user_entries::{UserEntries, UserRefusal};
use crate::authorization_server::SignInServer;
use crate::catalog::{Caller, User};
use crate::config::IssuerConfig;
use crate::issuer::{
    AcceptedToken, Audience, IntrospectionSecret, Issuer, IssuerRegistry, TokenError, issuer_of,
};

/// Callers that are remembered by their tokens; beyond, those whose tokens have ended are forgotten, or else all.
const REMEMBERED: usize = 10_000;
/// How long a token is taken for good without a look at the keys of its issuer, which may have withdrawn one.
const TRUSTED_FOR: Duration = Duration::from_secs(60);
/// The longest token, in bytes. A request's head is no longer.
const TOKEN_LENGTH: usize = 64 * 1024;

/// The issuers of a configuration, and their users.
#[derive(Debug)]
pub struct Users {
    issuers: Vec<IssuerUsers>,
    /// The gateway's own authorization server, whose users are API keys.
    own: Option<Arc<SignInServer>>,
    /// By the digest of a token. A token is checked once, and again when it ends.
    known: HashMap<[u8; 32], KnownToken>,
}

/// A token that was good when it was checked.
#[derive(Debug)]
struct KnownToken {
    caller: Caller,
    until: SystemTime,
    /// The revocations of the gateway's own server until then.
    revocations: u64,
}

#[derive(Debug)]
struct IssuerUsers {
    issuer: Option<Arc<Issuer>>,
    audience: Audience,
    client: Option<IntrospectionSecret>,
    entries: UserEntries,
}

impl Users {
    /// The users of `issuers`; `base` is the address under which the gateway is known. May have to wait for files.
    pub fn new(issuers: &[IssuerConfig], base: Option<&str>, scopes: &mut Scopes) -> Result<Self, KeysError> {
        let issuers = issuers.iter().map(|config| {
            let client = config.client.as_ref().map(|client| {
                let secret = client.secret.blocking_resolve();
                let bad = |source| KeysError::Client { issuer: config.issuer.clone(), source };
                Ok::<_, KeysError>(IntrospectionSecret {
                    id: client.id.clone(),
                    secret: secret.map_err(bad)?,
                })
            });
            let entries = UserEntries::new(&config.issuer, &config.users, scopes)?;
            let own = base.map(|base| vec![base.to_owned(), format!("{base}/*")]);
            let audience = if config.audience.is_empty() { own } else { Some(config.audience.clone()) };
            Ok::<_, KeysError>(IssuerUsers {
                issuer: None,
                audience: Audience(audience.unwrap_or_default()),
                client: client.transpose()?,
                entries,
            })
        });
        Ok(Self { issuers: issuers.collect::<Result<_, _>>()?, own: None, known: HashMap::new() })
    }

    /// Has the issuers asked over the connections of `registry`, and takes the tokens of `own`.
    pub fn connect(&mut self, registry: &IssuerRegistry, own: Option<Arc<SignInServer>>) {
        self.own = own;
        for users in &mut self.issuers {
            users.issuer = Some(registry.issuer(&users.entries.issuer));
        }
    }

    /// Whether there is nowhere to sign in.
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty() && self.own.is_none()
    }

    /// The gateway's own authorization server.
    pub fn own(&self) -> Option<&Arc<SignInServer>> {
        self.own.as_ref()
    }

    /// The addresses of all issuers.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.issuers.iter().map(|users| &*users.entries.issuer)
    }

    /// The scopes that entries of `users` ask for.
    pub fn scopes(&self) -> Vec<&str> {
        let mut scopes: Vec<&str> = self.issuers.iter().flat_map(|users| users.entries.scopes()).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// The bearer of `token`, whose digest is `digest` and which is not remembered.
    ///
    /// # Errors
    ///
    /// Why it is refused.
    pub async fn caller(&self, digest: [u8; 32], token: &[u8]) -> Result<Caller, UserRefusal> {
        let (users, token) = self.accepted(&digest, token).await.map_err(UserRefusal::Token)?;
        let caller = users.entries.admit(token.claims, None)?;
        let until = token.until.min(SystemTime::now() + TRUSTED_FOR);
        self.remember(digest, caller.clone(), until, self.revocations());
        Ok(caller)
    }

    /// The bearer of a token with this digest, if it was checked and has not ended since.
    pub fn remembered(&self, digest: &[u8; 32]) -> Option<Caller> {
        let known = self.known.pin();
        let token = known.get(digest)?;
        let is_good = SystemTime::now() < token.until && token.revocations == self.revocations();
        is_good.then(|| token.caller.clone())
    }

    fn revocations(&self) -> u64 {
        self.own.as_ref().map_or(0, |own| own.revocations())
    }

    /// `before`, a user under an earlier configuration, with its rights under this one.
    pub fn again(&self, user: &User) -> Option<Caller> {
        let users = self.issuers.iter().find(|users| users.entries.issuer == user.issuer)?;
        users.entries.caller_of(&user.claims, None)
    }

    /// The issuers at which a browser can prove its user, by their places.
    ///
    /// The gateway is their client.
    pub fn of_browsers(&self) -> impl Iterator<Item = (usize, &str)> {
        let named = self.issuers.iter().enumerate().filter(|(_, users)| users.client.is_some());
        named.map(|(place, users)| (place, &*users.entries.issuer))
    }

    /// The issuer at `place`, with the gateway as its client.
    pub fn browser_issuer(&self, place: usize) -> Option<(&Arc<Issuer>, &IntrospectionSecret)> {
        let users = self.issuers.get(place)?;
        Some((users.issuer.as_ref()?, users.client.as_ref()?))
    }

    async fn accepted(
        &self,
        digest: &[u8; 32],
        token: &[u8],
    ) -> Result<(&IssuerUsers, AcceptedToken), TokenError> {
        let token = std::str::from_utf8(token).ok().filter(|token| token.len() <= TOKEN_LENGTH);
        let token = token.ok_or(TokenError::Unknown)?;
        if let Some(named) = issuer_of(token) {
            let users = self
                .issuers
                .iter()
                .find(|users| *users.entries.issuer == named)
                .ok_or(TokenError::Unknown)?;
            return Ok((users, users.issuer()?.verify(token, &users.audience).await?));
        }
        // A token that says nothing of its issuer is shown to each that can be asked.
        let (mut refusal, was_active) = (TokenError::Unknown, self.known.pin().contains_key(digest));
        for users in &self.issuers {
            let Some(client) = &users.client else { continue };
            match users.issuer()?.introspect((token, was_active), client, &users.audience).await {
                Ok(token) => return Ok((users, token)),
                Err(error) => refusal = error,
            }
        }
        if !matches!(refusal, TokenError::Unreachable { .. }) {
            self.known.pin().remove(digest);
        }
        Err(refusal)
    }

    pub fn remember(&self, digest: [u8; 32], caller: Caller, until: SystemTime, revocations: u64) {
        let known = self.known.pin();
        if known.len() >= REMEMBERED {
            let now = SystemTime::now();
            known.retain(|_, token| now < token.until);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        known.insert(digest, KnownToken { caller, until, revocations });
    }
}

impl IssuerUsers {
    fn issuer(&self) -> Result<&Arc<Issuer>, TokenError> {
        self.issuer.as_ref().ok_or(TokenError::Unknown)
    }
}
