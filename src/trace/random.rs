//! Numbers for ids that look random: cheap, and no secret.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::LazyLock;

/// A number of this process.
pub(super) static SEED: LazyLock<u64> = LazyLock::new(next_number);

/// A number that looks random and is never 0: each state of the standard library has keys of its own.
pub(super) fn next_number() -> u64 {
    RandomState::new().build_hasher().finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_comes_twice() {
        let numbers: std::collections::HashSet<u64> = (0..10_000).map(|_| next_number()).collect();
        assert_eq!(numbers.len(), 10_000);
    }
}
