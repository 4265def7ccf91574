//! Request bodies: read whole, up to a limit, and only from callers that keep sending fast enough.
//!
//! Call it after authentication: until then nothing of a body is kept, so that a caller without a key can
//! make the gateway hold no more than a request head.

mod budget;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answer::Problem;
use crate::config::LimitsConfig;
use crate::memory_budget::{FAST, Reservation, SMALL};
use crate::shares::Principal;
pub use budget::BodyBudget;

/// Bytes that earn a body one second more than `limits.bodyTimeout`. A client that sends more slowly only holds the
/// connection.
pub const LEAST_RATE: usize = 1024;

/// How long a small body may take that is passed over.
const PASSED_OVER_WITHIN: Duration = Duration::from_secs(1);

/// Reads the small body of a request that is refused, and holds nothing of it.
///
/// The connection of a request that was not read is closed without a word, and its client may already use it again.
pub async fn pass_over(body: Body) {
    if body.size_hint().lower() > SMALL as u64 {
        return;
    }
    let mut body = Limited::new(body, SMALL);
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    let _came_in_time = timeout(PASSED_OVER_WITHIN, reading).await;
}

/// Why a request body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(
        "the request body is larger than {limit} bytes; the gateway's `limits.bodyBytes` sets this limit"
    )]
    TooLarge { limit: usize },
    #[error(
        "the request body came too slowly: {received} bytes within {} s; the gateway's `limits.bodyTimeout` \
         sets this limit",
        .after.as_secs_f32()
    )]
    TooSlow { received: usize, after: Duration },
    #[error(
        "the gateway holds as many large request bodies as it may, and none was done within {} s; its \
         `limits.bodiesBytes` sets this limit",
        .after.as_secs_f32()
    )]
    OverBudget { after: Duration },
    #[error(
        "the request body came too slowly while others waited for room: {received} bytes within {:.1} s, and from {} \
         bytes a second on none is ended; the gateway's `limits.bodiesBytes` sets how many it holds",
        .after.as_secs_f32(), FAST
    )]
    InTheWay { received: usize, after: Duration },
    #[error("the request body could not be read to its end")]
    Broken(#[source] axum::Error),
}

/// Reads `body` to its end, for a caller without a key: see [`read_body_if`].
pub async fn read_body(
    body: Body,
    limits: &LimitsConfig,
    budget: &BodyBudget,
) -> Result<(Bytes, Option<Reservation>), BodyError> {
    read_body_if(body, limits, budget, Principal::ANONYMOUS, async || Ok(())).await
}

/// Reads `body` of `owner` to its end, within the size, the pauses and the rate of `limits`.
///
/// An announced length above the limit is refused before anything is read. A body that came in one piece is
/// returned without a copy. One that is not small is read on if `may_be_large` allows it and once it has its share of
/// `budget`; it is ended when it is slow and others wait. Keep the share for as long as anything of the body is in memory.
pub async fn read_body_if<E: From<BodyError>>(
    mut body: Body,
    limits: &LimitsConfig,
    budget: &BodyBudget,
    owner: &Principal,
    may_be_large: impl AsyncFnOnce() -> Result<(), E>,
) -> Result<(Bytes, Option<Reservation>), E> {
    let limit = limits.body_bytes;
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(BodyError::TooLarge { limit }.into());
    }
    let mut coming = Coming { pause: limits.body_timeout, limit, began: Instant::now(), received: 0 };
    let mut first = Bytes::new();
    while coming.received <= SMALL {
        let Some(data) = coming.next(&mut body).await? else { return Ok((first, None)) };
        if first.is_empty() {
            first = data;
            continue;
        }
        let mut joined = BytesMut::with_capacity(announced.min(SMALL).max(coming.received));
        joined.extend_from_slice(&first);
        joined.extend_from_slice(&data);
        while coming.received <= SMALL {
            let Some(data) = coming.next(&mut body).await? else { return Ok((joined.freeze(), None)) };
            joined.extend_from_slice(&data);
        }
        first = joined.freeze();
    }
    may_be_large().await?;
    // A body that does not say how long it is may become as long as any.
    let most = if announced > 0 { announced } else { limit };
    let granted = timeout_at(coming.until(), budget.reserve(owner, most)).await;
    let mut share = granted.map_err(|_| BodyError::OverBudget { after: coming.pause })?;
    let bytes = coming.rest(&mut body, first, announced, &share).await?;
    BodyBudget::shrink(&mut share, bytes.len());
    Ok((bytes, Some(share)))
}

/// A body on its way.
struct Coming {
    pause: Duration,
    limit: usize,
    began: Instant,
    received: usize,
}

impl Coming {
    /// When the next piece is to be there.
    fn until(&self) -> Instant {
        let earned = Duration::from_secs((self.received / LEAST_RATE) as u64);
        (self.began + self.pause + earned).min(Instant::now() + self.pause)
    }

    async fn next(&mut self, body: &mut Body) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = match timeout_at(self.until(), body.frame()).await {
                Err(_) => return Err(self.too_slow()),
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(BodyError::Broken)?,
            };
            // Nothing behind the gateway reads trailers.
            let Ok(data) = frame.into_data() else { continue };
            self.received += data.len();
            if self.received > self.limit {
                return Err(BodyError::TooLarge { limit: self.limit });
            }
            return Ok(Some(data));
        }
    }

    /// All that is left after `first`, under `share`.
    async fn rest(
        &mut self,
        body: &mut Body,
        first: Bytes,
        announced: usize,
        share: &Reservation,
    ) -> Result<Bytes, BodyError> {
        let (moved, end) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        share.follow(moved.clone(), end.clone());
        moved.store(self.received, Ordering::Relaxed);
        let mut rest = BytesMut::new();
        loop {
            let next = end.run_until_cancelled(self.next(body)).await;
            let Some(data) = next.unwrap_or_else(|| Err(self.in_the_way()))? else { break };
            if rest.is_empty() {
                rest.reserve(announced.max(self.received));
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
            moved.store(self.received, Ordering::Relaxed);
            // A client that sends as fast as it is read must not keep the worker from the requests of others.
            yield_now().await;
        }
        share.arrived();
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    }

    fn too_slow(&self) -> BodyError {
        BodyError::TooSlow { received: self.received, after: self.began.elapsed() }
    }

    fn in_the_way(&self) -> BodyError {
        BodyError::InTheWay { received: self.received, after: self.began.elapsed() }
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let (status, code) = match &error {
            BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            BodyError::TooSlow { .. } | BodyError::InTheWay { .. } => {
                (StatusCode::REQUEST_TIMEOUT, "body_too_slow")
            }
            BodyError::OverBudget { .. } => (StatusCode::SERVICE_UNAVAILABLE, "bodies_too_many"),
            BodyError::Broken(_) => (StatusCode::BAD_REQUEST, "body_broken"),
        };
        let problem = Problem::new(status, code, error.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(1) } else { problem }
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};

    async fn read_body(body: Body, limits: &LimitsConfig) -> Result<Bytes, BodyError> {
        super::read_body(body, limits, &BodyBudget::new(limits)).await.map(|(bytes, _share)| bytes)
    }

    fn limits(body_bytes: usize) -> LimitsConfig {
        LimitsConfig { body_bytes, body_timeout: Duration::from_secs(30), ..LimitsConfig::default() }
    }

    fn pieces(pieces: &[&'static [u8]]) -> Body {
        let frames: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece))).collect();
        Body::from_stream(stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_returned_whole() {
        assert_eq!(read_body(pieces(&[b"abc", b"de", b"f"]), &limits(6)).await.unwrap(), "abcdef");
        assert_eq!(read_body(pieces(&[]), &limits(6)).await.unwrap(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_the_room_that_others_hold_and_small_ones_do_not() {
        const LARGE: &[u8] = &[b'x'; 100 << 10];
        let limits = LimitsConfig { bodies_bytes: 450 << 10, ..limits(120 << 10) };
        let budget = BodyBudget::new(&limits);
        let large = || super::read_body(pieces(&[LARGE]), &limits, &budget);
        let (first, share) = large().await.unwrap();
        assert_eq!(first.len(), LARGE.len());
        assert!(super::read_body(pieces(&[b"small"]), &limits, &budget).await.is_ok());
        let refused = large().await.unwrap_err();
        assert!(refused.to_string().contains("limits.bodiesBytes"), "{refused}");
        assert_eq!(refused.into_response().status(), 503);
        drop(share);
        assert!(large().await.is_ok());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_naming_it() {
        for body in [pieces(&[b"abc", b"de", b"fg"]), Body::from("abcdefg")] {
            let error = read_body(body, &limits(6)).await.unwrap_err();
            assert!(error.to_string().contains("6 bytes"), "{error}");
            assert_eq!(error.into_response().status(), 413);
        }
    }

    /// Announces seven bytes, and fails the test when they are read.
    struct Announcement;

    impl hyper::body::Body for Announcement {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            panic!("read before the refusal")
        }

        fn size_hint(&self) -> hyper::body::SizeHint {
            hyper::body::SizeHint::with_exact(7)
        }
    }

    #[tokio::test]
    async fn an_announced_length_over_the_limit_is_refused_unread() {
        let error = read_body(Body::new(Announcement), &limits(6)).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 6 }), "{error}");
    }

    #[tokio::test]
    async fn one_piece_is_not_copied() {
        let piece = Bytes::from(vec![b'x'; 100]);
        let place = piece.as_ptr();
        assert_eq!(read_body(Body::from(piece), &limits(100)).await.unwrap().as_ptr(), place);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_body_is_given_up() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"a"))]);
        let began = Instant::now();
        let error =
            read_body(Body::from_stream(first.chain(stream::pending())), &limits(10)).await.unwrap_err();
        assert_eq!(began.elapsed().as_secs(), 30);
        assert!(error.to_string().contains("1 bytes within 30 s"), "{error}");
        assert_eq!(error.into_response().status(), 408);
    }

    /// So many pieces of so many bytes, a second apart.
    fn dripping(count: usize, size: usize) -> Body {
        Body::from_stream(stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; size]))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_given_up_and_a_slow_one_is_read() {
        let began = Instant::now();
        let error = read_body(dripping(100_000, 1), &limits(1 << 20)).await.unwrap_err();
        assert!(matches!(error, BodyError::TooSlow { received: 29 | 30, .. }), "{error}");
        assert_eq!(began.elapsed().as_secs(), 30);
        let slow = read_body(dripping(200, LEAST_RATE), &limits(1 << 20)).await.unwrap();
        assert_eq!(slow.len(), 200 * LEAST_RATE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_body_is_ended_while_another_waits_for_its_room() {
        let limits = LimitsConfig { bodies_bytes: 1, ..limits(1 << 20) };
        let budget = BodyBudget::new(&limits);
        let slow = tokio::spawn({
            let (limits, budget) = (limits.clone(), budget.clone());
            async move { super::read_body(dripping(200, 70 << 10), &limits, &budget).await }
        });
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let body = Body::from(vec![b'x'; 1 << 20]);
        let (whole, _share) = super::read_body(body, &limits, &budget).await.unwrap();
        assert_eq!(whole.len(), 1 << 20);
        let ended = slow.await.unwrap().unwrap_err();
        assert!(matches!(ended, BodyError::InTheWay { .. }), "{ended}");
        assert!(ended.to_string().contains("limits.bodiesBytes"), "{ended}");
        assert_eq!(ended.into_response().status(), 408);
    }

    #[tokio::test]
    async fn a_large_body_that_is_not_allowed_is_not_read_and_a_small_one_is() {
        let limits = limits(1 << 20);
        let budget = BodyBudget::new(&limits);
        let refuse = async || Err(BodyError::OverBudget { after: Duration::ZERO });
        let read =
            async |body| super::read_body_if(body, &limits, &budget, Principal::ANONYMOUS, refuse).await;
        let (small, share) = read(pieces(&[b"sma", b"ll"])).await.unwrap();
        assert_eq!((small.as_ref(), share.is_none()), (b"small".as_ref(), true));
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; SMALL + 1]))]);
        let body = Body::from_stream(first.chain(stream::poll_fn(|_| panic!("read after the refusal"))));
        assert!(matches!(read(body).await, Err(BodyError::OverBudget { .. })));
    }
}
