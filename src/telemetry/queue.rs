//! The bounded queue between the threads that log a line and the thread that writes it.
//!
//! [`LineQueue::offer`] never blocks: lines that do not fit are dropped and counted, and the log reports the loss once
//! in a while ([`REPORT_EVERY`]). Ready-made writers wake their thread for every line; on a small
//! machine that costs a call more than its line does, so this one is woken by the first line and then
//! collects for [`COLLECT`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that may wait.
const LINES: usize = 16_384;
/// Bytes that they may hold together; a single longer line is accepted.
const BYTES: usize = 8 << 20;
/// How long lines are collected before they are written.
const COLLECT: Duration = Duration::from_millis(20);
/// Losses are reported at most once in this time, and at the end.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// How long the end waits for a reader that does not read.
const LONGEST_END: Duration = Duration::from_secs(2);

/// An item of a queue.
pub trait Line: Send + 'static {
    /// About how much memory it holds.
    fn bytes(&self) -> usize;
}

/// Where lines go. Lives on the thread, so it may block.
pub trait Sink<L>: Send + 'static {
    fn take(&mut self, line: L);

    /// Called after each batch of lines.
    fn flush(&mut self) {}

    /// Reports lines that were lost since the last call.
    ///
    /// In the log, the report goes through the queue like every line; the queue has just been emptied.
    fn lost(&mut self, lines: u64) {
        tracing::warn!(
            dropped_lines = lines,
            "{lines} log lines were dropped: they came faster than the log was read"
        );
    }
}

/// The logging end. Cheap to clone.
#[derive(Debug)]
pub struct LineQueue<L> {
    // Not one of the bounded kind: that takes the memory of all its places at once.
    lines: Sender<Option<L>>,
    waiting: Arc<Backlog>,
    dropped: &'static AtomicU64,
}

/// The lines that were offered and are not written yet.
#[derive(Debug, Default)]
struct Backlog {
    lines: AtomicUsize,
    bytes: AtomicUsize,
}

/// The thread. Dropping it hands over what is queued and ends it.
#[derive(Debug)]
pub struct Writer<L> {
    queue: LineQueue<L>,
    stop: Option<SyncSender<()>>,
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread of a queue. Lost lines are added to `dropped`.
pub fn start<L: Line>(
    mut sink: impl Sink<L>,
    dropped: &'static AtomicU64,
) -> std::io::Result<(LineQueue<L>, Writer<L>)> {
    let (lines, lines_out) = channel();
    let (stop, stopped) = sync_channel(0);
    let (ends, ended) = sync_channel(1);
    let queue = LineQueue { lines, waiting: Arc::default(), dropped };
    let waiting = queue.waiting.clone();
    let run = move || {
        let _signals_when_dropped = ends;
        let losses = Losses { dropped, reported: dropped.load(Ordering::Relaxed), last: None };
        Far { lines: lines_out, waiting, losses }.serve(&mut sink, &stopped);
    };
    let thread = std::thread::Builder::new().name("mcpo-log".into()).spawn(run)?;
    let writer = Writer { queue: queue.clone(), stop: Some(stop), ended, thread: Some(thread) };
    Ok((queue, writer))
}

impl<L> Clone for LineQueue<L> {
    fn clone(&self) -> Self {
        Self { lines: self.lines.clone(), waiting: self.waiting.clone(), dropped: self.dropped }
    }
}

impl<L: Line> LineQueue<L> {
    /// Takes the line, or counts it as lost.
    pub fn offer(&self, line: L) {
        let bytes = line.bytes();
        if !self.waiting.add(bytes) || self.lines.send(Some(line)).is_err() {
            self.waiting.remove(bytes);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Backlog {
    /// Counts one more line, and returns whether the queue can take it.
    fn add(&self, bytes: usize) -> bool {
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        lines < LINES && (before == 0 || before.saturating_add(bytes) <= BYTES)
    }

    fn remove(&self, bytes: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl<L> Drop for Writer<L> {
    fn drop(&mut self) {
        self.stop = None;
        // The subscriber keeps its end of the queue for as long as the process lives, so the thread is woken
        // by an entry without a line; a thread that has ended takes none.
        let _has_ended = self.queue.lines.send(None);
        let stuck = self.ended.recv_timeout(LONGEST_END) == Err(RecvTimeoutError::Timeout);
        if let Some(thread) = self.thread.take().filter(|_| !stuck) {
            let _panicked_while_writing = thread.join();
        }
    }
}

/// The far end, which the thread owns.
struct Far<L> {
    lines: Receiver<Option<L>>,
    waiting: Arc<Backlog>,
    losses: Losses,
}

impl<L: Line> Far<L> {
    fn serve(mut self, sink: &mut impl Sink<L>, stopped: &Receiver<()>) {
        loop {
            let first = match self.losses.unreported() {
                0 => self.lines.recv().map_err(|_| RecvTimeoutError::Disconnected),
                _ => self.lines.recv_timeout(REPORT_EVERY),
            };
            match first {
                Ok(line) => self.pass(line, sink),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let stopping = stopped.recv_timeout(COLLECT) == Err(RecvTimeoutError::Disconnected);
            self.drain(sink);
            if let Some(lost) = self.losses.due(stopping) {
                sink.lost(lost);
                self.drain(sink);
            }
            if stopping {
                return;
            }
        }
    }

    /// One queue's worth at most, so that a flood does not put off its own account for ever.
    fn drain(&self, sink: &mut impl Sink<L>) {
        for line in self.lines.try_iter().take(LINES) {
            self.pass(line, sink);
        }
        sink.flush();
    }

    fn pass(&self, line: Option<L>, sink: &mut impl Sink<L>) {
        if let Some(line) = line {
            self.waiting.remove(line.bytes());
            sink.take(line);
        }
    }
}

/// The lost lines, and how many of them were reported.
struct Losses {
    dropped: &'static AtomicU64,
    reported: u64,
    last: Option<Instant>,
}

impl Losses {
    fn unreported(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed).wrapping_sub(self.reported)
    }

    /// The losses to report now, if there are any and it is time.
    fn due(&mut self, at_the_end: bool) -> Option<u64> {
        let lost = self.unreported();
        let is_time = at_the_end || self.last.is_none_or(|last| last.elapsed() >= REPORT_EVERY);
        if lost == 0 || !is_time {
            return None;
        }
        self.reported = self.reported.wrapping_add(lost);
        self.last = Some(Instant::now());
        Some(lost)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard};

    use super::*;

    impl Line for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<usize>>>);

    impl Kept {
        fn lines(&self) -> MutexGuard<'_, Vec<usize>> {
            self.0.lock().unwrap()
        }
    }

    impl Sink<usize> for Kept {
        fn take(&mut self, line: usize) {
            self.lines().push(line);
        }
    }

    #[test]
    fn what_is_queued_is_handed_over_before_the_end_in_order() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let kept = Kept::default();
        let (queue, writer) = start(kept.clone(), &DROPPED).unwrap();
        for number in 0..1000 {
            queue.offer(number);
        }
        drop(writer);
        assert_eq!(*kept.lines(), (0..1000).collect::<Vec<_>>());
        assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
        assert_eq!(queue.waiting.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_sink_that_is_stuck_costs_lines_and_blocks_neither_the_writer_nor_the_end() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let kept = Kept::default();
        let held = kept.lines();
        let (queue, writer) = start(kept.clone(), &DROPPED).unwrap();
        for _ in 0..4 * LINES {
            queue.offer(1);
        }
        let lost = DROPPED.load(Ordering::Relaxed);
        assert!(lost >= 2 * LINES as u64, "{lost}");
        drop(writer);
        drop(held);
    }

    #[test]
    fn lines_may_hold_so_many_bytes_together_and_a_single_one_more() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let kept = Kept::default();
        let held = kept.lines();
        let (queue, writer) = start(kept.clone(), &DROPPED).unwrap();
        queue.offer(2 * BYTES);
        queue.offer(BYTES);
        queue.offer(BYTES);
        // Whether the second fits depends on how far the thread has come; the third never does.
        let lost = DROPPED.load(Ordering::Relaxed);
        assert!((1..=2).contains(&lost), "{lost}");
        drop(held);
        drop(writer);
        let kept = kept.lines();
        assert_eq!((kept[0], kept.len() as u64), (2 * BYTES, 3 - lost));
    }

    #[test]
    fn losses_are_told_once_in_a_while_and_at_the_end() {
        static DROPPED: AtomicU64 = AtomicU64::new(0);
        let mut losses = Losses { dropped: &DROPPED, reported: 0, last: None };
        assert_eq!((losses.due(false), losses.due(true)), (None, None));
        DROPPED.store(3, Ordering::Relaxed);
        assert_eq!((losses.due(false), losses.unreported()), (Some(3), 0));
        DROPPED.store(4, Ordering::Relaxed);
        assert_eq!(losses.due(false), None, "told a moment ago");
        losses.last = losses.last.and_then(|last| last.checked_sub(REPORT_EVERY));
        assert_eq!(losses.due(false), Some(1));
        DROPPED.store(5, Ordering::Relaxed);
        assert_eq!((losses.due(true), losses.due(true)), (Some(1), None));
    }
}
