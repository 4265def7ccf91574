//! JSON text with its entity tag: written once, served many times.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::json::hex;

/// JSON text with its strong entity tag. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedJson {
    /// Compact JSON.
    pub bytes: Bytes,
    /// A strong entity tag with its quotes (RFC 9110 section 8.8.3): a function of the bytes alone.
    pub etag: String,
}

impl TaggedJson {
    /// Tags the JSON text `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        // 128 bits: no two texts of one gateway meet by chance.
        let etag = format!("\"{}\"", hash_prefix(&bytes, 32));
        Self { bytes: bytes.into(), etag }
    }
}

/// The first `digits` hexadecimal digits (at most 64) of the SHA-256 of `bytes`.
pub(super) fn hash_prefix(bytes: &[u8], digits: usize) -> String {
    let mut text = hex(&Sha256::digest(bytes));
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_gives_one_tag_and_another_text_another() {
        let first = TaggedJson::new(br#"{"a":1}"#.to_vec());
        assert_eq!(first, TaggedJson::new(br#"{"a":1}"#.to_vec()));
        assert_ne!(first.etag, TaggedJson::new(br#"{"a":2}"#.to_vec()).etag);
    }

    #[test]
    fn the_tag_is_strong_and_quoted() {
        let tag = TaggedJson::new(b"{}".to_vec()).etag;
        // sha256 of `{}`
        assert_eq!(tag, "\"44136fa355b3678a1146ad16f7e8649e\"");
    }
}
