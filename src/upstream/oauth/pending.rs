//! What waits for browsers to come back from an authorization server.
//!
//! Each has an unguessable `state` that counts once, for ten minutes, and only from the browser that it began in: that
//! browser holds a secret in a cookie.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use crate::sync::lock;

/// How long a browser may take.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// Browsers that are waited for at one time; a further one ends the oldest.
const MOST: usize = 64;

/// The values that wait for browsers, by their state.
#[derive(Debug)]
pub struct PendingBrowsers<T>(Mutex<HashMap<String, PendingBrowser<T>>>);

#[derive(Debug)]
struct PendingBrowser<T> {
    value: T,
    /// Digest of the browser's secret.
    secret: [u8; 32],
    began: Instant,
}

/// Why a browser that comes back gets nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum NotPending {
    /// Nothing waits under this state.
    Unknown,
    /// It waits for another browser.
    OtherBrowser,
}

impl<T> Default for PendingBrowsers<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> PendingBrowsers<T> {
    /// Has `value` wait under `state` for the browser with `secret`.
    pub fn add(&self, state: String, secret: &str, value: T) {
        let mut open = lock(&self.0);
        open.retain(|_, open| open.began.elapsed() < LIFETIME);
        while open.len() >= MOST {
            let oldest = open.iter().min_by_key(|(_, open)| open.began).map(|(state, _)| state.clone());
            let Some(oldest) = oldest else { break };
            open.remove(&oldest);
        }
        let secret = Sha256::digest(secret).into();
        open.insert(state, PendingBrowser { value, secret, began: Instant::now() });
    }

    /// Takes the value of `state` out, for the browser that it began in.
    ///
    /// # Errors
    ///
    /// [`NotPending`]; a value that waits for another browser waits on.
    pub fn take(&self, state: &str, secret: Option<&str>) -> Result<T, NotPending> {
        let mut open = lock(&self.0);
        let found = open.get(state).filter(|open| open.began.elapsed() < LIFETIME);
        let found = found.ok_or(NotPending::Unknown)?;
        let given: [u8; 32] = Sha256::digest(secret.unwrap_or_default()).into();
        if secret.is_none() || !bool::from(given.ct_eq(&found.secret)) {
            return Err(NotPending::OtherBrowser);
        }
        open.remove(state).map(|open| open.value).ok_or(NotPending::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sign_in_lives_ten_minutes() {
        let sign_ins = PendingBrowsers::default();
        for (state, minutes, counts) in [("early", 9, true), ("late", 10, false)] {
            sign_ins.add(state.into(), "mine", ());
            tokio::time::advance(Duration::from_secs(minutes * 60)).await;
            assert_eq!(sign_ins.take(state, Some("mine")).is_ok(), counts, "{state}");
        }
        // A sign-in that is over is not kept.
        sign_ins.add("next".into(), "mine", ());
        assert_eq!(lock(&sign_ins.0).len(), 1);
    }

    #[tokio::test]
    async fn a_sign_in_counts_once_and_another_browser_does_not_end_it() {
        let sign_ins = PendingBrowsers::default();
        sign_ins.add("a".into(), "mine", 7);
        for secret in [None, Some(""), Some("other")] {
            assert_eq!(sign_ins.take("a", secret), Err(NotPending::OtherBrowser), "{secret:?}");
        }
        assert_eq!(sign_ins.take("a", Some("mine")), Ok(7));
        assert_eq!(sign_ins.take("a", Some("mine")), Err(NotPending::Unknown));
    }

    #[tokio::test]
    async fn so_many_sign_ins_at_one_time_and_no_more() {
        let sign_ins = PendingBrowsers::default();
        for number in 0..=MOST {
            sign_ins.add(number.to_string(), "mine", ());
        }
        assert_eq!(lock(&sign_ins.0).len(), MOST);
        assert!(!lock(&sign_ins.0).contains_key("0"), "the oldest had to go");
    }
}
