//! How long to wait before something is tried again: pure arithmetic over how often it failed, and the chance in it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// The first wait after a failure.
pub const FIRST: Duration = Duration::from_secs(1);
/// The longest wait; tries never end.
pub const LONGEST: Duration = Duration::from_secs(60);
/// The wait when only an operator can help (401, 403).
pub const OPERATOR: Duration = Duration::from_secs(300);
/// A server that lived this long has shown that it can start: it is restarted at once.
pub const PROVEN: Duration = Duration::from_secs(10);

/// The wait before try number `failures + 1`, where `jitter` is a random number in 0..1.
///
/// Doubles from [`FIRST`] to [`LONGEST`]; jitter takes away up to a quarter, so that servers which fell
/// together do not come back together.
pub fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 4.0)
}

/// A random number in 0..1, from the seed that the standard library draws for its hash maps.
pub fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let fraction = bits as f64 / (1u64 << 53) as f64;
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_one_second_to_one_minute() {
        let waits: Vec<u64> = (1..=8).map(|failures| delay(failures, 0.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(delay(u32::MAX, 0.0), LONGEST);
    }

    #[test]
    fn jitter_shortens_by_at_most_a_quarter() {
        assert_eq!(delay(3, 1.0), Duration::from_secs(3));
        assert!(delay(3, 0.5) < delay(3, 0.0));
    }
}
