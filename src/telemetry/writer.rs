//! Writes the log's lines on a thread of its own, from a bounded queue, many at once.
//!
//! Ready-made writers wake their thread for every line. On a small machine that costs a call more than its
//! line does, so this one is woken by the first line and then collects for [`COLLECT`].

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; more are dropped, and counted.
const QUEUE: usize = 16_384;
/// How long lines are collected before they are written.
const COLLECT: Duration = Duration::from_millis(20);

/// The near end: takes lines and never blocks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lines {
    queue: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicUsize>,
}

/// The thread. Dropping it writes what is queued and joins it.
#[derive(Debug)]
pub struct Writer {
    queue: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicUsize>,
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a thread that writes to `out`.
pub fn start(out: impl Write + Send + 'static) -> io::Result<(Lines, Writer)> {
    let (queue, lines) = sync_channel(QUEUE);
    let (stop, stopped) = sync_channel(0);
    let dropped = Arc::new(AtomicUsize::new(0));
    let run = move || write_lines(out, &lines, &stopped);
    let thread = std::thread::Builder::new().name("mcpo-log".into()).spawn(run)?;
    let writer =
        Writer { queue: queue.clone(), dropped: dropped.clone(), stop: Some(stop), thread: Some(thread) };
    Ok((Lines { queue, dropped }, writer))
}

impl Writer {
    /// Lines that were lost because they came faster than they could be written.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop = None;
        // The subscriber keeps its end of the queue for as long as the process lives, so the thread is woken
        // by an empty line; if there is no room for one, it is awake.
        let _is_awake = self.queue.try_send(Vec::new());
        if let Some(thread) = self.thread.take() {
            let _panicked_while_writing = thread.join();
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(line.to_vec()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn write_lines(mut out: impl Write, lines: &Receiver<Vec<u8>>, stopped: &Receiver<()>) {
    let mut together = Vec::new();
    loop {
        let Ok(line) = lines.recv() else { return };
        together.extend_from_slice(&line);
        let stopping = stopped.recv_timeout(COLLECT) == Err(RecvTimeoutError::Disconnected);
        while let Ok(line) = lines.try_recv() {
            together.extend_from_slice(&line);
        }
        // Where stderr is gone there is nobody to tell.
        let _stderr_is_gone = out.write_all(&together).and_then(|()| out.flush());
        together.clear();
        if stopping {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_queued_is_written_before_the_end_in_order() {
        let kept = Kept::default();
        let (mut lines, writer) = start(kept.clone()).unwrap();
        for number in 0..1000 {
            writeln!(lines, "{number}").unwrap();
        }
        assert_eq!(writer.dropped_lines(), 0);
        drop(writer);
        let written = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let numbers: Vec<usize> = written.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    }

    /// Blocks for as long as the lock is held elsewhere.
    struct Stuck(Arc<Mutex<()>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            drop(self.0.lock().unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_writer_that_is_stuck_costs_lines_and_never_blocks() {
        let lock = Arc::new(Mutex::new(()));
        let held = lock.lock().unwrap();
        let (mut lines, writer) = start(Stuck(lock.clone())).unwrap();
        for _ in 0..4 * QUEUE {
            lines.write_all(b"line\n").unwrap();
        }
        assert!(writer.dropped_lines() > 0);
        drop(held);
        drop(writer);
    }
}
