//! Files that the gateway is pointed at, read and written within bounds of kind, size and time.
//!
//! A call to the kernel for a file on a mount that has died does not come back, and nothing can stop it. So whatever
//! touches files runs on a thread of its own ([`apart`]), which is left behind when it takes too long; the same file is
//! then left alone until that thread has come back. Only regular files and pipes are read: a device may never end.

mod pipe;
mod replace;

use std::any::Any;
use std::fs::{self, FileType, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub use replace::{replace, replace_durably};

/// How long one file may take. A network mount that is there at all answers sooner.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a thread that works on is asked whether it waits for a file.
const LOOK: Duration = Duration::from_millis(500);

/// The files that are being touched at this moment.
static UNDER_WAY: LazyLock<Mutex<Vec<Touched>>> = LazyLock::new(Mutex::default);

/// A file that a thread waits for.
struct Touched {
    thread: ThreadId,
    path: PathBuf,
    since: Instant,
}

/// Why work on files gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApartError {
    #[error("`{}` does not answer; see whether the disk or mount that it lies on is alive", .0.display())]
    Silent(PathBuf),
    #[error("no thread can be started to read files: {0}")]
    NoThread(#[source] io::Error),
}

/// Runs `work`, which touches files by the functions of this module, on a thread of its own.
///
/// # Errors
///
/// [`ApartError::Silent`] when a file does not answer; its thread is left behind. Work that takes long without waiting
/// for a file is waited for.
///
/// # Panics
///
/// As `work` does.
pub async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApartError> {
    apart_within(PATIENCE, LOOK, work).await
}

async fn apart_within<T: Send + 'static>(
    patience: Duration,
    look: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApartError> {
    let (give, mut given) = oneshot::channel();
    let run = move || {
        let _caller_left = give.send(work());
    };
    let thread = thread::Builder::new().name("mcpo-file".into()).spawn(run).map_err(ApartError::NoThread)?;
    loop {
        match timeout(look, &mut given).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(_)) => resume_unwind(panic_of(thread)),
            Err(_) => {
                if let Some(path) = silent_file(thread.thread().id(), patience) {
                    return Err(ApartError::Silent(path));
                }
            }
        }
    }
}

fn panic_of(thread: JoinHandle<()>) -> Box<dyn Any + Send> {
    thread.join().expect_err("only a thread that panicked gives no result")
}

/// The file that `thread` has waited for in vain.
fn silent_file(thread: ThreadId, patience: Duration) -> Option<PathBuf> {
    let under_way = under_way();
    let mut waited = under_way.iter().filter(|touched| touched.since.elapsed() >= patience);
    waited.find(|touched| touched.thread == thread).map(|touched| touched.path.clone())
}

/// Reads the regular file or pipe at `path`, of at most `longest` bytes. Blocks: a caller that serves others goes by
/// [`apart`].
///
/// # Errors
///
/// Also when it is neither, is longer ([`io::ErrorKind::FileTooLarge`]), or is a pipe that is not written in time.
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    read_of_kind(path, longest, |kind| kind.is_file() || kind.is_fifo(), "regular files and pipes")
}

/// As [`read`], for a file that the gateway itself has written: a pipe in its place is not waited for.
pub fn read_own(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    read_of_kind(path, longest, FileType::is_file, "regular files")
}

fn read_of_kind(
    path: &Path,
    longest: u64,
    is_read: impl Fn(&FileType) -> bool,
    kinds: &str,
) -> io::Result<Vec<u8>> {
    let check = |kind: FileType| if is_read(&kind) { Ok(()) } else { Err(refused(kind, kinds)) };
    touch(path, || {
        // A device is not even opened: that alone may do something.
        check(fs::metadata(path)?.file_type())?;
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        let metadata = file.metadata()?;
        check(metadata.file_type())?;
        if metadata.file_type().is_fifo() {
            return pipe::read(file, longest);
        }
        if metadata.len() > longest {
            return Err(too_long(longest));
        }
        let mut bytes = Vec::new();
        file.take(longest + 1).read_to_end(&mut bytes)?;
        // Files of the kernel say that they are empty.
        if bytes.len() as u64 > longest { Err(too_long(longest)) } else { Ok(bytes) }
    })
}

/// What the system knows of the file at `path`. Blocks as [`read`] does.
pub fn metadata(path: &Path) -> io::Result<Metadata> {
    touch(path, || fs::metadata(path))
}

/// Whether reading `path` may take what cannot be read again.
pub fn is_pipe(path: &Path) -> bool {
    metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn too_long(longest: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {longest} bytes"))
}

fn refused(kind: FileType, kinds: &str) -> io::Error {
    let (error, name) = match kind {
        kind if kind.is_dir() => (io::ErrorKind::IsADirectory, "directory"),
        kind if kind.is_socket() => (io::ErrorKind::InvalidInput, "socket"),
        kind if kind.is_fifo() => (io::ErrorKind::InvalidInput, "pipe"),
        _ => (io::ErrorKind::InvalidInput, "device"),
    };
    io::Error::new(error, format!("it is a {name}, and only {kinds} are read"))
}

/// Does something with the file at `path`, unless an earlier try has not come back. For what is not done by another
/// function of this module; not within one.
///
/// # Errors
///
/// Those of `work`, and [`io::ErrorKind::TimedOut`].
pub fn touch<T>(path: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let _until_it_comes_back = Touch::begin(path, PATIENCE)?;
    work()
}

/// Noted among the files that are touched until this is dropped.
struct Touch;

impl Touch {
    fn begin(path: &Path, patience: Duration) -> io::Result<Self> {
        let mut under_way = under_way();
        if under_way.iter().any(|touched| touched.path == path && touched.since.elapsed() >= patience) {
            let reason =
                "an earlier try has not come back; see whether the disk or mount that it lies on is alive";
            return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
        }
        under_way.push(Touched {
            thread: thread::current().id(),
            path: path.to_owned(),
            since: Instant::now(),
        });
        Ok(Self)
    }
}

impl Drop for Touch {
    fn drop(&mut self) {
        let own = thread::current().id();
        let mut under_way = under_way();
        // A thread touches one file at a time.
        if let Some(at) = under_way.iter().position(|touched| touched.thread == own) {
            under_way.swap_remove(at);
        }
    }
}

fn under_way() -> MutexGuard<'static, Vec<Touched>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
