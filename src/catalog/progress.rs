//! Whether calls of a tool ask for progress, learnt from earlier calls.
//!
//! Progress extends a call's deadline, so at first every call asks for it. But asking costs a server work:
//! a Python one answers about a twentieth fewer calls. So a tool that has answered many calls at once,
//! without any progress, is not asked again until one of its calls takes long.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// So many quick calls without progress, in a row, settle it.
const ENOUGH: u8 = 16;
/// A call that takes longer than this could have reported progress.
const LONG: Duration = Duration::from_secs(1);
/// The count of a tool that has reported progress once: all its later calls ask for it.
const REPORTS: u8 = u8::MAX;

/// The progress habit of one tool.
#[derive(Debug, Default)]
pub struct ProgressHabit(AtomicU8);

impl ProgressHabit {
    /// Whether the next call should ask for progress.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) != ENOUGH
    }

    /// Learns from a call: its duration, and whether it reported progress. Races between calls only shift when the
    /// habit is settled.
    pub fn learn(&self, took: Duration, reported: bool) {
        let known = self.0.load(Ordering::Relaxed);
        let now = match known {
            REPORTS => return,
            _ if reported => REPORTS,
            _ if took > LONG => 0,
            ENOUGH => return,
            quick => quick + 1,
        };
        self.0.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(3);

    fn settled() -> ProgressHabit {
        let habit = ProgressHabit::default();
        for _ in 0..ENOUGH {
            assert!(habit.is_asked());
            habit.learn(QUICK, false);
        }
        habit
    }

    #[test]
    fn a_tool_that_is_quick_and_silent_is_asked_no_more() {
        let habit = settled();
        assert!(!habit.is_asked());
        habit.learn(QUICK, false);
        assert!(!habit.is_asked());
    }

    #[test]
    fn one_long_call_makes_it_asked_again() {
        let habit = settled();
        habit.learn(Duration::from_secs(2), false);
        assert!(habit.is_asked());
    }

    #[test]
    fn a_tool_that_told_progress_is_asked_for_ever() {
        let habit = ProgressHabit::default();
        habit.learn(QUICK, true);
        for _ in 0..100 {
            habit.learn(QUICK, false);
        }
        assert!(habit.is_asked());
    }
}
