//! A document as it goes over the wire: serialised once per snapshot, served many times.

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Prebuilt JSON with its strong entity tag. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Compact JSON.
    pub bytes: Bytes,
    /// A strong entity tag with its quotes (RFC 9110 section 8.8.3): a function of the bytes alone.
    pub etag: String,
}

impl Document {
    /// Serialises `value`; the same value gives the same bytes and the same tag.
    pub fn new(value: &Value) -> Self {
        Self::of_text(serde_json::to_vec(value).expect("a JSON value has only string keys"))
    }

    /// A document whose JSON text is written already.
    pub fn of_text(bytes: Vec<u8>) -> Self {
        // 128 bits: no two documents of one gateway meet by chance.
        let etag = format!("\"{}\"", hash_prefix(&bytes, 32));
        Self { bytes: bytes.into(), etag }
    }
}

/// The first `digits` hexadecimal digits (at most 64) of the SHA-256 of `bytes`.
pub(super) fn hash_prefix(bytes: &[u8], digits: usize) -> String {
    let mut text: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_value_gives_one_tag_and_another_value_another() {
        let first = Document::new(&json!({"a": 1, "b": 2}));
        assert_eq!(first, Document::new(&json!({"a": 1, "b": 2})));
        assert_ne!(first.etag, Document::new(&json!({"a": 1, "b": 3})).etag);
        assert_eq!(first.bytes, r#"{"a":1,"b":2}"#);
    }

    #[test]
    fn the_tag_is_strong_and_quoted() {
        let tag = Document::new(&json!({})).etag;
        // sha256 of `{}`
        assert_eq!(tag, "\"44136fa355b3678a1146ad16f7e8649e\"");
    }
}
