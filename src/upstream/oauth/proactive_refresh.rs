//! Refreshes tokens ahead of their end, also without calls. Many authorization servers void a refresh token that is
//! unused for long, and a call after a quiet night should need neither a wait nor a sign-in.
//!
//! Tokens of client credentials have no refresh token. They are asked for on use alone: another one can be had at any
//! time, and some authorization servers charge for each.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

use crate::upstream::backoff;
use crate::upstream::error::CloseReason;
use crate::upstream::oauth::authorizer::{Authorizer, OAuthError};
use crate::upstream::oauth::refresh::RefreshReason;

/// The longest sleep: clocks are set, and a sleep stands still while the machine sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);

/// The shortest time between two refreshes ahead of time. A call gets another token at any time, and short-lived
/// tokens would be exchanged for ever without any use.
const LEAST: Duration = Duration::from_secs(30);

impl Authorizer {
    /// Refreshes each token before its end, and calls `renewed` each time. A failure that may pass is tried again
    /// with growing waits; a refusal is reported by [`Authorizer::signed_out`]. Rests once the next server of this
    /// sign-in does the same. Does not end; may be dropped at any time, since a refresh under way goes on to its own
    /// end.
    pub async fn refresh_ahead(self: &Arc<Self>, renewed: impl Fn()) {
        let mut lease = self.store.refresh_ahead();
        let mut failures = 0;
        while lease.is_held() {
            let Some((used, at)) = self.next_refresh() else {
                lease.changed().await;
                continue;
            };
            tokio::select! {
                biased;
                () = lease.changed() => continue,
                () = reached(at) => {}
            }
            let outcome = self.renew(RefreshReason::Due, Some(used)).await;
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
                // A call has just failed to refresh it, and has logged that.
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
    fn next_refresh(&self) -> Option<(HeaderValue, SystemTime)> {
        let token = self.token();
        let token = token.as_ref().filter(|_| self.store.can_refresh())?;
        Some((token.header.clone(), token.refresh_at(backoff::random())?))
    }

    /// Waits until no token can be refreshed any more and a new sign-in is needed.
    pub async fn signed_out(&self) -> CloseReason {
        loop {
            self.lost.notified().await;
            // A sign-in may have happened since.
            if !self.store.has_tokens() {
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
