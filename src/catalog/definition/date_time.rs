//! Dates and times, by the rules of the strictest readers.

/// Whether `text` is a date and time of RFC 3339, section 5.6, for the strictest readers.
///
/// These take capital letters alone, and no leap seconds.
pub fn is_date_time(text: &str) -> bool {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|digits| digits.parse::<u32>().ok())
    };
    let is_at = |place: usize, byte: u8| text.as_bytes().get(place) == Some(&byte);
    let (Some(year), Some(month), Some(day)) = (number(0, 4), number(5, 7), number(8, 10)) else {
        return false;
    };
    let (Some(hour), Some(minute), Some(second)) = (number(11, 13), number(14, 16), number(17, 19)) else {
        return false;
    };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return false,
    };
    let separated = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separated.iter().all(|(place, byte)| is_at(*place, *byte)) || !(1..=days).contains(&day) {
        return false;
    }
    let mut zone = 19;
    if is_at(zone, b'.') {
        let digits = text.bytes().skip(20).take_while(u8::is_ascii_digit).count();
        zone = 20 + digits;
        if digits == 0 {
            return false;
        }
    }
    let has_zone = match text.get(zone..) {
        Some("Z") => true,
        Some(offset) if offset.len() == 6 && offset.starts_with(['+', '-']) && is_at(zone + 3, b':') => {
            let (hours, minutes) = (number(zone + 1, zone + 3), number(zone + 4, zone + 6));
            hours.is_some_and(|hours| hours < 24) && minutes.is_some_and(|minutes| minutes < 60)
        }
        _ => false,
    };
    has_zone && hour < 24 && minute < 60 && second < 60
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
