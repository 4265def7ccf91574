//! The callers of an isolated server: each has a name that is safe in paths, and a process or session of its own.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::config::CallerIsolation;
use crate::json::hex;
use crate::shares::Principal;
use crate::upstream::identity::IdentityKey;

/// The name of the gateway itself as a caller: it reads the tool list.
pub const GATEWAY: &str = "gateway";
/// Sets these digests apart from all others; a change of it gives every caller another name, and so other files.
const DOMAIN: &str = "mcpo caller 1";
/// Bytes of the digest in a name: 160 bits, so that no two callers can be made to have the same one.
const LENGTH: usize = 20;

/// The MCP session of a call. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CallerSession {
    /// Stands for the session without disclosing its id.
    pub key: IdentityKey,
    /// Cancelled when the session has ended.
    pub ended: CancellationToken,
}

/// The caller of an isolated server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IsolatedCaller {
    /// What `${caller}` stands for: hexadecimal digits, the same for a key or user after a restart.
    pub name: Arc<str>,
    /// Cancelled when its MCP session has ended, where that is the caller.
    pub ended: Option<CancellationToken>,
}

impl IsolatedCaller {
    /// The caller for calls of `principal` in `session`; `None` where all share the server.
    pub fn of(
        isolation: CallerIsolation,
        principal: &Principal,
        session: Option<&CallerSession>,
    ) -> Option<Self> {
        let key = || Some(vec!["key", principal.key_name()?]);
        // Two instances of Open WebUI may name a user alike, and each has a key of its own.
        let user = || Some(vec!["user", principal.key_name().unwrap_or_default(), principal.user_id()?]);
        let anonymous = vec!["anonymous"];
        let texts = match (isolation, session) {
            (CallerIsolation::Shared, _) => return None,
            (CallerIsolation::Key, _) => key().or_else(user).unwrap_or(anonymous),
            (CallerIsolation::Session, Some(session)) => {
                let name = name_of(&["session", &hex(&session.key)]);
                return Some(Self { name, ended: Some(session.ended.clone()) });
            }
            (CallerIsolation::User | CallerIsolation::Session, _) => user().or_else(key).unwrap_or(anonymous),
        };
        Some(Self { name: name_of(&texts), ended: None })
    }
}

/// Whether `name` is that of a caller, or of the gateway itself.
pub fn is_name(name: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    name == GATEWAY || name.len() == 2 * LENGTH && name.bytes().all(is_digit)
}

fn name_of(texts: &[&str]) -> Arc<str> {
    let mut digest = Sha256::new();
    for text in [DOMAIN].iter().chain(texts) {
        // With its length, so that no two lists of texts read the same.
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    }
    hex(&digest.finalize()[..LENGTH]).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::UserName;

    fn name(isolation: CallerIsolation, principal: &Principal, session: Option<u8>) -> Option<Arc<str>> {
        let session = session.map(|id| CallerSession { key: [id; 32], ended: CancellationToken::new() });
        IsolatedCaller::of(isolation, principal, session.as_ref()).map(|caller| caller.name)
    }

    fn user(key: Option<&str>, id: &str, shown: &str) -> Principal {
        Principal::of_user(key, UserName { id: id.into(), shown: shown.into() })
    }

    #[test]
    fn callers_are_told_apart_by_what_isolates_them_and_by_nothing_else() {
        use CallerIsolation::{Key, Session, Shared, User};
        let (ada, bob) = (user(Some("k"), "w ada", "ada@a.test"), user(Some("k"), "w bob", "bob@a.test"));
        let (key, other) = (Principal::of_key("k"), Principal::of_key("l"));
        assert_eq!(name(Shared, &ada, Some(1)), None);
        assert_eq!(name(Key, &ada, Some(1)), name(Key, &bob, None));
        assert_eq!(name(Key, &ada, None), name(Key, &key, None));
        assert_eq!(name(User, &ada, Some(1)), name(User, &user(Some("k"), "w ada", "new@a.test"), Some(2)));
        let all = [
            name(User, &ada, None),
            name(User, &bob, None),
            name(User, &user(Some("l"), "w ada", ""), None),
            name(User, &user(None, "w ada", ""), None),
            name(User, &key, None),
            name(Key, &other, None),
            name(User, &Principal::default(), None),
            name(Session, &ada, Some(1)),
            name(Session, &ada, Some(2)),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "number {index} is there twice");
            assert!(is_name(one.as_deref().unwrap()));
        }
        assert_eq!(name(Session, &ada, None), name(User, &ada, None), "without a session");
        assert_eq!(name(Key, &user(None, "w ada", ""), None), all[3], "a user without a key");
    }

    #[test]
    fn a_name_is_the_same_for_ever_since_files_lie_under_it() {
        let ada = user(Some("open-webui"), "open-webui 1d5f", "ada@a.test");
        let name = name(CallerIsolation::User, &ada, None).unwrap();
        assert_eq!(&*name, "e26bf4d3e2475184785e9919ad16fb47eeef19bd");
        for other in ["", "../../etc", "GATEWAY", &name[1..], &name.to_uppercase(), &format!("{name}0")] {
            assert!(!is_name(other), "{other}");
        }
    }
}
