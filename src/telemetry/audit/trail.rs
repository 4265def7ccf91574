//! The writing end of the trail: writes records to their destination, and records their loss.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::record::{Loss, line};
use crate::telemetry::queue::Sink;

/// Records that the queue did not take.
pub(super) static DROPPED: AtomicU64 = AtomicU64::new(0);
/// Records that the destination did not take.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Records lost so far.
pub fn lost_records() -> u64 {
    DROPPED.load(Ordering::Relaxed) + UNWRITTEN.load(Ordering::Relaxed)
}

/// Where a trail is written. `Display` names it behind "the audit trail".
pub trait Destination: fmt::Display + Send + 'static {
    /// Writes one line of the trail, whole or not at all for its readers.
    ///
    /// # Errors
    ///
    /// When the destination does not take it; the line is lost then.
    fn write(&mut self, line: &[u8]) -> io::Result<()>;
}

/// The writing end, which owns the destination.
pub struct Trail<D> {
    destination: D,
    failing: bool,
    /// Lost records that the trail does not record yet.
    unrecorded: u64,
}

impl<D: Destination> Trail<D> {
    pub fn new(destination: D) -> Self {
        Self { destination, failing: false, unrecorded: 0 }
    }

    fn record_losses(&mut self) -> io::Result<()> {
        if self.unrecorded > 0 {
            self.destination.write(&line(Loss { event: "records_lost", records: self.unrecorded }))?;
            self.unrecorded = 0;
        }
        Ok(())
    }

    /// Logs that the destination begins to fail, and that it works again.
    fn note(&mut self, outcome: io::Result<()>) {
        let destination = &self.destination;
        match outcome {
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(
                    %error,
                    "the audit trail {destination} cannot be written: {error}; calls go on, and their records are lost and \
                     counted"
                );
            }
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::warn!(
                    "the audit trail {destination} is written again; it says how many records it lacks"
                );
            }
            _ => {}
        }
    }
}

impl<D: Destination> Sink<Box<[u8]>> for Trail<D> {
    fn take(&mut self, line: Box<[u8]>) {
        let written = self.record_losses().and_then(|()| self.destination.write(&line));
        if written.is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
            self.unrecorded += 1;
        }
        self.note(written);
    }

    fn lost(&mut self, records: u64) {
        tracing::warn!(
            records,
            "{records} audit records were lost: calls came faster than they could be written"
        );
        self.unrecorded += records;
        let recorded = self.record_losses();
        self.note(recorded);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::tests::record;
    use super::*;
    use crate::telemetry::queue;

    /// Takes lines when it is open, and holds the writer up while its lines are locked.
    #[derive(Clone, Default)]
    struct Gate {
        lines: Arc<Mutex<Vec<serde_json::Value>>>,
        is_shut: bool,
    }

    impl fmt::Display for Gate {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("behind the gate")
        }
    }

    impl Destination for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<()> {
            if self.is_shut {
                return Err(io::Error::other("shut"));
            }
            self.lines.lock().unwrap().push(serde_json::from_slice(line).unwrap());
            Ok(())
        }
    }

    #[test]
    fn a_destination_that_failed_for_a_while_is_told_how_many_records_it_lacks() {
        let mut trail = Trail::new(Gate { is_shut: true, ..Gate::default() });
        let before = lost_records();
        trail.take(line(record("a")));
        trail.take(line(record("b")));
        assert!(trail.failing && lost_records() >= before + 2);
        trail.destination.is_shut = false;
        trail.take(line(record("c")));
        trail.lost(5);
        assert!(!trail.failing);
        let lines = trail.destination.lines.lock().unwrap();
        assert_eq!((&lines[0]["event"], &lines[0]["records"]), (&"records_lost".into(), &2.into()));
        assert_eq!((&lines[1]["request_id"], &lines[2]["records"]), (&"c".into(), &5.into()));
    }

    #[test]
    fn what_a_full_queue_did_not_take_is_counted_and_told_when_there_is_room_again() {
        const OFFERED: usize = 50_000;
        let gate = Gate::default();
        let (queue, writer) = queue::start(Trail::new(gate.clone()), &DROPPED).unwrap();
        let before = lost_records();
        let held = gate.lines.lock().unwrap();
        for number in 0..OFFERED {
            queue.offer(line(record(&number.to_string())));
        }
        let lost = lost_records() - before;
        assert!(lost > 1000, "{lost}");
        drop(held);
        drop(writer);
        let lines = gate.lines.lock().unwrap();
        let told: u64 = lines.iter().filter_map(|line| line["records"].as_u64()).sum();
        let written = lines.iter().filter(|line| line["request_id"].is_string()).count();
        // Other tests count in the same destination.
        assert!(told >= OFFERED as u64 - written as u64 && told <= lost_records() - before, "{told}");
        assert_eq!(lines.last().unwrap()["event"], "records_lost");
    }
}
