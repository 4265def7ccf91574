//! How soon a changed list is read again: at once, and ever later while its server announces changes without end.

use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Changes that come in a burst are read once.
const SETTLE: Duration = Duration::from_millis(20);
/// Readings in a row that are not slowed down.
const FREE: u32 = 3;
/// The longest time between two of them.
const LONGEST: Duration = Duration::from_secs(10);
/// Each such time without a reading makes up for one.
const MADE_UP: Duration = Duration::from_secs(5);

/// The pace of one list.
#[derive(Debug, Default)]
struct Pace {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Pace {
    /// How long the next reading is put off from `now`.
    fn wait(&mut self, now: Instant) -> Duration {
        let rested = self.last.map_or(Duration::MAX, |last| now.duration_since(last));
        let made_up = u32::try_from(rested.as_secs() / MADE_UP.as_secs()).unwrap_or(u32::MAX);
        self.in_a_row = self.in_a_row.saturating_sub(made_up);
        let wait = SETTLE.saturating_mul(1 << self.in_a_row.saturating_sub(FREE).min(16)).min(LONGEST);
        self.in_a_row = self.in_a_row.saturating_add(1).min(FREE + 16);
        self.last = Some(now + wait);
        wait
    }
}

/// The announced changes of one list, each burst as one.
#[derive(Debug)]
pub struct DebouncedChanges<'a> {
    announced: &'a Notify,
    pace: Pace,
    due: Option<Instant>,
}

impl<'a> DebouncedChanges<'a> {
    pub fn new(announced: &'a Notify) -> Self {
        Self { announced, pace: Pace::default(), due: None }
    }

    /// Waits until the list is to be read again. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) {
        let due = match self.due {
            Some(due) => due,
            None => {
                self.announced.notified().await;
                let now = Instant::now();
                *self.due.insert(now + self.pace.wait(now))
            }
        };
        sleep_until(due).await;
        // The reading covers all changes until now.
        use futures_util::FutureExt as _;
        let _announced_meanwhile = self.announced.notified().now_or_never();
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a list is read within a minute whose server says that it has changed `every` so often.
    async fn readings(every: Duration) -> usize {
        let announced = Notify::new();
        let mut changes = DebouncedChanges::new(&announced);
        let (began, mut count) = (Instant::now(), 0);
        let telling = async {
            loop {
                announced.notify_one();
                tokio::time::sleep(every).await;
            }
        };
        let reading = async {
            while began.elapsed() < Duration::from_mins(1) {
                changes.next().await;
                count += 1;
            }
        };
        tokio::select! {
            () = telling => {}
            () = reading => {}
        }
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_slows_down_and_changes_now_and_then_do_not() {
        for every in [1, 300, 2000].map(Duration::from_millis) {
            let count = readings(every).await;
            assert!((10..=22).contains(&count), "every {every:?}: {count}");
        }
        assert_eq!(readings(Duration::from_secs(6)).await, 11);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_of_a_burst_is_seen_soon_and_the_next_change_after_a_rest_at_once() {
        let announced = Notify::new();
        let mut changes = DebouncedChanges::new(&announced);
        for _ in 0..6 {
            announced.notify_one();
            changes.next().await;
        }
        let soon = Instant::now();
        announced.notify_one();
        changes.next().await;
        assert!(soon.elapsed() <= Duration::from_millis(320), "{:?}", soon.elapsed());
        tokio::time::sleep(Duration::from_mins(1)).await;
        let at_once = Instant::now();
        announced.notify_one();
        changes.next().await;
        assert_eq!(at_once.elapsed(), SETTLE);
    }
}
