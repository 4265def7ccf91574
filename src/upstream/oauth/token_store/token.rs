//! An access token: when it is renewed, and when it ends.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method, Uri};

use crate::upstream::oauth::dpop::{self, Prover};

/// A token is refreshed so long before its end, or in the last quarter of a shorter life.
const EARLY: Duration = Duration::from_secs(60);

/// An access token, ready to be sent.
pub struct Token {
    pub header: HeaderValue,
    /// Of a token that is bound to a key: what makes the proofs, and what they say of the token.
    bound: Option<(Arc<Prover>, String)>,
    /// When to refresh it, and when it ends; `None` without a known lifetime.
    due: Option<SystemTime>,
    ends: Option<SystemTime>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Token").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl Token {
    /// A token that was received at `since` for `lifetime`; `None` when it cannot stand in a header. One that is bound to a
    /// key has a `prover`.
    pub fn new(
        secret: &str,
        since: SystemTime,
        lifetime: Option<Duration>,
        prover: Option<Arc<Prover>>,
    ) -> Option<Self> {
        let scheme = if prover.is_some() { dpop::SCHEME } else { "Bearer" };
        let mut header = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
        header.set_sensitive(true);
        let ends = lifetime.and_then(|lifetime| since.checked_add(lifetime));
        let due = lifetime.and_then(|lifetime| since.checked_add(lifetime - EARLY.min(lifetime / 4)));
        Some(Self { header, bound: prover.map(|prover| (prover, dpop::hash(secret))), due, ends })
    }

    /// The proof for one request, of a token that is bound to a key.
    ///
    /// # Errors
    ///
    /// It cannot be signed.
    pub fn proof(&self, method: &Method, url: &Uri) -> Result<Option<HeaderValue>, String> {
        let proof = self.bound.as_ref().map(|(prover, hash)| prover.proof(method, url, Some(hash)));
        proof.transpose()
    }

    /// Makes the proofs of a token that is bound to a key.
    pub fn prover(&self) -> Option<&Prover> {
        Some(&self.bound.as_ref()?.0)
    }

    /// Whether it is time for another one.
    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= SystemTime::now())
    }

    /// When to refresh it ahead of time: somewhat before it is due, as `jitter` in 0..1 says. So the tokens of many
    /// servers are not refreshed together, and a call hardly ever finds one due.
    pub fn refresh_at(&self, jitter: f64) -> Option<SystemTime> {
        let (due, ends) = (self.due?, self.ends?);
        let margin = ends.duration_since(due).unwrap_or_default();
        due.checked_sub(margin.mul_f64(jitter.clamp(0.0, 1.0) / 2.0))
    }

    pub fn has_ended(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= SystemTime::now())
    }

    /// When it ends; `None` without a known lifetime.
    pub fn ends(&self) -> Option<SystemTime> {
        self.ends
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_due_a_minute_before_its_end_or_after_three_quarters_of_a_short_life() {
        let token = |age: u64, lifetime: u64| {
            let since = SystemTime::now() - Duration::from_secs(age);
            let token = Token::new("t", since, Some(Duration::from_secs(lifetime)), None).unwrap();
            [token.is_due(), token.has_ended()]
        };
        assert_eq!(token(3500, 3600), [false, false]);
        assert_eq!(token(3550, 3600), [true, false]);
        assert_eq!(token(4, 8), [false, false]);
        assert_eq!(token(7, 8), [true, false]);
        assert_eq!(token(9, 8), [true, true]);
        let endless = Token::new("t", SystemTime::UNIX_EPOCH, None, None).unwrap();
        assert!(!endless.is_due() && !endless.has_ended() && endless.refresh_at(0.5).is_none());
    }

    #[test]
    fn a_token_is_renewed_before_it_is_due_and_never_long_before() {
        let refresh_at = |lifetime: u64, jitter: f64| {
            let token =
                Token::new("t", SystemTime::UNIX_EPOCH, Some(Duration::from_secs(lifetime)), None).unwrap();
            token.refresh_at(jitter).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
        };
        assert_eq!(
            [refresh_at(3600, 0.0), refresh_at(3600, 0.5), refresh_at(3600, 1.0)],
            [3540.0, 3525.0, 3510.0]
        );
        assert_eq!([refresh_at(8, 0.0), refresh_at(8, 1.0), refresh_at(0, 1.0)], [6.0, 5.0, 0.0]);
    }
}
