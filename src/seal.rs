//! Sealed texts: what the gateway hands to clients, and takes back as its own when it comes back unchanged.
//!
//! ChaCha20-Poly1305 with random nonces, in base64url. Each purpose has a key of its own, derived from the gateway's
//! secret (HKDF-SHA256), and its name stands in the associated data, so that a text of one purpose opens as no other.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, MAX_TAG_LEN, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The shortest secret that is taken, in characters.
pub const SHORTEST_SECRET: usize = 32;

/// The salt of all keys.
const SALT: &[u8] = b"mcpo sealed texts 1";
/// Random bytes of a new secret.
const SECRET_BYTES: usize = 32;

/// The secrets from which the keys of all purposes are derived: the first seals, all open.
#[derive(Debug, Clone)]
pub struct SealSecrets(Vec<Prk>);

/// Seals and opens texts of one purpose.
#[derive(Debug)]
pub struct Sealer {
    purpose: &'static str,
    /// Not empty.
    keys: Vec<LessSafeKey>,
}

/// The kernel has no random numbers, or the text is too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing can be sealed: the kernel gives no random numbers")]
pub struct SealError;

impl SealSecrets {
    /// A secret that ends with the process.
    ///
    /// # Errors
    ///
    /// When the kernel has no random numbers.
    pub fn of_this_process() -> Result<Self, SealError> {
        Ok(Self::new(&new_secret()?, []))
    }

    /// These secrets. Each has at least [`SHORTEST_SECRET`] characters that cannot be guessed.
    pub fn new<'a>(first: &'a str, others: impl IntoIterator<Item = &'a str>) -> Self {
        Self([first].into_iter().chain(others).map(|secret| root(secret.as_bytes())).collect())
    }

    /// Seals and opens texts of `purpose`.
    pub fn sealer(&self, purpose: &'static str) -> Sealer {
        let key = |root: &Prk| {
            let parts = [purpose.as_bytes()];
            let key = root.expand(&parts, &CHACHA20_POLY1305).expect("one key is not too long for HKDF");
            LessSafeKey::new(UnboundKey::from(key))
        };
        Sealer { purpose, keys: self.0.iter().map(key).collect() }
    }
}

fn root(secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, SALT).extract(secret)
}

/// A new secret as a text.
///
/// # Errors
///
/// When the kernel has no random numbers.
pub fn new_secret() -> Result<String, SealError> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?))
}

/// Random bytes, which cannot be guessed.
///
/// # Errors
///
/// When the kernel has no random numbers.
pub fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], SealError> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SealError)?;
    Ok(bytes)
}

impl Sealer {
    /// `plain` as a text that only a [`Sealer`] of the same purpose and secret opens. It differs each time.
    ///
    /// # Errors
    ///
    /// When the kernel has no random numbers.
    pub fn seal(&self, plain: &[u8]) -> Result<String, SealError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + MAX_TAG_LEN);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let (aad, body) = (Aad::from(self.purpose), &mut sealed[NONCE_LEN..]);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.keys[0].seal_in_place_separate_tag(nonce, aad, body).map_err(|_| SealError)?;
        sealed.extend_from_slice(tag.as_ref());
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The content that was sealed as `text`. `None` for any other text, without a reason.
    pub fn open(&self, text: &[u8]) -> Option<Vec<u8>> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        self.keys.iter().find_map(|key| {
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            // A key that does not fit leaves no text behind.
            let mut body = body.to_vec();
            let length = key.open_in_place(nonce, Aad::from(self.purpose), &mut body).ok()?.len();
            body.truncate(length);
            Some(body)
        })
    }

    /// `content` as JSON, sealed as a text behind `prefix`.
    ///
    /// # Errors
    ///
    /// When the kernel has no random numbers.
    pub fn seal_json(&self, prefix: &str, content: &impl Serialize) -> Result<String, SealError> {
        let content = serde_json::to_vec(content).map_err(|_| SealError)?;
        Ok(format!("{prefix}{}", self.seal(&content)?))
    }

    /// The content that was sealed as the JSON `text` behind `prefix`.
    pub fn open_json<T: DeserializeOwned>(&self, prefix: &str, text: impl AsRef<[u8]>) -> Option<T> {
        let content = self.open(text.as_ref().strip_prefix(prefix.as_bytes())?)?;
        serde_json::from_slice(&content).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an old secret of enough characters";
    const NEW: &str = "a new secret with enough characters";

    #[test]
    fn a_text_opens_for_its_purpose_and_secret_alone() {
        let secrets = SealSecrets::new(OLD, []);
        let session = secrets.sealer("session");
        let sealed = session.seal(b"plain").unwrap();
        assert_eq!(session.open(sealed.as_bytes()).as_deref(), Some(&b"plain"[..]));
        assert_eq!(SealSecrets::new(OLD, []).sealer("session").open(sealed.as_bytes()).unwrap(), b"plain");
        assert_eq!(secrets.sealer("token").open(sealed.as_bytes()), None);
        assert_eq!(SealSecrets::new(NEW, []).sealer("session").open(sealed.as_bytes()), None);
        assert_eq!(SealSecrets::of_this_process().unwrap().sealer("session").open(sealed.as_bytes()), None);
        assert_ne!(session.seal(b"plain").unwrap(), sealed);
        assert_eq!(session.open(session.seal(b"").unwrap().as_bytes()).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn the_first_secret_seals_and_all_open() {
        assert!(new_secret().unwrap().len() >= SHORTEST_SECRET);
        let before = SealSecrets::new(OLD, []).sealer("session");
        let after = SealSecrets::new(NEW, [OLD]).sealer("session");
        assert_eq!(after.open(before.seal(b"1").unwrap().as_bytes()).unwrap(), b"1");
        assert_eq!(before.open(after.seal(b"2").unwrap().as_bytes()), None);
    }

    #[test]
    fn no_changed_text_opens() {
        let sealer = SealSecrets::new(OLD, []).sealer("session");
        let sealed = sealer.seal(b"some plain text").unwrap().into_bytes();
        for at in 0..sealed.len() {
            for other in (0..=u8::MAX).filter(|other| *other != sealed[at]) {
                let mut changed = sealed.clone();
                changed[at] = other;
                assert_eq!(sealer.open(&changed), None, "{other} at {at}");
            }
            assert_eq!(sealer.open(&sealed[..at]), None);
        }
        assert_eq!(sealer.open(&[&sealed[..], b"="].concat()), None);
    }
}
