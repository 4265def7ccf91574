//! The time of a line, in UTC to the microsecond: `2026-07-28T08:15:00.000001Z`.
//!
//! Each call has a line. tracing's own clock writes the six numbers of a time through the formatting machinery, which is a
//! quarter of what the whole line costs.

use std::fmt;
use std::time::{Duration, SystemTime};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

const DAY: u64 = 24 * 60 * 60;
/// After so many days the calendar repeats itself.
const CYCLE: u64 = 400 * 365 + 97;
/// From the first of March of the year 0 to the first of January 1970.
const BEFORE_1970: u64 = 719_468;

/// A time has so many bytes.
const LENGTH: usize = 27;

/// The clock of the log.
#[derive(Debug)]
pub struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        out.write_str(text(&written(since_1970())))
    }
}

/// The time now.
pub fn now() -> String {
    text(&written(since_1970())).to_owned()
}

fn since_1970() -> Duration {
    // A clock that stands before that is not set.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn text(written: &[u8; LENGTH]) -> &str {
    std::str::from_utf8(written).expect("it is made of digits and signs")
}

/// The time that is `since` after the beginning of 1970.
fn written(since: Duration) -> [u8; LENGTH] {
    let (days, second) = (since.as_secs() / DAY + BEFORE_1970, since.as_secs() % DAY);
    // Years begin in March here, so that a leap day is the last one of its year.
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let year = (day - day / 1460 + day / 36_524 - day / (CYCLE - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, five months in a row have 153 days.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, is_next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let mut written = *b"0000-00-00T00:00:00.000000Z";
    put(&mut written[..4], 400 * cycle + year + is_next);
    put(&mut written[5..7], month);
    put(&mut written[8..10], day);
    put(&mut written[11..13], second / 3600);
    put(&mut written[14..16], second / 60 % 60);
    put(&mut written[17..19], second % 60);
    put(&mut written[20..26], since.subsec_micros().into());
    written
}

/// Writes the last digits of `number`.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_tracing_writes_it() {
        for (seconds, micros, text) in [
            (0, 0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, 999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000001Z"),
            (951_868_800, 0, "2000-03-01T00:00:00.000000Z"),
            (1_785_226_500, 1, "2026-07-28T08:15:00.000001Z"),
            (1_798_761_599, 10, "2026-12-31T23:59:59.000010Z"),
            (1_798_761_600, 0, "2027-01-01T00:00:00.000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(super::text(&written(Duration::new(seconds, micros * 1000))), text);
        }
    }

    #[test]
    fn each_day_follows_the_one_before_it() {
        let mut before = (1969, 12, 31);
        for day in 0..200_000_u32 {
            let written = written(Duration::from_secs(u64::from(day) * DAY));
            let number = |range: std::ops::Range<usize>| text(&written)[range].parse::<u32>().unwrap();
            let (year, month, day) = (number(0..4), number(5..7), number(8..10));
            let is_leap = before.0 % 4 == 0 && (before.0 % 100 != 0 || before.0 % 400 == 0);
            let last = match before.1 {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            let next = match before {
                (year, 12, 31) => (year + 1, 1, 1),
                (year, month, day) if day == last => (year, month + 1, 1),
                (year, month, day) => (year, month, day + 1),
            };
            assert_eq!((year, month, day), next);
            before = next;
        }
    }
}
