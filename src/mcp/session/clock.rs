//! The time of sessions: milliseconds since 1970, which never go back while the gateway runs.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

/// The clock of the machine is read once; from then on a session rests by a clock that is not set.
pub fn now() -> u64 {
    static BEGAN: LazyLock<(Duration, Instant)> = LazyLock::new(|| {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        (time, Instant::now())
    });
    let (began, instant) = *BEGAN;
    millis(began + instant.elapsed())
}

/// A time span in milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
