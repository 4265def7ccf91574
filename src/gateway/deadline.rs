//! The deadline of a request: put off by each sign of life, and stopped while its client is asked for input.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::upstream::{ANSWERED_WITHIN, Asking};

/// The deadline of one request.
#[derive(Debug)]
pub(super) struct Deadline {
    /// The time between signs of life.
    after: Duration,
    at: Instant,
    /// How long it may still stand. A server that asks again and again, and is never answered, uses it up.
    patience: Duration,
    stands_since: Option<Instant>,
    answers: u64,
}

impl Deadline {
    /// `at` at first; `asking` is what was asked over the connection before.
    pub fn new(at: Instant, after: Duration, asking: Asking) -> Self {
        let stands_since = (asking.open > 0).then(Instant::now);
        Self { after, at, patience: ANSWERED_WITHIN, stands_since, answers: asking.answers }
    }

    /// A sign of life, such as progress.
    pub fn put_off(&mut self) {
        let now = Instant::now();
        self.at = now + self.after;
        self.patience = ANSWERED_WITHIN;
        self.stands_since = self.stands_since.map(|_| now);
    }

    /// The client is asked something, or is no longer.
    pub fn heed(&mut self, asking: Asking) {
        let now = Instant::now();
        if asking.answers != self.answers {
            self.answers = asking.answers;
            self.put_off();
        }
        match self.stands_since {
            None if asking.open > 0 => self.stands_since = Some(now),
            Some(since) if asking.open == 0 => {
                let stood = (now - since).min(self.patience);
                self.at += stood;
                self.patience -= stood;
                self.stands_since = None;
            }
            _ => {}
        }
    }

    /// Waits until it has passed.
    pub async fn passed(&self) {
        let stands = self.stands_since.map_or(Duration::ZERO, |_| self.patience);
        sleep_until(self.at + stands).await;
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
        deadline.heed(ASKED);
        assert!(timeout(SECOND * 200, deadline.passed()).await.is_err());
        deadline.heed(Asking { open: 0, answers: 1 });
        assert_eq!(passes_after(&deadline).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn questions_without_an_answer_hold_it_up_once() {
        let mut deadline = of(10);
        sleep(SECOND * 4).await;
        let began = Instant::now();
        for _ in 0..3 {
            deadline.heed(ASKED);
            sleep(SECOND * 90).await;
            deadline.heed(Asking::default());
        }
        deadline.heed(ASKED);
        deadline.passed().await;
        assert_eq!(began.elapsed(), ANSWERED_WITHIN + SECOND * 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_question_changes_nothing_and_progress_puts_it_off() {
        let mut deadline = of(10);
        sleep(SECOND * 3).await;
        deadline.heed(ASKED);
        deadline.heed(Asking::default());
        assert_eq!(passes_after(&deadline).await, 7);
        deadline.put_off();
        assert_eq!(passes_after(&deadline).await, 10);
    }
}
