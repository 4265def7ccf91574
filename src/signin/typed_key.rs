//! API keys that people type into pages: looked up, and slowed down when they are wrong.

use std::time::Instant;

use http::StatusCode;

use super::SignIn;
use crate::authorization_server::{Guess, KeyIdentity, SignInServer};
use crate::http::Peer;
use crate::http::answer::whole_seconds;

/// Why a typed key opens nothing.
pub struct KeyRefusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub why: String,
}

impl SignIn {
    /// The API key that `peer` typed in for `what`, which the log names.
    pub(super) fn typed_key(
        &self,
        server: &SignInServer,
        peer: Peer,
        key: &str,
        what: &str,
    ) -> Result<KeyIdentity, KeyRefusal> {
        match server.guesses.guess(peer, Instant::now(), || self.keys.key_of_value(key)) {
            Guess::Right(key) => Ok(key),
            Guess::Wrong => {
                tracing::warn!(%peer, "a wrong API key was typed in for {what}, from {peer}");
                let why = "This is not an API key of the gateway.".to_owned();
                Err(KeyRefusal { status: StatusCode::FORBIDDEN, code: "wrong_key", why })
            }
            Guess::TooMany(wait) => {
                tracing::warn!(%peer, "an API key was typed in too soon after wrong ones, and not looked at; from {peer}");
                let seconds = whole_seconds(wait);
                let why =
                    format!("There were too many wrong keys from your address. Try again in {seconds} s.");
                Err(KeyRefusal { status: StatusCode::TOO_MANY_REQUESTS, code: "too_many_guesses", why })
            }
        }
    }
}
