//! The accept loop: connections on one port, bounded in number, in idleness and at the end.
//!
//! The first bytes of a client decide between HTTP/1.1 and HTTP/2. Nothing here takes a lock per request:
//! each connection hears of the shutdown through a channel of its own, and one coarse timer per connection
//! watches for clients that hold it without using it.

mod activity;
mod connection;
mod serving;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::listener::Listener;
use crate::shutdown::Shutdown;
use crate::systemd::LivenessResponder;
use activity::Activity;
pub use serving::{ServeOptions, Served, Serving};

/// The pause after an accept that failed for want of something (descriptors, memory), doubled up to
/// [`LONGEST_PAUSE`]: such a failure returns at once, and a loop without pause would burn a core.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Descriptors that no connection may take: a gateway needs a dozen, and four for each child.
const LEAST_FOR_SERVERS: u64 = 32;

/// How often connections that rest are looked for while all are in use.
const LOOK: Duration = Duration::from_secs(1);
/// Looks for which a connection must have rested to be closed: longer than an open stream of events is silent.
const RESTED: u32 = 17;
/// One of so many connections is closed at each look, and one at least.
const ONE_OF: usize = 64;

/// The open connections: their tasks, and the channels that ask them to finish.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: HashMap<Id, ConnectionHandle>,
}

/// An open connection as the loop sees it.
struct ConnectionHandle {
    /// Tells the connection to finish, also by being dropped.
    _finish: oneshot::Sender<()>,
    activity: Arc<Activity>,
    /// Its activity at the last look, and the number of looks since that activity.
    done: (usize, usize),
    rested: u32,
}

/// Serves `serving` on `listener` until `shutdown` is requested, then drains.
///
/// Every connection has ended when it returns. Answers `responder` for as long as the loop turns, and while it
/// drains.
pub async fn serve(
    mut listener: Listener,
    serving: Serving,
    shutdown: Shutdown,
    mut responder: LivenessResponder,
) {
    let mut connections = Connections::default();
    let mut pause = Pause::default();
    let by_descriptors = most_connections();
    let mut was_full = false;
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let options = serving.load().options;
        let most = options.connections.min(by_descriptors).max(1);
        let is_full = connections.tasks.len() >= most;
        if is_full && !was_full {
            tracing::warn!(
                "{most} connections are open, and further ones wait; `limits.connections` is {}, and \
                 descriptors (`LimitNOFILE`) suffice for {by_descriptors}",
                options.connections
            );
        }
        // A limit that is reached again and again is logged once.
        was_full = is_full || was_full && connections.tasks.len() > most / 2;
        let accepted = async {
            pause.passed().await;
            listener.accept().await
        };
        tokio::select! {
            () = shutdown.requested() => break,
            () = responder.respond() => {}
            Some(ended) = connections.tasks.join_next_with_id(), if !connections.tasks.is_empty() => {
                connections.forget(ended);
            }
            _ = look.tick(), if is_full => connections.make_room(most.div_ceil(ONE_OF)),
            accepted = accepted, if !is_full => match accepted {
                Ok((stream, peer)) => {
                    pause = Pause::default();
                    let (finish, finished) = oneshot::channel();
                    let tls = listener.acceptor();
                    let serving = Arc::clone(&serving);
                    let activity = Arc::<Activity>::default();
                    let serving = connection::serve(
                        (stream, peer), tls, serving, options, (finished, activity.clone()),
                    );
                    let task = connections.tasks.spawn(serving);
                    let open = ConnectionHandle { _finish: finish, activity, done: (0, 0), rested: 0 };
                    connections.open.insert(task.id(), open);
                }
                Err(error) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was gone before it was accepted");
                }
                Err(error) => {
                    pause = pause.longer();
                    tracing::warn!(
                        %error,
                        open = connections.tasks.len(),
                        "no connection can be accepted; trying again (raise `LimitNOFILE` or lower \
                         `limits.connections` when descriptors run out)"
                    );
                }
            },
        }
    }
    // Closing the port first sends new clients elsewhere at once, instead of into a backlog that is not read.
    drop(listener);
    let drain = serving.load().options.drain;
    connections.end(drain, &shutdown, responder).await;
}

/// The pause before the next accept.
#[derive(Debug, Default, Clone, Copy)]
struct Pause {
    length: Duration,
    until: Option<Instant>,
}

impl Pause {
    /// The one after another failure.
    fn longer(self) -> Self {
        let length = (self.length * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        Self { length, until: Some(Instant::now() + length) }
    }

    /// Waits for its end, which stays where it is however often this is dropped: the loop turns with each connection that
    /// ends.
    async fn passed(self) {
        if let Some(until) = self.until {
            sleep_until(until).await;
        }
    }
}

impl Connections {
    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a connection's task panicked");
                }
                error.id()
            }
        };
        self.open.remove(&id);
    }

    /// Closes up to `count` connections that have rested long enough, those first that have rested longest: a client that
    /// keeps connections without using them must not keep others out.
    fn make_room(&mut self, count: usize) {
        for open in self.open.values_mut() {
            let done = open.activity.done();
            let rests = done.0 > 0 && done == open.done && open.activity.is_resting();
            open.rested = if rests { open.rested.saturating_add(1) } else { 0 };
            open.done = done;
        }
        let rested = self.open.iter().filter(|(_, open)| open.rested >= RESTED);
        let mut rested: Vec<(u32, Id)> = rested.map(|(id, open)| (open.rested, *id)).collect();
        rested.sort_unstable_by_key(|(looks, _)| std::cmp::Reverse(*looks));
        for (_, id) in rested.into_iter().take(count) {
            self.open.remove(&id);
        }
    }

    async fn end(mut self, limit: Duration, shutdown: &Shutdown, mut responder: LivenessResponder) {
        // A dropped sender is the message.
        self.open.clear();
        let tasks = &mut self.tasks;
        let ended = async {
            loop {
                tokio::select! {
                    next = tasks.join_next() => if next.is_none() { break },
                    () = responder.respond() => {}
                }
            }
        };
        let drained = shutdown.drain(limit, ended).await;
        if drained.is_none() {
            tracing::warn!(open = self.tasks.len(), "connections with requests in flight are cut");
            self.tasks.shutdown().await;
        }
    }
}

/// The most connections that the descriptors of this process allow, with a quarter of them left for the
/// servers: one that cannot be started again for want of a pipe harms more callers than a connection that waits.
fn most_connections() -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let for_servers = (descriptors / 4).max(LEAST_FOR_SERVERS);
    usize::try_from(descriptors.saturating_sub(for_servers)).unwrap_or(usize::MAX)
}

/// Accept errors caused by the incoming connection, not by resource exhaustion.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pause_after_a_failure_ends_however_often_the_loop_turns_meanwhile() {
        let pause = (0..20).fold(Pause::default(), |pause, _| pause.longer());
        assert_eq!(pause.length, LONGEST_PAUSE);
        let began = Instant::now();
        let mut turns = 0;
        while timeout(Duration::from_millis(9), pause.passed()).await.is_err() {
            turns += 1;
            assert!(turns < 200, "it starts anew with each turn");
        }
        assert_eq!(began.elapsed(), LONGEST_PAUSE);
        Pause::default().passed().await;
        assert_eq!(began.elapsed(), LONGEST_PAUSE);
    }
}
