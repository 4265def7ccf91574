//! Handles a panic of a supervisor: the calls of its server fail at once, and do not wait for a task that is gone.

use std::sync::Arc;
use std::time::Instant;

use crate::upstream::availability::Phase;
use crate::upstream::backoff;
use crate::upstream::error::CloseReason;
use crate::upstream::server::Upstream;

/// Watches over `upstream` until it is dropped.
pub(super) struct Failure(pub Arc<Upstream>);

impl Drop for Failure {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let upstream = &self.0;
        tracing::error!(mcp_server = %upstream.name(), "the task that keeps {} running failed (a panic); a restart of the gateway starts it again", upstream.name());
        let reason = "the gateway's own task for it failed; restart the gateway".to_owned();
        let now = Instant::now();
        upstream.disconnect();
        upstream.enter(
            Phase::Unavailable {
                reason: Arc::new(CloseReason::Broken(reason)),
                tried_at: now,
                retry_at: now + backoff::LONGEST,
            },
            1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ServerConfig, ServerName, TransportConfig};

    #[tokio::test]
    async fn calls_do_not_wait_for_a_supervisor_that_panicked() {
        let entry = ServerConfig::new(ServerName::new("s").unwrap(), TransportConfig::Gateway);
        let upstream = Upstream::of_test(entry, Arc::default());
        let supervising = tokio::spawn({
            let upstream = upstream.clone();
            async move {
                let _failure = Failure(upstream);
                panic!("on purpose");
            }
        });
        let waiting = upstream.ready().await;
        assert!(supervising.await.unwrap_err().is_panic());
        let reason = waiting.err().and_then(|unavailable| unavailable.reason).unwrap();
        assert!(reason.to_string().contains("restart the gateway"), "{reason}");
    }
}
