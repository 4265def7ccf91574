//! Request bodies: read whole, up to a limit, and only from callers that keep sending.
//!
//! Call it after authentication: until then nothing of a body is read, so that a caller without a key can
//! make the gateway hold no more than a request head.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use hyper::body::Body as _;

use super::answer::Problem;

/// How long a caller may send nothing in the middle of its body.
pub const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Room that is reserved at once for a body that announces its length; more is added as it comes, so that an
/// announcement alone costs nothing.
const FIRST_ROOM: usize = 64 * 1024;

/// Why a request body could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error(
        "the request body is larger than {limit} bytes; the gateway's `limits.bodyBytes` sets this limit"
    )]
    TooLarge { limit: usize },
    #[error("the request body stalled: nothing came for {} s", .after.as_secs())]
    Stalled { after: Duration },
    #[error("the request body could not be read to its end")]
    Broken(#[source] axum::Error),
}

/// Reads `body` to its end: at most `limit` bytes, with no pause longer than [`STALL_LIMIT`].
///
/// An announced length above the limit is refused before anything is read. A body that came in one piece is
/// returned without a copy.
pub async fn read_body(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    read_body_within(body, limit, STALL_LIMIT).await
}

async fn read_body_within(mut body: Body, limit: usize, stall: Duration) -> Result<Bytes, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(BodyError::TooLarge { limit });
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    loop {
        let frame = match tokio::time::timeout(stall, body.frame()).await {
            Err(_) => return Err(BodyError::Stalled { after: stall }),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(BodyError::Broken)?,
        };
        // Trailers are of no use to anyone behind us.
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if rest.is_empty() && first.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.reserve(announced.min(FIRST_ROOM).max(first.len() + data.len()));
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let (status, code) = match &error {
            BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            BodyError::Stalled { .. } => (StatusCode::REQUEST_TIMEOUT, "body_stalled"),
            BodyError::Broken(_) => (StatusCode::BAD_REQUEST, "body_broken"),
        };
        Problem::new(status, code, error.to_string())
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

    fn pieces(pieces: &[&'static [u8]]) -> Body {
        let frames: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece))).collect();
        Body::from_stream(stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_returned_whole() {
        assert_eq!(read_body(pieces(&[b"abc", b"de", b"f"]), 6).await.unwrap(), "abcdef");
        assert_eq!(read_body(pieces(&[]), 6).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_naming_it() {
        for body in [pieces(&[b"abc", b"de", b"fg"]), Body::from("abcdefg")] {
            let error = read_body(body, 6).await.unwrap_err();
            assert!(error.to_string().contains("6 bytes"), "{error}");
            assert_eq!(error.into_response().status(), 413);
        }
    }

    /// Announces seven bytes, and fails the test when anybody asks for them.
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
        let error = read_body(Body::new(Announcement), 6).await.unwrap_err();
        assert!(matches!(error, BodyError::TooLarge { limit: 6 }), "{error}");
    }

    #[tokio::test]
    async fn one_piece_is_not_copied() {
        let piece = Bytes::from(vec![b'x'; 100]);
        let place = piece.as_ptr();
        assert_eq!(read_body(Body::from(piece), 100).await.unwrap().as_ptr(), place);
    }

    #[tokio::test]
    async fn a_stalled_body_is_given_up() {
        let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"a"))]);
        let body = Body::from_stream(first.chain(stream::pending()));
        let error = read_body_within(body, 10, Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(error.into_response().status(), 408);
    }
}
