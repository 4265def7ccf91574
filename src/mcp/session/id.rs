//! Ids of sessions and of waiting requests, which cannot be guessed, and digests of texts.

use sha2::{Digest as _, Sha256};

use crate::json::hex;
use crate::seal::{SealError, random};

/// 32 hexadecimal digits from the kernel's random numbers.
///
/// # Errors
///
/// When the kernel has no random numbers.
pub fn new_id() -> Result<Box<str>, SealError> {
    Ok(hex(&random::<16>()?).into())
}

/// The digest of `texts`, each behind its length, so that no two lists of texts have the same.
pub fn digest<'a>(texts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.len().to_le_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}
