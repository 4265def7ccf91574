//! Asking a task whether it still turns: a request that only its own loop can answer.

use tokio::sync::{mpsc, oneshot};

/// The asking end. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Probe(mpsc::Sender<oneshot::Sender<()>>);

/// The end in the loop that is watched.
#[derive(Debug)]
pub struct Pulse(mpsc::Receiver<oneshot::Sender<()>>);

/// The two ends. Requests beyond the few that may wait are as good as unanswered.
pub fn pulse() -> (Probe, Pulse) {
    let (sender, receiver) = mpsc::channel(4);
    (Probe(sender), Pulse(receiver))
}

impl Probe {
    /// Resolves when the loop has answered, or has ended for good: its owner knows about that by other means.
    pub async fn answered(&self) {
        let (answer, answered) = oneshot::channel();
        if self.0.send(answer).await.is_ok() {
            let _has_ended_meanwhile = answered.await;
        }
    }
}

impl Pulse {
    /// Answers one request; a branch of the loop's `select!`. Loses nothing when it is dropped; never
    /// resolves when nobody asks.
    pub async fn beat(&mut self) {
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
        let (probe, mut pulse) = pulse();
        assert!(timeout(Duration::from_millis(20), probe.answered()).await.is_err());
        let turning = tokio::spawn(async move {
            loop {
                pulse.beat().await;
            }
        });
        probe.answered().await;
        turning.abort();
    }

    #[tokio::test]
    async fn a_loop_that_has_ended_is_not_waited_for_and_no_asker_is_no_beat() {
        let (probe, pulse) = pulse();
        drop(pulse);
        probe.answered().await;
        let (probe, mut pulse) = super::pulse();
        drop(probe);
        assert_eq!(pulse.beat().now_or_never(), None);
    }
}
