//! `rate`: how many calls in how much time, of an API key or of a server.
//!
//! Written as `"60/min"`, or as `{ "calls": 60, "per": 60, "burst": 10 }` with `per` in seconds. Calls come free evenly,
//! one each `per / calls`; `burst` is how many of them may be saved up and made at once, all of `calls` unless it says
//! otherwise.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use super::fields::{Fields, LONGEST_SECONDS, mismatch};
use super::json_tree::JsonValue;
use super::key;
use super::keys::nested;
use super::location::Location;
use super::problem::Problems;

/// A rate that a limiter can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateConfig {
    pub calls: NonZeroU32,
    pub per: Duration,
    pub burst: NonZeroU32,
}

impl RateConfig {
    /// The rate, or `None` when no limiter can count it. It cannot count calls that come free faster than a nanosecond, or a
    /// burst that takes longer than a year to save up.
    pub fn new(calls: NonZeroU32, per: Duration, burst: NonZeroU32) -> Option<Self> {
        let rate = Self { calls, per, burst };
        let whole = rate.interval().checked_mul(burst.get())?;
        let counts = !rate.interval().is_zero() && whole.as_secs_f64() <= LONGEST_SECONDS;
        counts.then_some(rate)
    }

    /// The time from one call that comes free to the next.
    pub fn interval(&self) -> Duration {
        self.per / self.calls.get()
    }
}

impl fmt::Display for RateConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = if self.calls.get() == 1 { "call" } else { "calls" };
        write!(formatter, "{} {calls} in {} s", self.calls, self.per.as_secs_f64())?;
        if self.burst != self.calls {
            write!(formatter, ", {} of them at once", self.burst)?;
        }
        Ok(())
    }
}

/// The units of the short form, in seconds.
pub(super) const UNITS: [(&str, u64); 11] = [
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("m", 60),
    ("min", 60),
    ("minute", 60),
    ("h", 3600),
    ("hour", 3600),
    ("d", 86_400),
    ("day", 86_400),
    ("week", 604_800),
];

const FIX: &str = "write `\"60/min\"` (or /s, /h, /day), or `{ \"calls\": 60, \"per\": 60, \"burst\": 10 }` with \
                   `per` in seconds";

/// The member `rate` of an entry.
pub(super) fn of_entry(fields: &Fields<'_>, problems: &mut Problems) -> Option<RateConfig> {
    let (node, location) = fields.get("rate")?;
    match &node.value {
        JsonValue::Text(text) => {
            let rate = short(text);
            if rate.is_none() {
                problems.error(&location, "this is no rate", FIX);
            }
            rate
        }
        JsonValue::Object(_) => long(&Fields::new(node, location, problems)?, problems),
        _ => mismatch(&location, "a rate such as \"60/min\"", node, problems),
    }
}

fn short(text: &str) -> Option<RateConfig> {
    let (calls, unit) = text.split_once('/')?;
    let calls: NonZeroU32 = calls.trim().parse().ok()?;
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    RateConfig::new(calls, Duration::from_secs(*seconds), calls)
}

fn long(fields: &Fields<'_>, problems: &mut Problems) -> Option<RateConfig> {
    fields.report_unknown("a rate", &key::names(nested::RATE), &[], problems);
    let location = &fields.location;
    for name in ["calls", "per"] {
        if fields.get(name).is_none() {
            problems.error(location, format!("`{name}` is missing"), FIX);
        }
    }
    let calls = fields.count("calls", problems);
    let burst = fields.count("burst", problems);
    let per = fields.seconds("per", problems);
    let has_burst = fields.get("burst").is_some();
    let (calls, per) = (calls?, per?);
    let burst = if has_burst { burst? } else { calls };
    let rate =
        bounded(calls).zip(bounded(burst)).and_then(|(calls, burst)| RateConfig::new(calls, per, burst));
    if rate.is_none() {
        out_of_bounds(location, problems);
    }
    rate
}

fn bounded(count: usize) -> Option<NonZeroU32> {
    u32::try_from(count).ok().and_then(NonZeroU32::new)
}

fn out_of_bounds(location: &Location, problems: &mut Problems) {
    problems.error(
        location,
        "no clock can count this rate: calls come free too fast, or the burst takes more than a year to save up",
        "write smaller numbers",
    );
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::json_tree;
    use super::super::sources::Purpose;
    use super::*;

    fn read(rate: &str) -> Result<Option<RateConfig>, String> {
        let mut problems = Problems::new(Purpose::Check);
        let path = Path::new("a.json");
        let root = json_tree::parse(path, &format!(r#"{{"rate": {rate}}}"#), &mut problems).unwrap();
        let fields = Fields::new(&root, Location::file(path), &mut problems).unwrap();
        let rate = of_entry(&fields, &mut problems);
        let problems = problems.into_sorted();
        if problems.is_empty() { Ok(rate) } else { Err(problems.iter().map(ToString::to_string).collect()) }
    }

    #[test]
    fn both_forms_say_calls_in_a_time() {
        let told = |rate: &str| read(rate).unwrap().unwrap().to_string();
        assert_eq!(told(r#""60/min""#), "60 calls in 60 s");
        assert_eq!(told(r#"" 5 / s ""#), "5 calls in 1 s");
        assert_eq!(told(r#""1000/day""#), "1000 calls in 86400 s");
        assert_eq!(told(r#""1/min""#), "1 call in 60 s");
        assert_eq!(told(r#"{"calls": 3, "per": 0.5}"#), "3 calls in 0.5 s");
        assert_eq!(told(r#"{"calls": 60, "per": 60, "burst": 2}"#), "60 calls in 60 s, 2 of them at once");
        assert_eq!(read("null").unwrap(), None);
    }

    #[test]
    fn what_is_no_rate_is_told_with_the_forms_there_are() {
        for (rate, message) in [
            (r#""60""#, "this is no rate\n  fix: write `\"60/min\"`"),
            (r#""0/s""#, "this is no rate"),
            (r#""-1/s""#, "this is no rate"),
            (r#""5/year""#, "this is no rate"),
            ("60", "this must be a rate such as \"60/min\", but it is a number"),
            (r#"{"calls": 5}"#, "`per` is missing"),
            (r#"{"per": 5}"#, "`calls` is missing"),
            (r#"{"calls": 5, "per": 0}"#, "this must be more than 0"),
            (r#"{"calls": 1.5, "per": 1}"#, "this must be a whole number"),
            (r#"{"calls": 5, "per": 1, "brust": 1}"#, "write `burst` if that was meant"),
            (r#"{"calls": 4294967295, "per": 1}"#, "no clock can count this rate"),
            (r#"{"calls": 5000000000, "per": 1000}"#, "no clock can count this rate"),
            (r#"{"calls": 1, "per": 31000000, "burst": 4294967295}"#, "no clock can count this rate"),
            (r#"{"calls": 2, "per": 1, "burst": 0}"#, "this must be a whole number of at least 1"),
        ] {
            let told = read(rate).unwrap_err();
            assert!(told.contains("rate") && told.contains(message), "{rate}: {told}");
        }
    }
}
