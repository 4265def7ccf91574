//! The time of a line, in UTC to the microsecond: `2026-07-28T08:15:00.000001Z`.
//!
//! Each call has a line. tracing's own clock writes the six numbers of a time one by one through the formatting machinery,
//! which is a quarter of the cost of the whole line; humantime writes them at once.

use std::fmt;
use std::time::SystemTime;

use humantime::{Rfc3339Timestamp, format_rfc3339_micros};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// The clock of the log.
#[derive(Debug)]
pub struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{}", now())
    }
}

/// The time now; that of a clock which is not set, and stands before 1970, is the beginning of 1970.
pub fn now() -> Rfc3339Timestamp {
    format_rfc3339_micros(SystemTime::now().max(SystemTime::UNIX_EPOCH))
}
