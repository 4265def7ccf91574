//! Times as seconds since 1970, as tokens, metrics and the status have them.

use std::time::SystemTime;

/// The seconds from 1970 until `moment`; 0 for an earlier one.
pub fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The seconds from 1970 until now.
pub fn now() -> u64 {
    seconds(SystemTime::now())
}
