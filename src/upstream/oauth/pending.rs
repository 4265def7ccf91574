//! Sign-ins that wait for browsers to come back from an authorization server.
//!
//! Each has an unguessable `state` that counts once, for ten minutes, and only from the browser that it began in: that
//! browser holds a secret in a cookie. Among replicas the browser may come back to any of them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use crate::json::hex;
use crate::shared_store::{SealedError, SealedValues};
use crate::sync::lock;

/// How long a browser may take.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// Browsers that are waited for at one time; for a further one, the user that has most of them loses its oldest.
const MOST: usize = 64;

/// The values that wait for browsers, by their state.
#[derive(Debug)]
pub struct PendingBrowsers<T> {
    here: Mutex<HashMap<String, PendingBrowser<T>>>,
    /// The same in the store of all replicas, as far as they can read it.
    shared: OnceLock<SealedValues>,
}

#[derive(Debug)]
struct PendingBrowser<T> {
    value: T,
    /// Digest of the browser's secret.
    secret: [u8; 32],
    user: Option<Box<str>>,
    began: Instant,
    /// It stands in the store, too, which then says whether it still waits.
    is_shared: bool,
}

/// Why a browser that comes back gets nothing.
#[derive(Debug, PartialEq, Eq)]
pub enum NotPending {
    /// Nothing waits under this state.
    Unknown,
    /// It waits for another browser.
    OtherBrowser,
    /// It may have begun at another replica, and the store of all is away.
    StoreAway,
}

impl<T> Default for PendingBrowsers<T> {
    fn default() -> Self {
        Self { here: Mutex::default(), shared: OnceLock::new() }
    }
}

impl<T: Serialize + DeserializeOwned> PendingBrowsers<T> {
    /// Has the browsers come back to any replica: what a value needs there is kept in `values`.
    pub fn share(&self, values: SealedValues) {
        self.shared.get_or_init(|| values);
    }

    /// Has `value` wait under `state` for the browser of `user` that holds `secret`.
    pub async fn add(&self, state: String, secret: &str, user: Option<&str>, value: T) {
        let secret: [u8; 32] = Sha256::digest(secret).into();
        let is_shared = match self.shared.get() {
            // While the store is away the browser has to come back here.
            Some(values) => values.set(&name(&state), &(&value, secret), LIFETIME).await.is_ok(),
            None => false,
        };
        let ended = {
            let mut here = lock(&self.here);
            here.retain(|_, open| open.began.elapsed() < LIFETIME);
            let mut ended = Vec::new();
            while here.len() >= MOST {
                let Some(state) = first_to_end(&here, user) else { break };
                here.remove(&state);
                ended.push(state);
            }
            let (user, began) = (user.map(Box::from), Instant::now());
            here.insert(state, PendingBrowser { value, secret, user, began, is_shared });
            ended
        };
        if let Some(values) = self.shared.get() {
            for state in ended {
                let _expires_by_itself = values.take(&name(&state)).await;
            }
        }
    }

    /// Takes the value of `state` out, for the browser that it began in. Of all replicas that try, one gets it.
    ///
    /// # Errors
    ///
    /// [`NotPending`]; a value that waits for another browser waits on.
    pub async fn take(&self, state: &str, secret: Option<&str>) -> Result<T, NotPending> {
        let is_shared = lock(&self.here).get(state).map(|open| open.is_shared);
        let (Some(values), true) = (self.shared.get(), is_shared != Some(false)) else {
            return self.take_here(state, secret);
        };
        match values.get::<(T, [u8; 32])>(&name(state)).await {
            Ok(Some((value, digest))) => {
                check(&digest, secret)?;
                match values.take(&name(state)).await {
                    // The value that is here has more at hand than its copy in the store.
                    Ok(true) => Ok(self.take_here(state, secret).unwrap_or(value)),
                    Ok(false) => Err(NotPending::Unknown),
                    Err(_) => Err(NotPending::StoreAway),
                }
            }
            Ok(None) => {
                lock(&self.here).remove(state);
                Err(NotPending::Unknown)
            }
            Err(SealedError::Foreign) => Err(NotPending::Unknown),
            Err(SealedError::Away(_)) if is_shared.is_some() => self.take_here(state, secret),
            Err(SealedError::Away(_)) => Err(NotPending::StoreAway),
        }
    }

    fn take_here(&self, state: &str, secret: Option<&str>) -> Result<T, NotPending> {
        let mut here = lock(&self.here);
        let found = here.get(state).filter(|open| open.began.elapsed() < LIFETIME);
        check(&found.ok_or(NotPending::Unknown)?.secret, secret)?;
        here.remove(state).map(|open| open.value).ok_or(NotPending::Unknown)
    }
}

/// The state of the sign-in that makes room for one of `user`: the oldest of the user that then has most of them.
fn first_to_end<T>(waiting: &HashMap<String, PendingBrowser<T>>, user: Option<&str>) -> Option<String> {
    let mut counts = HashMap::from([(user, 1)]);
    for open in waiting.values() {
        *counts.entry(open.user.as_deref()).or_insert(0) += 1;
    }
    let count = |open: &PendingBrowser<T>| counts.get(&open.user.as_deref()).copied();
    let first = waiting.iter().max_by_key(|(_, open)| (count(open), Reverse(open.began)));
    first.map(|(state, _)| state.clone())
}

/// Refuses a browser without the secret that has this digest.
fn check(digest: &[u8; 32], secret: Option<&str>) -> Result<(), NotPending> {
    let given: [u8; 32] = Sha256::digest(secret.unwrap_or_default()).into();
    match secret.is_some() && bool::from(given.ct_eq(digest)) {
        true => Ok(()),
        false => Err(NotPending::OtherBrowser),
    }
}

/// The name of a state in the store, which reveals nothing about it.
fn name(state: &str) -> String {
    hex(&Sha256::digest(state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sign_in_lives_ten_minutes() {
        let sign_ins = PendingBrowsers::default();
        for (state, minutes, counts) in [("early", 9, true), ("late", 10, false)] {
            sign_ins.add(state.into(), "mine", None, ()).await;
            tokio::time::advance(Duration::from_secs(minutes * 60)).await;
            assert_eq!(sign_ins.take(state, Some("mine")).await.is_ok(), counts, "{state}");
        }
        // A sign-in that is over is not kept.
        sign_ins.add("next".into(), "mine", None, ()).await;
        assert_eq!(lock(&sign_ins.here).len(), 1);
    }

    #[tokio::test]
    async fn a_sign_in_counts_once_and_another_browser_does_not_end_it() {
        let sign_ins = PendingBrowsers::default();
        sign_ins.add("a".into(), "mine", None, 7).await;
        for secret in [None, Some(""), Some("other")] {
            assert_eq!(sign_ins.take("a", secret).await, Err(NotPending::OtherBrowser), "{secret:?}");
        }
        assert_eq!(sign_ins.take("a", Some("mine")).await, Ok(7));
        assert_eq!(sign_ins.take("a", Some("mine")).await, Err(NotPending::Unknown));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_sign_ins_at_one_time_and_the_user_with_most_of_them_makes_room() {
        let sign_ins = PendingBrowsers::default();
        let add = async |user: &str, number: usize| {
            tokio::time::advance(Duration::from_millis(1)).await;
            sign_ins.add(format!("{user}{number}"), "mine", Some(user), ()).await;
        };
        for number in 0..MOST / 2 {
            add("ann", number).await;
        }
        for number in 0..MOST / 2 + 2 {
            add("bob", number).await;
        }
        let here = lock(&sign_ins.here);
        assert_eq!(here.len(), MOST);
        assert!(here.contains_key("ann0") && here.contains_key("bob2"));
        assert!(!here.contains_key("bob0") && !here.contains_key("bob1"), "the oldest of bob had to go");
    }
}
