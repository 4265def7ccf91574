//! The id of a session: all that a gateway needs to open the session again, sealed.

use super::holder::Holder;
use super::id::new_id;
use crate::catalog::Caller;
use crate::mcp::endpoint::Endpoint;
use crate::protocol::revision::WITH_SESSIONS;
use crate::seal::{SealError, Sealer};

/// The purpose of the seal.
pub const PURPOSE: &str = "session 1";

/// The longest declaration of capabilities in an id, in bytes: with it an id has 800 characters, and about 200 with most
/// clients. A session with a longer one ends with the process.
const LONGEST_CAPABILITIES: usize = 512;
/// The longest id, in characters.
const LONGEST: usize = 1024;
/// The bytes before the capabilities.
const HEAD: usize = 8 + 8 + 16 + 1;

/// A short digest that names a session or a key in files.
pub type ShortDigest = [u8; 16];

/// The content of an id.
#[derive(Debug, PartialEq, Eq)]
pub struct SealedSession {
    /// The number of the process that opened the session.
    pub process: u64,
    /// The time, in milliseconds since 1970.
    pub opened: u64,
    /// Of the holder and its key's value.
    pub holder: ShortDigest,
    pub revision: &'static str,
    /// What the client can be asked.
    pub capabilities: Box<str>,
}

impl SealedSession {
    /// The id of a new session.
    ///
    /// # Errors
    ///
    /// When the kernel has no random numbers.
    pub fn id(&self, sealer: &Sealer) -> Result<Box<[u8]>, SealError> {
        if self.capabilities.len() > LONGEST_CAPABILITIES {
            return Ok(new_id()?.as_bytes().into());
        }
        let revision = WITH_SESSIONS.iter().rev().position(|known| *known == self.revision);
        let mut plain = Vec::with_capacity(HEAD + self.capabilities.len());
        plain.extend(self.process.to_le_bytes());
        plain.extend(self.opened.to_le_bytes());
        plain.extend(self.holder);
        plain.push(u8::try_from(revision.unwrap_or_default()).unwrap_or_default());
        if &*self.capabilities != NOTHING {
            plain.extend(self.capabilities.as_bytes());
        }
        Ok(sealer.seal(&plain)?.into_bytes().into())
    }

    /// The content of `id`; `None` for any text that is no sealed id.
    pub fn open(id: &[u8], sealer: &Sealer) -> Option<Self> {
        let plain = sealer.open(id).filter(|_| id.len() <= LONGEST)?;
        let (process, rest) = plain.split_first_chunk::<8>()?;
        let (opened, rest) = rest.split_first_chunk::<8>()?;
        let (holder, rest) = rest.split_first_chunk::<16>()?;
        let (revision, capabilities) = rest.split_first()?;
        // The oldest is the first, so that a later revision takes no number of another one.
        let revision = WITH_SESSIONS.iter().rev().nth(usize::from(*revision))?;
        let capabilities = std::str::from_utf8(capabilities).ok()?;
        Some(Self {
            process: u64::from_le_bytes(*process),
            opened: u64::from_le_bytes(*opened),
            holder: *holder,
            revision,
            capabilities: if capabilities.is_empty() { NOTHING } else { capabilities }.into(),
        })
    }
}

/// The capabilities of most clients.
const NOTHING: &str = "{}";

/// The digest of the holder of the sessions of `caller` at `endpoint`. It counts the value of the key.
pub fn holder_digest(caller: &Caller, endpoint: &Endpoint) -> ShortDigest {
    let Holder { principal, profile, server } = Holder::of(caller, endpoint);
    let is_user = if principal.user().is_some() { "user" } else { "" };
    let texts = [principal.key_name(), principal.id(), profile.as_deref(), server.as_deref()];
    let fingerprint = caller.fingerprint.map(|fingerprint| crate::json::hex(&fingerprint.0));
    let present = texts.map(|text| if text.is_some() { "1" } else { "0" });
    let texts = texts.map(Option::unwrap_or_default);
    let all = present.into_iter().chain(texts).chain([is_user, fingerprint.as_deref().unwrap_or_default()]);
    shortened(super::id::digest(all))
}

/// The digest of the API key of `caller` and its value.
pub fn key_digest(caller: &Caller) -> Option<ShortDigest> {
    let (name, fingerprint) = (caller.principal.key_name()?, caller.fingerprint?);
    Some(shortened(super::id::digest(["key", name, &crate::json::hex(&fingerprint.0)])))
}

/// The beginning of a digest.
pub fn shortened(digest: [u8; 32]) -> ShortDigest {
    let mut short = ShortDigest::default();
    short.copy_from_slice(&digest[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Fingerprint;
    use crate::seal::SealSecrets;
    use crate::shares::{Principal, UserName};

    fn session(capabilities: &str) -> SealedSession {
        SealedSession {
            process: 7,
            opened: 1_796_000_000_000,
            holder: [3; 16],
            revision: "2025-06-18",
            capabilities: capabilities.into(),
        }
    }

    #[test]
    fn an_id_is_short_visible_and_says_what_was_sealed() {
        let sealer = SealSecrets::of_this_process().unwrap().sealer(PURPOSE);
        let usual = r#"{"elicitation":{},"roots":{"listChanged":true},"sampling":{}}"#;
        for (capabilities, longest) in [("{}", 90), (usual, 170), (&*"x".repeat(512), 800)] {
            let id = session(capabilities).id(&sealer).unwrap();
            assert!(id.len() <= longest && id.iter().all(u8::is_ascii_graphic), "{}", id.len());
            assert_eq!(SealedSession::open(&id, &sealer), Some(session(capabilities)));
        }
        let long = session(&"x".repeat(513)).id(&sealer).unwrap();
        assert_eq!((long.len(), SealedSession::open(&long, &sealer)), (32, None));
    }

    #[test]
    fn no_two_holders_have_the_same_digest() {
        let fingerprint = |byte| Some(Fingerprint([byte; 32]));
        let user = |id: &str| UserName { id: id.into(), shown: "shown".into() };
        let of = |principal, fingerprint, profile: Option<&str>| Caller {
            fingerprint,
            profile: profile.map(Into::into),
            ..Caller::of_test(principal)
        };
        let holders = [
            of(Principal::default(), None, None),
            of(Principal::default(), None, Some("")),
            of(Principal::of_key("a"), fingerprint(1), None),
            of(Principal::of_key("a"), fingerprint(2), None),
            of(Principal::of_key("b"), fingerprint(1), None),
            of(Principal::of_key("a"), fingerprint(1), Some("b")),
            of(Principal::of_user(None, user("a")), None, None),
            of(Principal::of_user(Some("a"), user("a")), fingerprint(1), None),
            of(Principal::of_user(Some("a"), user("b")), fingerprint(1), None),
        ];
        let endpoints = [Endpoint::All, Endpoint::One(String::new()), Endpoint::One("b".to_owned())];
        let mut digests = std::collections::HashSet::new();
        for holder in &holders {
            assert!(endpoints.iter().all(|endpoint| digests.insert(holder_digest(holder, endpoint))));
        }
        assert_eq!(digests.len(), 27);
    }
}
