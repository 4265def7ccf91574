//! Large answers until their clients have taken them: each holds its share of the results' budget as long as its bytes
//! are in memory, and its connection ends when it is the slowest and others wait.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use memmap2::MmapMut;
use tokio_util::sync::CancellationToken;

use super::answer::Problem;
use crate::compute;
use crate::memory_budget::{MemoryBudget, Reservation, SMALL};
use crate::shares::Principal;

/// The share of an answer, as an extension of it: for the connection that it leaves on.
#[derive(Debug, Clone)]
pub struct Untaken(Arc<Reservation>);

impl Untaken {
    /// The answer is on its way over a connection that has `written` so many bytes and ends with `cut`.
    pub(super) fn leaves_on(&self, written: &Arc<AtomicUsize>, cut: &CancellationToken) {
        self.0.follow(written.clone(), cut.clone());
    }
}

/// A large answer to `owner`, which has a share of `results` until the client has taken it.
///
/// Small answers and streams stay as they are.
pub async fn until_taken(response: Response, results: &MemoryBudget, owner: &Principal) -> Response {
    let size = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok());
    let Some(size) = size.filter(|size| *size > SMALL) else { return response };
    let (mut head, body) = response.into_parts();
    let Some(Ok(body)) = body.collect().now_or_never() else {
        tracing::error!(size, "an answer of a known size is not whole");
        return Problem::internal().into_response();
    };
    let share = Arc::new(results.reserve_now(owner, size));
    head.extensions.insert(Untaken(share.clone()));
    let mut body = body.to_bytes();
    if results.is_busy() {
        body = compute::run(owner.id().unwrap_or_default(), move || paged(body)).await;
    }
    Response::from_parts(head, Body::from(share.held_by(body)))
}

/// The same bytes in pages of their own, which go back to the system with them. The heap would keep them below
/// anything small that was allocated while they waited, and many answers at one time would fill the memory.
fn paged(body: Bytes) -> Bytes {
    match MmapMut::map_anon(body.len()) {
        Ok(mut pages) => {
            pages.copy_from_slice(&body);
            Bytes::from_owner(pages)
        }
        Err(error) => {
            tracing::debug!(%error, "an answer stays in the heap until it is taken");
            body
        }
    }
}
