//! The file of what outlives the process: appended to while the gateway runs, and written anew when it has grown.
//!
//! Nothing waits for the disk: what was written survives the end of the process, however it ends, and not a loss of power.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::outlived::{Outlived, RECORD, head};
use crate::file;
use crate::sync::lock;
use crate::upstream::FileLock;

/// How long records wait for others.
const GATHERED: Duration = Duration::from_millis(200);
/// How long the end of a session waits until it is written.
const PATIENCE: Duration = Duration::from_secs(2);
/// A file that has grown by this much beyond twice its length is written anew.
const GROWTH: u64 = 1 << 20;
/// The longest file that is read.
const LONGEST: u64 = 64 << 20;
/// Stands for the length of a file that the gateway cannot read, and writes anew.
const DAMAGED: u64 = u64::MAX;
/// Bytes that wait for a disk that does not answer; further records are lost.
const MOST_WAITING: usize = 8 << 20;

/// Writes records to a file.
#[derive(Debug)]
pub struct SessionJournal {
    path: PathBuf,
    lock: FileLock,
    waiting: Mutex<Waiting>,
    /// How many records were written.
    written: watch::Sender<u64>,
    some: Notify,
    urgent: Notify,
    /// The length of the file, and its length when it was written anew.
    length: AtomicU64,
    compact: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    records: Vec<u8>,
    /// How many records came so far.
    count: u64,
}

impl SessionJournal {
    /// The journal in `state_dir`. `lock` is that of all files there.
    pub fn new(state_dir: &Path, lock: FileLock) -> Self {
        Self {
            path: state_dir.join("sessions"),
            lock,
            waiting: Mutex::default(),
            written: watch::Sender::default(),
            some: Notify::new(),
            urgent: Notify::new(),
            length: AtomicU64::new(0),
            compact: AtomicU64::new(0),
        }
    }

    /// Reads what earlier processes wrote, without what happened before `since`.
    pub async fn read(&self, since: u64) -> Outlived {
        let _locked = self.lock.lock().await;
        let path = self.path.clone();
        let read = file::apart(move || file::read_own(&path, LONGEST)).await;
        let bytes = match read.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Outlived::default(),
            Err(error) => {
                tracing::error!(file = %self.path.display(), %error, "which sessions of MCP clients have ended cannot be read, so that ended ones may open again");
                return Outlived::default();
            }
        };
        self.length.store(bytes.len() as u64, Ordering::Relaxed);
        Outlived::read(&bytes, since).unwrap_or_else(|| {
            tracing::error!(file = %self.path.display(), "the file of ended sessions is damaged, and is written anew");
            self.length.store(DAMAGED, Ordering::Relaxed);
            Outlived::default()
        })
    }

    /// Writes `records` soon.
    pub fn push(&self, records: &[u8]) {
        let mut waiting = lock(&self.waiting);
        if waiting.records.len() + records.len() > MOST_WAITING {
            return;
        }
        if waiting.records.is_empty() {
            self.some.notify_one();
        }
        waiting.records.extend_from_slice(records);
        waiting.count += (records.len() / RECORD) as u64;
    }

    /// Waits until all records that were pushed are in the file, for a moment at most.
    pub async fn is_written(&self) {
        let count = lock(&self.waiting).count;
        self.some.notify_one();
        self.urgent.notify_one();
        let mut written = self.written.subscribe();
        if timeout(PATIENCE, written.wait_for(|written| *written >= count)).await.is_err() {
            tracing::warn!(file = %self.path.display(), "a session has ended, and the file that says so is not written in time");
        }
    }

    /// Waits until there is something to write.
    pub async fn wanted(&self) {
        self.some.notified().await;
        tokio::select! {
            () = self.urgent.notified() => {}
            () = sleep(GATHERED) => {}
        }
    }

    /// Runs `work` and [`SessionJournal::write`] where files are touched.
    pub async fn apart(&self, work: impl FnOnce() + Send + 'static) {
        let _locked = self.lock.lock().await;
        if let Err(error) = file::apart(work).await {
            tracing::error!(%error, "sessions of MCP clients cannot be kept for the next start");
        }
    }

    /// Writes what waits. A file that has grown long is written anew, without what happened before `since`.
    ///
    /// Blocks as [`file::read`] does.
    pub fn write(&self, since: u64) {
        let (records, count) = {
            let mut waiting = lock(&self.waiting);
            (std::mem::take(&mut waiting.records), waiting.count)
        };
        let written = self.append(&records).and_then(|()| self.compact_if_long(since));
        if let Err(error) = written {
            tracing::error!(file = %self.path.display(), %error, "sessions of MCP clients cannot be kept for the next start; check the state directory");
        }
        self.written.send_replace(count);
    }

    fn append(&self, records: &[u8]) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        if self.length.load(Ordering::Relaxed) == DAMAGED {
            return self.begin(records);
        }
        let appended = file::touch(&self.path, || {
            let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
            let mut file = OpenOptions::new().append(true).custom_flags(flags).open(&self.path)?;
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
            }
            let length = metadata.len();
            // A process that was killed may have left a part of a record.
            let whole = length - length % RECORD as u64;
            if whole < length {
                file.set_len(whole)?;
            }
            file.write_all(records)?;
            Ok(whole + records.len() as u64)
        });
        match appended {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.begin(records),
            appended => {
                self.length.store(appended?, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Writes the file anew with nothing but `records`.
    fn begin(&self, records: &[u8]) -> io::Result<()> {
        let file = [&head(0), records].concat();
        file::replace(&self.path, &file)?;
        self.length.store(file.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn compact_if_long(&self, since: u64) -> io::Result<()> {
        let compact = self.compact.load(Ordering::Relaxed);
        let length = self.length.load(Ordering::Relaxed);
        if length == DAMAGED || length <= compact.saturating_mul(2).saturating_add(GROWTH) {
            return Ok(());
        }
        let bytes = file::read_own(&self.path, LONGEST)?;
        let file = Outlived::read(&bytes, since).unwrap_or_default().file();
        file::replace(&self.path, &file)?;
        self.length.store(file.len() as u64, Ordering::Relaxed);
        self.compact.store(file.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::outlived::{SessionEvent, record};
    use super::*;

    fn length(journal: &SessionJournal) -> u64 {
        std::fs::metadata(&journal.path).unwrap().len()
    }

    #[tokio::test]
    async fn a_file_that_has_grown_is_written_anew_without_what_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let journal = SessionJournal::new(folder.path(), FileLock::default());
        let session =
            |number: u32| record(SessionEvent::Ended, &u128::from(number).to_le_bytes(), u64::from(number));
        let all: Vec<u8> = (1..=50_000).flat_map(session).collect();
        journal.push(&all);
        journal.write(49_990);
        assert_eq!(length(&journal), 11 * RECORD as u64);
        // The rest of a record that a killed process did not write whole is dropped.
        journal.push(&session(60_000)[..]);
        std::fs::OpenOptions::new().append(true).open(&journal.path).unwrap().write_all(b"torn").unwrap();
        journal.write(0);
        assert_eq!(length(&journal), 12 * RECORD as u64);
        let read = journal.read(0).await;
        let known = |number: u128| read.last_use(&number.to_le_bytes(), None, 59_000);
        assert_eq!((known(60_000), known(50_000), known(1)), (None, None, Some(59_000)));
        assert_eq!(read.last_use(&[9; 16], None, 49_990), None, "from before the file begins");
    }

    #[tokio::test]
    async fn the_end_of_a_session_waits_for_the_file_and_not_for_one_that_fails() {
        let folder = tempfile::tempdir().unwrap();
        let journal = SessionJournal::new(&folder.path().join("file/below"), FileLock::default());
        std::fs::write(folder.path().join("file"), "").unwrap();
        journal.push(&record(SessionEvent::Ended, &[1; 16], 1));
        let writing = async {
            journal.wanted().await;
            journal.write(0);
        };
        tokio::join!(journal.is_written(), writing);
        assert_eq!(*journal.written.borrow(), 1);
    }
}
