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

/// How long nothing is renewed ahead after a renewal: a call gets another token at any time, and tokens that live for
/// less than this would be exchanged for ever though nobody uses them.
const LEAST: Duration = Duration::from_secs(30);

impl Authorizer {
    /// Renews each token before its end, and says so by `renewed`. A failure that may pass is tried again with growing
    /// waits; a refusal is told by [`Authorizer::signed_out`]. Rests once the next server of this sign-in does the same.
    /// Does not end; may be dropped at any time, since a renewal under way goes on to its own end.
    pub async fn renew_ahead(self: &Arc<Self>, renewed: impl Fn()) {
        let mut duty = self.vault.renew_ahead();
        let mut failures = 0;
        while duty.is_mine() {
            let Some((used, at)) = self.next_renewal() else {
                duty.changed().await;
                continue;
            };
            tokio::select! {
                biased;
                () = duty.changed() => continue,
                () = reached(at) => {}
            }
            let outcome = self.renew(Occasion::Due, Some(used)).await;
            let pause = match outcome {
                Ok(Some(_)) => {
                    failures = 0;
                    renewed();
                    LEAST
                }
                Err(OAuthError::SignIn) => {
                    failures = 0;
                    backoff::FIRST
                }
                // A call has just tried in vain, and told it.
                Ok(None) => backoff::FIRST,
                Err(_) => {
                    failures += 1;
                    backoff::delay(failures, backoff::random())
                }
            };
            if let (Err(error), 1) = (&outcome, failures) {
                let (server, seconds) = (&self.server, pause.as_secs_f32());
                tracing::warn!(mcp_server = %server, "{server}: its token could not be renewed ahead of its end: {error}; next try in {seconds:.1} s");
            }
            tokio::time::sleep(pause).await;
        }
        std::future::pending().await
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
