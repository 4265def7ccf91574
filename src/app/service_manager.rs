//! Keeps the service manager informed: READY once the port is served, a status line that follows the servers,
//! reloads, the end, and the watchdog.
//!
//! [`ServiceManager`] owns the task and the thread that do it. Without a service manager neither is started.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::status_line::StatusLine;
use crate::shutdown::Shutdown;
use crate::systemd::liveness::liveness;
use crate::systemd::{LivenessResponder, Notifier, Probe, Watchdog, watchdog_interval};
use crate::upstream::{Changes, Upstream};

/// Changes that come in a burst (a start of many servers) are sent as one status.
const SETTLE: Duration = Duration::from_millis(100);

/// Notifies the service manager of the gateway's state.
#[derive(Debug)]
pub struct ServiceManager {
    /// Announces reloads.
    pub reloads: Reloads,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
    watchdog: Option<Watchdog>,
}

/// Notifies of reloads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reloads {
    notifier: Notifier,
    note: Arc<watch::Sender<Option<String>>>,
}

impl Reloads {
    /// A reload has begun; [`Reloads::ended`] must follow.
    pub fn begun(&self) {
        self.notifier.reloading("reloading");
        self.note.send_replace(Some("reloading".to_owned()));
    }

    /// The reload is over. `failure` is why the old configuration stays, and is part of the status until the next
    /// reload; every user of the machine can read it.
    pub fn ended(&self, failure: Option<&str>) {
        let note = failure.map(|why| format!("the last reload failed: {why}"));
        self.notifier.ready(note.as_deref().unwrap_or("reloaded"));
        self.note.send_replace(note);
    }
}

impl ServiceManager {
    /// Starts the notifications, inside a tokio runtime.
    ///
    /// `servers` gives the servers of the moment, of which `changes` announces every change; `ending` is the longest time
    /// that the gateway takes to stop. READY is sent when the accept loop first answers by the [`LivenessResponder`],
    /// which the caller hands to the loop.
    pub fn start(
        notifier: Notifier,
        servers: impl Fn() -> Vec<Arc<Upstream>> + Send + 'static,
        changes: &Changes,
        shutdown: Shutdown,
        ending: Duration,
    ) -> (Self, LivenessResponder) {
        let (probe, responder) = liveness();
        let reloads = Reloads { notifier: notifier.clone(), note: Arc::new(watch::Sender::new(None)) };
        let stop = CancellationToken::new();
        let task = notifier.is_wanted().then(|| {
            let sender = StatusSender {
                notifier: notifier.clone(),
                servers,
                changes: changes.subscribe(),
                note: reloads.note.subscribe(),
                sent: String::new(),
            };
            let running = sender.run(probe.clone(), shutdown, ending);
            let stop = stop.clone();
            tokio::spawn(async move {
                stop.run_until_cancelled(running).await;
            })
        });
        let watchdog = watchdog(&notifier, probe);
        (Self { reloads, stop, task, watchdog }, responder)
    }

    /// Ends the task and the watchdog's thread, and returns when they have.
    pub async fn end(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task that informs the service manager failed");
        }
        if let Some(watchdog) = self.watchdog.take() {
            // Its thread may be waiting for answers from this very runtime.
            let _never_panics = tokio::task::spawn_blocking(move || drop(watchdog)).await;
        }
    }
}

/// Starts the feeding thread, when the service manager asks for it. Without the thread, the gateway still serves.
fn watchdog(notifier: &Notifier, probe: Probe) -> Option<Watchdog> {
    let interval = watchdog_interval().filter(|_| notifier.is_wanted())?;
    let (period, notifier) = (interval / 3, notifier.clone());
    match Watchdog::start(period, move || notifier.alive(), probe, Handle::current()) {
        Ok(watchdog) => {
            tracing::debug!("the watchdog of the service manager is fed every {period:?}");
            Some(watchdog)
        }
        Err(error) => {
            tracing::error!(%error, "the thread that feeds the watchdog cannot be started");
            None
        }
    }
}

/// The task that writes the status.
struct StatusSender<S> {
    notifier: Notifier,
    servers: S,
    changes: watch::Receiver<u64>,
    note: watch::Receiver<Option<String>>,
    sent: String,
}

impl<S: Fn() -> Vec<Arc<Upstream>> + Send> StatusSender<S> {
    async fn run(mut self, accept_loop: Probe, shutdown: Shutdown, ending: Duration) {
        // A loop that answers accepts connections.
        accept_loop.answered().await;
        self.sent = self.line();
        self.notifier.ready(&self.sent);
        tokio::select! {
            () = shutdown.leaving().cancelled() => {}
            () = self.follow() => {}
        }
        shutdown.leaving().cancelled().await;
        self.notifier.stopping("stopping: calls in flight are drained", ending);
    }

    /// Sends every new line; ends when all senders of changes are gone.
    async fn follow(&mut self) {
        loop {
            tokio::select! {
                changed = self.changes.changed() => if changed.is_err() { return },
                changed = self.note.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // The status that a reload sent itself meanwhile is to be replaced in any case.
                    self.sent.clear();
                }
            }
            tokio::time::sleep(SETTLE).await;
            let line = self.line();
            if line != self.sent {
                self.notifier.status(&line);
                self.sent = line;
            }
        }
    }

    fn line(&mut self) -> String {
        self.changes.borrow_and_update();
        let note = self.note.borrow_and_update().clone();
        StatusLine::of(&(self.servers)(), note).to_string()
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixDatagram;

    use super::*;
    use crate::config::{ServerConfig, ServerName, TransportConfig};

    async fn received(socket: &UnixDatagram) -> String {
        let mut message = [0; 1024];
        let received = tokio::time::timeout(Duration::from_secs(20), socket.recv(&mut message)).await;
        String::from_utf8(message[..received.unwrap().unwrap()].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn readiness_waits_for_the_accept_loop_and_the_status_follows_reloads() {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let notifier = Notifier::new(Some(folder.path().join("notify").into()));
        let changes = Arc::<Changes>::default();
        let name = ServerName::new("time").unwrap();
        let entry = ServerConfig::new(name, TransportConfig::Gateway);
        let server = Upstream::of_test(entry, changes.clone());
        let shutdown = Shutdown::new();
        let servers = move || vec![server.clone()];
        let (manager, mut responder) =
            ServiceManager::start(notifier, servers, &changes, shutdown.clone(), Duration::from_secs(1));
        let early = tokio::time::timeout(Duration::from_millis(50), socket.readable()).await;
        assert!(early.is_err(), "told before the accept loop has turned");
        responder.respond().await;
        assert_eq!(received(&socket).await, "READY=1\nSTATUS=0 of 1 servers ready; time: starting\n");

        manager.reloads.begun();
        let begun = received(&socket).await;
        assert!(
            begun.starts_with("RELOADING=1\nMONOTONIC_USEC=") && begun.ends_with("STATUS=reloading\n"),
            "{begun}"
        );
        manager.reloads.ended(Some("line 3 is wrong"));
        assert_eq!(received(&socket).await, "READY=1\nSTATUS=the last reload failed: line 3 is wrong\n");
        let expected =
            "STATUS=0 of 1 servers ready; the last reload failed: line 3 is wrong; time: starting\n";
        assert_eq!(received(&socket).await, expected);

        // A good one takes the note away, also where the servers are as they were before.
        manager.reloads.begun();
        manager.reloads.ended(None);
        assert!(received(&socket).await.starts_with("RELOADING=1\n"));
        assert_eq!(received(&socket).await, "READY=1\nSTATUS=reloaded\n");
        assert_eq!(received(&socket).await, "STATUS=0 of 1 servers ready; time: starting\n");

        shutdown.request();
        assert!(received(&socket).await.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000\n"));
        manager.end().await;
    }
}
