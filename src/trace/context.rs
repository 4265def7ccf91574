//! W3C Trace Context: `traceparent` and `tracestate`, read strictly and passed on with a span of our own.
//!
//! <https://www.w3.org/TR/trace-context/>, sections 3.2 (traceparent) and 3.3 (tracestate). A broken
//! trace is ignored, as the recommendation requires: the caller loses the trace and no call.

use std::sync::Arc;

use super::random::next_number;

/// `00-{trace id: 32 digits}-{span id: 16 digits}-{flags: 2 digits}`
const LENGTH: usize = 55;
const TRACE_ID: std::ops::Range<usize> = 3..35;
const SPAN_ID: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;
/// Sampled, and random trace id; the others are not defined yet and must not be passed on.
const KNOWN_FLAGS: u8 = 0b11;
/// Characters of `tracestate` that are kept; the recommendation asks for at least as many.
const STATE_LENGTH: usize = 512;
/// Members of `tracestate`; a list with more is invalid.
const STATE_MEMBERS: usize = 32;

/// The trace that a call belongs to, and the span in it that asks. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Always of version 00.
    parent: [u8; LENGTH],
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads the values of a request's headers. `parents` must hold exactly one; the values of `states`
    /// count as one list. `None` when there is no valid trace.
    pub fn read<'a>(
        mut parents: impl Iterator<Item = &'a [u8]>,
        states: impl Iterator<Item = &'a [u8]>,
    ) -> Option<Self> {
        let parent = parents.next()?;
        if parents.next().is_some() {
            return None;
        }
        Some(Self { parent: read_parent(parent)?, state: read_state(states) })
    }

    /// The same trace with a new span, for a request to a server.
    pub fn child(&self) -> Self {
        let mut child = self.clone();
        child.parent[SPAN_ID].copy_from_slice(format!("{:016x}", next_number()).as_bytes());
        child
    }

    /// The id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.traceparent()[TRACE_ID]
    }

    /// The value of `traceparent`.
    pub fn traceparent(&self) -> &str {
        std::str::from_utf8(&self.parent).expect("it is made of digits and dashes")
    }

    /// The value of `tracestate`: printable ASCII, at most 512 characters.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

fn read_parent(text: &[u8]) -> Option<[u8; LENGTH]> {
    let head: &[u8; LENGTH] = text.first_chunk()?;
    let rest = &text[LENGTH..];
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let dashes = [2, 35, 52];
    let shaped = head.iter().enumerate().all(|(at, byte)| match dashes.contains(&at) {
        true => *byte == b'-',
        false => is_hex(byte),
    });
    let is_zero = |id: &[u8]| id.iter().all(|digit| *digit == b'0');
    // A later version may add something behind one more dash; version ff is forbidden.
    let length_fits = match &head[..2] {
        b"00" => rest.is_empty(),
        b"ff" => false,
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    if !shaped || !length_fits || is_zero(&head[TRACE_ID]) || is_zero(&head[SPAN_ID]) {
        return None;
    }
    let flags = u8::from_str_radix(std::str::from_utf8(&head[FLAGS]).ok()?, 16).ok()? & KNOWN_FLAGS;
    let mut parent = *head;
    parent[..2].copy_from_slice(b"00");
    parent[FLAGS].copy_from_slice(format!("{flags:02x}").as_bytes());
    Some(parent)
}

/// The list, cut behind the last member that fits; `None` when it is empty or invalid.
fn read_state<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Arc<str>> {
    let members = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let members = members.filter(|member| !member.is_empty());
    let texts = members.map(|member| std::str::from_utf8(member).ok().filter(|text| is_member(text)));
    let texts: Vec<&str> = texts.take(STATE_MEMBERS + 1).collect::<Option<_>>()?;
    if texts.len() > STATE_MEMBERS {
        return None;
    }
    let mut length = 0;
    let kept = texts.into_iter().take_while(|text| {
        length += text.len() + 1;
        length <= STATE_LENGTH + 1
    });
    let kept: Vec<&str> = kept.collect();
    (!kept.is_empty()).then(|| kept.join(",").into())
}

/// `key=value` as section 3.3.1.3 has it.
fn is_member(text: &str) -> bool {
    let Some((key, value)) = text.split_once('=') else { return false };
    let starts_well = key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let is_of_keys = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let key_is_good = key.len() <= 256 && key.bytes().all(is_of_keys);
    let value_is_good = (1..=256).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    starts_well && key_is_good && value_is_good
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(parents: &[&str], states: &[&str]) -> Option<TraceContext> {
        TraceContext::read(
            parents.iter().map(|text| text.as_bytes()),
            states.iter().map(|text| text.as_bytes()),
        )
    }

    #[test]
    fn a_valid_parent_is_read_and_its_unknown_flags_are_cleared() {
        for (given, passed_on) in [
            (GOOD, GOOD),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
            ),
            ("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", GOOD),
            ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-09-what-comes", GOOD),
        ] {
            let trace = read(&[given], &[]).unwrap_or_else(|| panic!("{given} is valid"));
            assert_eq!(trace.traceparent(), passed_on, "{given}");
            assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_no_trace() {
        for bad in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333g-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0G",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c8031\u{e9}-b7ad6b7169203331-01x",
        ] {
            assert_eq!(read(&[bad], &["a=1"]), None, "{bad:?}");
        }
        assert_eq!(read(&[], &["a=1"]), None);
        assert_eq!(read(&[GOOD, GOOD], &[]), None, "two parents");
    }

    #[test]
    fn a_child_keeps_everything_but_the_span() {
        let trace = read(&[GOOD], &["a=1"]).unwrap();
        let (first, second) = (trace.child(), trace.child());
        assert_eq!(first.tracestate(), Some("a=1"));
        for child in [&first, &second] {
            assert_eq!(child.traceparent()[..36], GOOD[..36]);
            assert_eq!(child.traceparent()[52..], GOOD[52..]);
            assert_ne!(child.traceparent(), GOOD);
            assert!(read(&[child.traceparent()], &[]).is_some());
        }
        assert_ne!(first, second);
    }

    #[test]
    fn the_state_is_one_list_that_is_cut_between_its_members() {
        let state = |values: &[&str]| read(&[GOOD], values).unwrap().state.as_deref().map(str::to_owned);
        assert_eq!(state(&[]), None);
        assert_eq!(state(&["", " , "]), None);
        assert_eq!(
            state(&["a=1, b@v=2 3", "", "0c/d*e_f-=\"q\\"]),
            Some("a=1,b@v=2 3,0c/d*e_f-=\"q\\".into())
        );
        let long: Vec<String> = (0..10).map(|index| format!("k{index}={}", "v".repeat(97))).collect();
        let cut = state(&[&long.join(",")]).unwrap();
        assert_eq!(cut, long[..5].join(","));
        assert!(cut.len() <= STATE_LENGTH);
        let first_is_long = format!("k={},a=1", "v".repeat(256));
        assert_eq!(state(&[&first_is_long, &first_is_long]).as_deref(), Some(first_is_long.as_str()));
    }

    #[test]
    fn an_invalid_state_costs_the_state_and_not_the_trace() {
        let too_many = (0..33).map(|index| format!("k{index}=1")).collect::<Vec<_>>().join(",");
        let long_value = format!("k={}", "v".repeat(257));
        for bad in
            ["a", "=1", "A=1", "a=", "a=1=2", "a=\u{e9}", "a=\t1", "-a=1", "a b=1", &too_many, &long_value]
        {
            let trace = read(&[GOOD], &["ok=1", bad]).unwrap();
            assert_eq!(trace.tracestate(), None, "{bad:?}");
        }
    }
}
