//! A liveness probe of a loop: a request that only the loop itself can answer.

use tokio::sync::{mpsc, oneshot};

/// Asks the loop whether it still turns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Probe(mpsc::Sender<oneshot::Sender<()>>);

/// The end in the watched loop.
#[derive(Debug)]
pub struct LivenessResponder(mpsc::Receiver<oneshot::Sender<()>>);

/// The two ends. Requests beyond the few that may wait are as good as unanswered.
pub fn liveness() -> (Probe, LivenessResponder) {
    let (sender, receiver) = mpsc::channel(4);
    (Probe(sender), LivenessResponder(receiver))
}

impl Probe {
    /// Resolves when the loop has answered, or has ended for good.
    ///
    /// The owner of the loop knows about its end by other means.
    pub async fn answered(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(answer).await.is_ok() {
            let _has_ended_meanwhile = answered.await;
        }
    }
}

impl LivenessResponder {
    /// Answers one request; a branch of the loop's `select!`.
    ///
    /// It loses nothing when it is dropped, and never resolves without a request.
    pub async fn respond(&mut self) {
        match self.0.recv().await {
            Some(answer) => {
                let _nobody_waits_any_more = answer.send(());
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_loop_that_turns_answers_and_one_that_rests_does_not() {
        let (probe, mut responder) = liveness();
        assert!(timeout(Duration::from_millis(20), probe.answered()).await.is_err());
        let turning = tokio::spawn(async move {
            loop {
                responder.respond().await;
            }
        });
        probe.answered().await;
        turning.abort();
    }

    #[tokio::test]
    async fn a_loop_that_has_ended_is_not_waited_for_and_no_asker_is_no_beat() {
        let (probe, responder) = liveness();
        drop(responder);
        probe.answered().await;
        let (probe, mut responder) = super::liveness();
        drop(probe);
        assert_eq!(responder.respond().now_or_never(), None);
    }
}
