//! Dates and times, by the rules of the strictest readers.

use chrono::DateTime;

/// Whether `text` is a date and time of RFC 3339, section 5.6, for the strictest readers.
///
/// These take capital letters alone, and no leap seconds.
pub fn is_date_time(text: &str) -> bool {
    let has_leap_second = text.get(17..19) == Some("60");
    !has_leap_second && !text.contains(['t', 'z', ' ']) && DateTime::parse_from_rfc3339(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_and_time_has_a_zone_and_is_one_of_the_calendar() {
        for good in ["2025-01-12T15:00:58Z", "2024-02-29T23:59:59.123456+05:30", "2000-02-29T00:00:00-23:59"]
        {
            assert!(is_date_time(good), "{good}");
        }
        for bad in [
            "",
            "2025-01-12",
            "2025-01-12T15:00:58",
            "2025-01-12 15:00:58Z",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-12T24:00:00Z",
            "2025-01-12T15:60:00Z",
            "2025-01-12T15:00:60Z",
            "2025-01-12T15:00:58.Z",
            "2025-01-12T15:00:58+0530",
            "2025-01-12T15:00:58+24:00",
            "2025-01-12t15:00:58z",
            "2025-01-12T15:00:58Zé",
            "2025-01-1éT15:00:58Z",
            "+025-01-12T15:00:58Z",
        ] {
            assert!(!is_date_time(bad), "{bad}");
        }
    }
}
