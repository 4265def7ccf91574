//! The id of one request: the caller's own, or one that is unique in this process.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::random::SEED;

/// The longest id that is taken over from a caller, in characters.
const LONGEST: usize = 128;

/// Visible ASCII without quotes, 1 to 128 characters. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Bytes);

impl RequestId {
    /// The caller's id, if it is safe in a log and in a header.
    pub fn given(text: Bytes) -> Option<Self> {
        let fits = (1..=LONGEST).contains(&text.len());
        let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'`' | b'\\');
        (fits && text.iter().all(plain)).then_some(Self(text))
    }

    /// A new id: eight digits for the process, then the number of the request, both hexadecimal.
    pub fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(1);
        static PROCESS: LazyLock<String> = LazyLock::new(|| format!("{:08x}-", *SEED >> 32));
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let digits = number.ilog2() / 4 + 1;
        // Just as long as the text, which is not moved then, and without the formatting machinery: each request has one.
        let mut text = Vec::with_capacity(PROCESS.len() + digits as usize);
        text.extend_from_slice(PROCESS.as_bytes());
        text.extend(
            (0..digits).rev().map(|place| b"0123456789abcdef"[(number >> (4 * place) & 0xf) as usize]),
        );
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is ASCII")
    }

    /// The id as bytes, without a copy.
    pub fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_ids_are_taken_over_and_others_are_not() {
        let longest = "x".repeat(LONGEST);
        for good in ["a", "7f3a-1", "01JD8Z0V:req/[1]{2}=+~", &longest] {
            let id = RequestId::given(Bytes::copy_from_slice(good.as_bytes()));
            assert_eq!(id.as_ref().map(RequestId::as_str), Some(good));
        }
        let too_long = "x".repeat(LONGEST + 1);
        for bad in ["", &too_long, "a b", "a\"b", "it's", "a`b", "a\\b", "a\tb", "a\nb", "ünï", "\u{7f}"] {
            assert_eq!(RequestId::given(Bytes::copy_from_slice(bad.as_bytes())), None, "{bad:?}");
        }
    }

    #[test]
    fn new_ids_differ_and_could_be_given() {
        let (first, second) = (RequestId::new(), RequestId::new());
        assert_ne!(first, second);
        assert_eq!(first.as_str()[..9], second.as_str()[..9]);
        assert!(RequestId::given(first.to_bytes()).is_some(), "{first}");
        let number = |id: &RequestId| u64::from_str_radix(&id.as_str()[9..], 16).unwrap();
        assert!(number(&first) < number(&second), "{first}, {second}");
    }
}
