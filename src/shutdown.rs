//! The end of the process: a first signal asks all tasks to stop, after the time that balancers need to look elsewhere;
//! a second one cuts short what is left.
//!
//! [`Shutdown`] is handed to the owners of tasks; [`Signals`] turns SIGTERM and SIGINT into its two steps, and SIGHUP
//! into a request to reload. [`Guard`] keeps a thread free for them, so that the process ends even when all its
//! other threads hang.

use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The time beside the drain that the end may take, in milliseconds: some seconds each for servers and logs.
const ENDING: u64 = 13_000;

/// The steps of ending. Clones are the same shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    leaving: CancellationToken,
    stop: CancellationToken,
    cut: CancellationToken,
    /// Milliseconds from the first signal to the request to stop.
    leave: Arc<AtomicU64>,
    /// Milliseconds that calls in flight may go on.
    drain: Arc<AtomicU64>,
}

/// The thread that handles the signals while others work.
#[derive(Debug)]
pub struct Guard {
    signals: Runtime,
    shutdown: Shutdown,
}

/// The work did not end in time after it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("what still runs does not end, and is ended with the process")]
pub struct Overdue;

/// The process's SIGTERM, SIGINT and SIGHUP, caught from the moment of [`Signals::catch`].
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the end comes near, while everything is served on.
    fn announce(&self) {
        self.leaving.cancel();
    }

    /// Asks all tasks to stop: nothing new begins, and running calls are drained.
    pub fn request(&self) {
        self.announce();
        self.stop.cancel();
    }

    /// Ends the draining: what still runs is cancelled. Implies [`Shutdown::request`].
    pub fn cut_short(&self) {
        self.request();
        self.cut.cancel();
    }

    /// Resolves once the end is asked for.
    pub async fn requested(&self) {
        self.stop.cancelled().await;
    }

    /// The first step as a token, for owners that derive children from it.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Cancelled once the end is announced: new clients are better served elsewhere.
    pub fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// The end is announced `leave` before it is asked for. Calls in flight have `drain` from then on.
    pub fn will_take(&self, leave: Duration, drain: Duration) {
        for (kept, time) in [(&self.leave, leave), (&self.drain, drain)] {
            kept.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Resolves when everything must have ended.
    async fn overdue(&self) {
        self.requested().await;
        let drain = Duration::from_millis(self.drain.load(Ordering::Relaxed));
        let _drained = self.drain(drain, std::future::pending::<()>()).await;
        tokio::time::sleep(Duration::from_millis(ENDING)).await;
    }

    /// Lets `work` finish within `limit`, or until the shutdown is cut short: `None` when it did not.
    pub async fn drain<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = work => Some(output),
            () = self.cut.cancelled() => None,
            () = tokio::time::sleep(limit) => None,
        }
    }
}

impl Guard {
    /// Catches the signals from now on, for `shutdown` and `reload`; see [`Signals::forward`].
    ///
    /// # Errors
    ///
    /// Where the system allows no handler.
    pub fn new(shutdown: Shutdown, reload: Arc<Notify>) -> io::Result<Self> {
        let signals = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = signals.enter();
        signals.spawn(Signals::catch()?.forward(shutdown.clone(), reload));
        drop(entered);
        Ok(Self { signals, shutdown })
    }

    /// Runs `work` on `runtime`, and handles the signals on this thread meanwhile.
    ///
    /// So signals are handled while every thread of the runtime is busy.
    ///
    /// # Errors
    ///
    /// When the work goes on though the shutdown was requested and its time is over.
    ///
    /// # Panics
    ///
    /// As `work` does.
    pub fn run<T: Send + 'static>(
        &self,
        runtime: &Runtime,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Overdue> {
        let working = runtime.spawn(work);
        self.signals.block_on(async {
            tokio::select! {
                worked = working => Ok(worked.unwrap_or_else(|error| resume_unwind(error.into_panic()))),
                () = self.shutdown.overdue() => Err(Overdue),
            }
        })
    }
}

impl Signals {
    /// Catches the signals; fails where the system allows no handler. Needs a tokio runtime.
    pub fn catch() -> io::Result<Self> {
        // A log or state file that may not grow (`LimitFSIZE`) must cost lines, not the process: once it is
        // caught, this signal becomes an error of the write.
        let _stays_caught = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?;
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Forwards the first signal to end as a request, the second as a cut, and then ends.
    ///
    /// They are [`Shutdown::request`], after the time to leave, which another signal ends, and
    /// [`Shutdown::cut_short`]; each SIGHUP until then notifies `reload`. The caller owns the task that this runs in.
    pub async fn forward(mut self, shutdown: Shutdown, reload: Arc<Notify>) {
        let mut name = self.next(&reload).await;
        shutdown.announce();
        let leave = Duration::from_millis(shutdown.leave.load(Ordering::Relaxed));
        if !leave.is_zero() {
            tracing::info!("{name} received: the port closes in {leave:?}; another signal closes it at once");
            if let Ok(another) = timeout(leave, self.next(&reload)).await {
                name = another;
            }
        }
        tracing::info!("{name} received: draining calls in flight; another signal stops at once");
        shutdown.request();
        let name = self.next(&reload).await;
        tracing::warn!("{name} received again: calls in flight are cut");
        shutdown.cut_short();
    }

    async fn next(&mut self, reload: &Notify) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hangup.recv() => reload.notify_one(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Number, raise};

    #[tokio::test]
    async fn work_that_ends_in_time_is_drained() {
        let shutdown = Shutdown::new();
        let work = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(shutdown.drain(Duration::from_secs(60), work).await, Some(7));
    }

    #[tokio::test]
    async fn work_is_given_up_at_the_limit_or_when_cut_short() {
        let shutdown = Shutdown::new();
        let endless = std::future::pending::<()>();
        assert_eq!(shutdown.drain(Duration::from_millis(5), endless).await, None);
        assert!(!shutdown.stop.is_cancelled());
        shutdown.cut_short();
        assert!(shutdown.stop.is_cancelled());
        assert_eq!(shutdown.drain(Duration::from_secs(3600), std::future::pending::<()>()).await, None);
    }

    #[test]
    fn a_runtime_whose_threads_are_all_busy_is_left_when_its_time_is_over() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let shutdown = Shutdown::new();
        let signals = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let guard = Guard { signals: signals.unwrap(), shutdown: shutdown.clone() };
        assert_eq!(guard.run(&runtime, async { 7 }).unwrap(), 7);
        shutdown.request();
        guard.run(&runtime, async move { held.recv().unwrap_err() }).unwrap_err();
        drop(release);
    }

    #[tokio::test]
    async fn a_hangup_reloads_the_first_signal_to_end_asks_and_the_second_cuts() {
        let shutdown = Shutdown::new();
        let reload = Arc::new(Notify::new());
        let forwarding = tokio::spawn(Signals::catch().unwrap().forward(shutdown.clone(), reload.clone()));
        raise(Number::SIGHUP).unwrap();
        reload.notified().await;
        assert!(!shutdown.stop.is_cancelled());
        raise(Number::SIGTERM).unwrap();
        shutdown.requested().await;
        assert!(!shutdown.cut.is_cancelled());
        raise(Number::SIGINT).unwrap();
        shutdown.cut.cancelled().await;
        forwarding.await.unwrap();
    }
}
