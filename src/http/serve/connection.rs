//! One connection, from the TLS handshake to its last byte.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::super::Peer;
use super::super::listener::Stream;
use super::super::taken::Untaken;
use super::counted::Counted;
use super::{ServeOptions, Serving};

/// What a client must take of an answer within the idle timeout; one that takes less keeps us from forgetting
/// the answer. The system's own buffers take the first megabytes of every answer.
const LEAST_TAKEN: usize = 16 * 1024;

/// Bounds a request's head, and with it what an unauthenticated client can make us hold.
const HEAD_BYTES: usize = 64 * 1024;

/// Requests at one time on one HTTP/2 connection.
const STREAMS: u32 = 250;

/// A peer that vanished without a word is noticed by an unanswered ping after this time.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long a connection that has not asked anything yet is kept open at the end: its request may be on the way, and
/// whoever sent it would not know whether it was seen.
const LAST_REQUEST: Duration = Duration::from_millis(300);

/// What the watches over a connection need to know of its requests.
#[derive(Default)]
pub(super) struct Activity {
    begun: AtomicUsize,
    in_flight: AtomicUsize,
    /// Bytes that the system took for the client.
    pub(super) written: Arc<AtomicUsize>,
    /// Ends the connection, whose client keeps the room for results from others.
    cut: CancellationToken,
    /// Whether an answer that has a share of that room ever left on it.
    has_share: AtomicBool,
}

impl Activity {
    /// Requests that have begun, and bytes that were written.
    pub fn done(&self) -> (usize, usize) {
        (self.begun.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }

    /// Whether no request waits for its answer's head.
    pub fn is_resting(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }
}

/// Counts a request as in flight until its answer's head is ready, or the client has left.
struct InFlight<'a>(&'a Activity);

/// Serves one connection until it ends. `finish` resolves (or its sender is dropped) when it should end
/// after the requests in flight.
pub(super) async fn serve(
    (stream, peer): (Stream, Peer),
    tls: Option<TlsAcceptor>,
    serving: Serving,
    options: ServeOptions,
    (finish, activity): (oneshot::Receiver<()>, Arc<Activity>),
) {
    let _open = serving.load().edge.metrics().connection();
    if let Stream::Tcp(stream) = &stream {
        // Answers are written whole: waiting to fill a packet would cost 40 ms against a client's delayed ACK.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "TCP_NODELAY could not be set");
        }
        // Notices clients that vanished while a call runs, so that the call is cancelled some day.
        if let Err(error) = rustix::net::sockopt::set_socket_keepalive(stream, true) {
            tracing::debug!(%error, %peer, "SO_KEEPALIVE could not be set");
        }
    }
    let Some(tls) = tls.filter(|_| !peer.is_unix()) else {
        return converse((stream, peer), &serving, options, (finish, activity)).await;
    };
    match tokio::time::timeout(options.header_timeout, tls.accept(stream)).await {
        Ok(Ok(stream)) => converse((stream, peer), &serving, options, (finish, activity)).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

async fn converse(
    (stream, peer): (impl AsyncRead + AsyncWrite + Unpin + 'static, Peer),
    serving: &Serving,
    options: ServeOptions,
    (mut finish, activity): (oneshot::Receiver<()>, Arc<Activity>),
) {
    let stream = Counted::new(stream, Arc::clone(&activity));
    let service = service_fn(|request: Request<Incoming>| {
        let (served, activity) = (serving.load_full(), Arc::clone(&activity));
        async move {
            let _in_flight = InFlight::begin(&activity);
            let mut response = served.edge.respond(request, peer).await;
            if let Some(untaken) = response.extensions_mut().remove::<Untaken>() {
                activity.has_share.store(true, Ordering::Relaxed);
                untaken.leaves_on(&activity.written, &activity.cut);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let builder = builder();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut watch = pin!(tokio::time::sleep(options.header_timeout));
    let mut cut = pin!(activity.cut.cancelled());
    // The connection is polled first, and with each such answer again.
    let mut cut = poll_fn(|context| match activity.has_share.load(Ordering::Relaxed) {
        true => cut.as_mut().poll(context),
        false => Poll::Pending,
    });
    let (mut seen, mut seen_written) = (0, 0);
    let mut finishing = false;
    let mut asked_to_close = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // Clients leave as they like; nothing here is a fault of ours.
                    tracing::debug!(error, %peer, "connection ended early");
                }
                return;
            }
            () = &mut cut => {
                tracing::info!(%peer, "the client takes its answer too slowly while others wait; it is cut off (limits.resultsBytes)");
                return;
            }
            _ = &mut finish, if !finishing => {
                finishing = true;
                if activity.begun.load(Ordering::Relaxed) == 0 {
                    watch.as_mut().reset(Instant::now() + LAST_REQUEST);
                } else {
                    asked_to_close = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
            () = watch.as_mut() => {
                let begun = activity.begun.load(Ordering::Relaxed);
                if begun == 0 {
                    tracing::debug!(%peer, "no request came in time");
                    return;
                }
                let resting = begun == seen && activity.is_resting();
                let written = activity.written.load(Ordering::Relaxed);
                if resting && asked_to_close && written.wrapping_sub(seen_written) < LEAST_TAKEN {
                    tracing::debug!(%peer, "the client takes nothing of its answer");
                    return;
                }
                if (resting || finishing) && !asked_to_close {
                    // Closes at once, in the middle of a head too; an answer that still streams goes on.
                    finishing = true;
                    asked_to_close = true;
                    connection.as_mut().graceful_shutdown();
                }
                (seen, seen_written) = (begun, written);
                watch.as_mut().reset(Instant::now() + options.idle_timeout);
            }
        }
    }
}

/// No header timeout of hyper's own: it would set and clear a timer with every request.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().header_read_timeout(None).max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    builder
}

impl<'a> InFlight<'a> {
    fn begin(activity: &'a Activity) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
