//! The deadline of a request: extended by each sign of life, and paused while its client is asked for input.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::upstream::{ANSWERED_WITHIN, Asking};

/// The deadline of one request.
#[derive(Debug)]
pub(super) struct Deadline {
    /// The time between signs of life.
    after: Duration,
    at: Instant,
    /// How long it may still pause. A server that asks again and again without an answer uses it up.
    pause_left: Duration,
    paused_since: Option<Instant>,
    answers: u64,
}

impl Deadline {
    /// The deadline `at`; `asking` counts the questions over the connection so far.
    pub fn new(at: Instant, after: Duration, asking: Asking) -> Self {
        let paused_since = (asking.open > 0).then(Instant::now);
        Self { after, at, pause_left: ANSWERED_WITHIN, paused_since, answers: asking.answers }
    }

    /// A sign of life, such as progress.
    pub fn extend(&mut self) {
        let now = Instant::now();
        self.at = now + self.after;
        self.pause_left = ANSWERED_WITHIN;
        self.paused_since = self.paused_since.map(|_| now);
    }

    /// The number of open questions to the client changed.
    pub fn update(&mut self, asking: Asking) {
        let now = Instant::now();
        if asking.answers != self.answers {
            self.answers = asking.answers;
            self.extend();
        }
        match self.paused_since {
            None if asking.open > 0 => self.paused_since = Some(now),
            Some(since) if asking.open == 0 => {
                let paused = (now - since).min(self.pause_left);
                self.at += paused;
                self.pause_left -= paused;
                self.paused_since = None;
            }
            _ => {}
        }
    }

    /// Waits until it has passed.
    pub async fn passed(&self) {
        let pause = self.paused_since.map_or(Duration::ZERO, |_| self.pause_left);
        sleep_until(self.at + pause).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ASKED: Asking = Asking { open: 1, answers: 0 };

    /// After how many seconds from now it passes.
    async fn passes_after(deadline: &Deadline) -> u64 {
        let now = Instant::now();
        deadline.passed().await;
        now.elapsed().as_secs()
    }

    fn of(seconds: u32) -> Deadline {
        let after = SECOND * seconds;
        Deadline::new(Instant::now() + after, after, Asking::default())
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_while_the_client_is_asked_and_runs_anew_from_its_answer() {
        let mut deadline = of(10);
        sleep(SECOND * 9).await;
        deadline.update(ASKED);
        assert!(timeout(SECOND * 200, deadline.passed()).await.is_err());
        deadline.update(Asking { open: 0, answers: 1 });
        assert_eq!(passes_after(&deadline).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn questions_without_an_answer_hold_it_up_once() {
        let mut deadline = of(10);
        sleep(SECOND * 4).await;
        let began = Instant::now();
        for _ in 0..3 {
            deadline.update(ASKED);
            sleep(SECOND * 90).await;
            deadline.update(Asking::default());
        }
        deadline.update(ASKED);
        deadline.passed().await;
        assert_eq!(began.elapsed(), ANSWERED_WITHIN + SECOND * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_question_changes_nothing_and_progress_puts_it_off() {
        let mut deadline = of(10);
        sleep(SECOND * 3).await;
        deadline.update(ASKED);
        deadline.update(Asking::default());
        assert_eq!(passes_after(&deadline).await, 7);
        deadline.extend();
        assert_eq!(passes_after(&deadline).await, 10);
    }
}
