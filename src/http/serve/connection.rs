//! One connection, from the TLS handshake to its last byte.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
use tokio_util::either::Either;
use tokio_util::io::InspectWriter;

use super::super::listener::SocketStream;
use super::super::taken::Untaken;
use super::activity::{Activity, RequestInFlight};
use super::serving::{ServeOptions, Serving};
use crate::trace::Peer;

/// Bytes of an answer that a client must take within the idle timeout: a client that takes less keeps the answer in
/// memory. The system's own buffers take the first megabytes of every answer.
const LEAST_TAKEN: usize = 16 * 1024;

/// Bounds a request's head, and with it the memory that a client without a key can make the gateway hold.
const HEAD_BYTES: usize = 64 * 1024;

/// Requests at one time on one HTTP/2 connection.
const STREAMS: u32 = 250;

/// The time after which an unanswered ping shows that a peer has vanished.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long a connection without a request yet stays open at the end: a request may be on the way, and its client
/// could not know whether the gateway saw it.
const LAST_REQUEST: Duration = Duration::from_millis(300);

/// Serves one connection until it ends. `finish` resolves (or its sender is dropped) when it should end
/// after the requests in flight.
pub(super) async fn serve(
    (stream, peer): (SocketStream, Peer),
    tls: Option<TlsAcceptor>,
    serving: Serving,
    options: ServeOptions,
    (finish, activity): (oneshot::Receiver<()>, Arc<Activity>),
) {
    let _open = serving.load().edge.metrics().connection();
    if let Either::Left(stream) = &stream {
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
    let counted = Arc::clone(&activity.written);
    let stream = InspectWriter::new(stream, move |bytes| {
        counted.fetch_add(bytes.len(), Ordering::Relaxed);
    });
    let service = service_fn(|request: Request<Incoming>| {
        let (served, activity) = (serving.load_full(), Arc::clone(&activity));
        async move {
            let _in_flight = RequestInFlight::begin(&activity);
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
