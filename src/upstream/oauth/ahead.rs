//! The schedule by which tokens are renewed though nobody calls: a refresh token that is not used for long is void with
//! many authorization servers, and whoever calls after a quiet night wants neither a wait nor a sign-in.
//!
//! Tokens of client credentials have no refresh token. They are asked for on use alone: another one can be had at any
//! time, and some authorization servers charge for each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

use super::renewal::Occasion;
use super::{Authorizer, OAuthError};
use crate::upstream::backoff;
use crate::upstream::error::EndReason;

/// How long one sleep may take: clocks are set, and the one of a sleep stands still while the machine sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);

impl Authorizer {
    /// Renews each token before its end, and says so by `renewed`. A failure that may pass is tried again with growing
    /// waits; a refusal is told by [`Authorizer::signed_out`]. Does not end; may be dropped at any time, since a renewal
    /// under way goes on to its own end.
    pub async fn renew_ahead(self: &Arc<Self>, renewed: impl Fn()) {
        let mut failures = 0;
        loop {
            let next = self.next_renewal();
            let (used, at) = match &next {
                Some((used, at)) => (used, *at),
                None => {
                    self.vault.changed().await;
                    continue;
                }
            };
            tokio::select! {
                () = reached(at) => {}
                () = self.vault.changed() => continue,
            }
            let outcome = self.renew(Occasion::Due, Some(used.clone())).await;
            // Even of tokens that have ended when they come, no more than one a second is asked for.
            let mut pause = backoff::FIRST;
            match outcome {
                Ok(Some(_)) => {
                    failures = 0;
                    renewed();
                }
                Err(OAuthError::SignIn) => failures = 0,
                Ok(None) | Err(_) => {
                    failures += 1;
                    pause = backoff::delay(failures, backoff::random());
                }
            }
            if let (Err(error), 1) = (&outcome, failures) {
                let (server, seconds) = (&self.server, pause.as_secs_f32());
                tracing::warn!(mcp_server = %server, "{server}: its token could not be renewed ahead of its end: {error}; next try in {seconds:.1} s");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The token that can be renewed without a person, and when to do so.
    fn next_renewal(&self) -> Option<(HeaderValue, SystemTime)> {
        let token = self.token();
        let token = token.as_ref().filter(|_| self.vault.can_refresh())?;
        Some((token.header.clone(), token.renewal(backoff::random())?))
    }

    /// Waits until the gateway is signed out: its tokens cannot be renewed any more, and somebody has to sign in anew.
    pub async fn signed_out(&self) -> EndReason {
        loop {
            self.lost.notified().await;
            // Somebody may have signed in since.
            if !self.vault.has_tokens() {
                return self.waits_for_sign_in();
            }
        }
    }
}

/// Waits for a time of the clock on the wall.
async fn reached(at: SystemTime) {
    while let Ok(left) = at.duration_since(SystemTime::now())
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}
