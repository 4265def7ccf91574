//! Feeds the service manager's watchdog for as long as the gateway works.
//!
//! A thread of its own asks, so that a stuck runtime is still reported. It asks the accept loop and a new task at once.
//! Without both answers it feeds nothing, and the service manager restarts the unit.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::liveness::Probe;

/// The watchdog interval of the service manager, if it watches this process.
///
/// It is `WATCHDOG_USEC`, unless `WATCHDOG_PID` names another process.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
}

/// The feeding thread. Dropping it stops and joins it.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The part that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stuck {
    AcceptLoop,
    Runtime,
}

impl Watchdog {
    /// Calls `feed` once a `period` while the gateway works.
    ///
    /// `accept_loop` probes the loop that takes new connections; calls run on `runtime`.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        period: Duration,
        feed: impl Fn() + Send + 'static,
        accept_loop: Probe,
        runtime: Handle,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let watch = move || watch(period, &feed, &accept_loop, &runtime, &stopped);
        let thread = std::thread::Builder::new().name("mcpo-watchdog".into()).spawn(watch)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn watch(period: Duration, feed: &dyn Fn(), accept_loop: &Probe, runtime: &Handle, stopped: &Receiver<()>) {
    let mut told = None;
    while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
        let stuck = ask(period, accept_loop, runtime);
        if told != stuck {
            told = stuck;
            say(stuck, period);
        }
        if stuck.is_none() {
            feed();
        }
    }
}

/// Asks both at once and waits at most `limit` for the two answers.
fn ask(limit: Duration, accept_loop: &Probe, runtime: &Handle) -> Option<Stuck> {
    let deadline = Instant::now() + limit;
    let (runs, ran) = sync_channel(1);
    runtime.spawn(async move { runs.send(()) });
    let (turns, turned) = sync_channel(1);
    let probe = accept_loop.clone();
    runtime.spawn(async move {
        // A round that is over must not leave its task behind.
        if tokio::time::timeout(limit, probe.answered()).await.is_ok() {
            let _nobody_waits_any_more = turns.send(());
        }
    });
    let in_time = |answer: &Receiver<()>| {
        answer.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    };
    if !in_time(&ran) {
        return Some(Stuck::Runtime);
    }
    (!in_time(&turned)).then_some(Stuck::AcceptLoop)
}

fn say(stuck: Option<Stuck>, limit: Duration) {
    let limit = limit.as_secs_f32();
    match stuck {
        Some(Stuck::Runtime) => tracing::error!(
            "no task was run within {limit} s: every worker thread is stuck; the watchdog is not fed, and the \
             service manager will restart the gateway"
        ),
        Some(Stuck::AcceptLoop) => tracing::error!(
            "the accept loop did not answer within {limit} s: no new connection is taken; the watchdog is not \
             fed, and the service manager will restart the gateway"
        ),
        None => tracing::info!("the gateway answers again; the watchdog is fed"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::liveness::{LivenessResponder, liveness};
    use super::*;

    const PERIOD: Duration = Duration::from_millis(50);

    async fn turn(mut responder: LivenessResponder) {
        loop {
            responder.respond().await;
        }
    }

    /// A watchdog over the probe, and how often it fed.
    fn watched(probe: Probe) -> (Watchdog, Arc<AtomicUsize>) {
        let fed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fed);
        let feed = move || {
            count.fetch_add(1, Ordering::Relaxed);
        };
        (Watchdog::start(PERIOD, feed, probe, Handle::current()).unwrap(), fed)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_is_fed_while_both_answer_and_not_when_the_accept_loop_rests() {
        let (probe, responder) = liveness();
        let turning = tokio::spawn(turn(responder));
        let (watchdog, fed) = watched(probe);
        while fed.load(Ordering::Relaxed) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(watchdog);
        turning.abort();

        let (probe, resting) = super::super::liveness::liveness();
        let asked = ask(PERIOD, &probe, &Handle::current());
        assert_eq!(asked, Some(Stuck::AcceptLoop));
        drop(resting);
        assert_eq!(ask(Duration::from_secs(10), &probe, &Handle::current()), None);
    }

    #[test]
    fn a_runtime_whose_workers_are_all_busy_is_told_as_such() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (probe, _resting) = liveness();
        let (go_on, wait) = sync_channel::<()>(0);
        let (began, begun) = sync_channel(0);
        runtime.spawn(async move {
            began.send(()).unwrap();
            wait.recv()
        });
        begun.recv().unwrap();
        assert_eq!(ask(PERIOD, &probe, runtime.handle()), Some(Stuck::Runtime));
        drop(go_on);
    }
}
