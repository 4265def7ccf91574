//! Finds forwarded headers that differ with each call, so that each call opens a connection of its own.
//!
//! Values are kept as digests, of the last connection of each caller alone.

use std::collections::{HashMap, HashSet};

use http::{HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::shares::Principal;

/// Connections in a row that were opened and not used again, before a header is named that differed each time while another
/// one stayed.
const OPENED: usize = 8;
/// The same where every header differed: they may be those of many people.
const OPENED_BY_MANY: usize = 32;
/// Callers that are looked at, at one time.
const CALLERS: usize = 256;
/// Headers of callers that are named; no more are then.
const NAMED: usize = 64;

/// The connections of callers that were opened one after the other.
#[derive(Debug, Default)]
pub struct HeaderChurn {
    callers: HashMap<Principal, OpenedInRow>,
    named: HashSet<(Principal, HeaderName)>,
}

#[derive(Debug, Default)]
struct OpenedInRow {
    count: usize,
    /// The last values by name, and how many in a row differed from the one before.
    headers: HashMap<HeaderName, ([u8; 8], usize)>,
}

impl HeaderChurn {
    /// A connection of `caller` is used again.
    pub fn reused(&mut self, caller: &Principal) {
        // Nearly always there is nothing to forget.
        if !self.callers.is_empty() {
            self.callers.remove(caller);
        }
    }

    /// A connection of `caller` is opened for calls with these `headers`, sorted by name. Gives the headers that were found to
    /// differ with each call, each once.
    pub fn opened(&mut self, caller: &Principal, headers: &[(HeaderName, HeaderValue)]) -> Vec<HeaderName> {
        if headers.is_empty() || self.named.len() >= NAMED {
            return Vec::new();
        }
        if self.callers.len() >= CALLERS && !self.callers.contains_key(caller) {
            self.callers.clear();
        }
        let row = self.callers.entry(caller.clone()).or_default();
        let before = std::mem::take(&mut row.headers);
        row.count += 1;
        for values in headers.chunk_by(|one, other| one.0 == other.0) {
            let (name, digest) = (&values[0].0, digest(values));
            let changes = match before.get(name) {
                Some((known, changes)) if *known != digest => changes + 1,
                _ => 0,
            };
            row.headers.insert(name.clone(), (digest, changes));
        }
        let needed =
            if row.headers.values().any(|(_, changes)| *changes == 0) { OPENED } else { OPENED_BY_MANY };
        if row.count < needed {
            return Vec::new();
        }
        let differs = row.headers.iter().filter(|(_, (_, changes))| *changes + 1 >= needed);
        let mut found: Vec<HeaderName> = differs.map(|(name, _)| name.clone()).collect();
        found.retain(|name| self.named.insert((caller.clone(), name.clone())));
        found.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        found
    }
}

fn digest(values: &[(HeaderName, HeaderValue)]) -> [u8; 8] {
    let mut digest = Sha256::new();
    for (_, value) in values {
        digest.update(value.len().to_le_bytes());
        digest.update(value.as_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, String)]) -> Vec<(HeaderName, HeaderValue)> {
        let pair = |(name, value): &(&'static str, String)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn named(churn: &mut HeaderChurn, caller: &Principal, pairs: &[(&'static str, String)]) -> Vec<String> {
        churn.opened(caller, &headers(pairs)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_header_that_differs_each_time_is_named_once_and_one_that_stays_is_not() {
        let (mut churn, key) = (HeaderChurn::default(), Principal::of_key("k"));
        let mut found = Vec::new();
        for number in 0..100 {
            let pairs = [("x-token", format!("secret-{number}")), ("x-user", "ann".to_owned())];
            let names = named(&mut churn, &key, &pairs);
            found.extend(names.into_iter().map(|name| (number, name)));
        }
        assert_eq!(found, [(OPENED - 1, "x-token".to_owned())]);
        let kept = format!("{churn:?}");
        assert!(!kept.contains("secret"), "{kept}");
    }

    #[test]
    fn users_who_call_again_are_not_taken_for_a_header_that_differs() {
        let (mut churn, key) = (HeaderChurn::default(), Principal::of_key("k"));
        for number in 0..200 {
            assert!(named(&mut churn, &key, &[("x-user", number.to_string())]).is_empty(), "{number}");
            if number % 20 == 19 {
                churn.reused(&key);
            }
        }
        // Two callers in turns are two rows, each of which stays the same.
        for number in 0..200 {
            let caller = Principal::of_key(if number % 2 == 0 { "a" } else { "b" });
            let user = caller.key_name().unwrap().to_owned();
            assert!(named(&mut churn, &caller, &[("x-user", user)]).is_empty());
        }
        let alone =
            (0..200).find(|number| !named(&mut churn, &key, &[("x-id", number.to_string())]).is_empty());
        assert_eq!(alone, Some(OPENED_BY_MANY - 1));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut churn = HeaderChurn::default();
        for number in 0..10 * CALLERS {
            let caller = Principal::of_key(&number.to_string());
            named(&mut churn, &caller, &[("x-user", "ann".to_owned())]);
            assert!(churn.callers.len() <= CALLERS);
        }
    }
}
