//! Work on files apart from the threads that serve calls, and the files that it waits for.

use std::any::Any;
use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long one file may take. A network mount that is there at all answers sooner.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
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

pub(super) async fn apart_within<T: Send + 'static>(
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
pub(super) struct Touch;

impl Touch {
    pub fn begin(path: &Path, patience: Duration) -> io::Result<Self> {
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
