//! The memory that the bodies of all requests may take together.
//!
//! Each body has a limit, and thousands of connections may each send one: without a bound over all of them the
//! two limits would multiply. Small bodies take no room; their number is bounded by the connections.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::LimitsConfig;

/// Bodies up to this size, in bytes, take no room. Most arguments are a hundred bytes.
pub const SMALL: usize = 64 * 1024;
/// Room is counted in units of so many bytes.
const UNIT: usize = 1024;

/// The room of one gateway. Clones share it.
#[derive(Debug, Clone)]
pub struct BodyRoom(Arc<Semaphore>);

/// A body's share of the room, given back when dropped. Keep it for as long as the body is in memory.
#[derive(Debug)]
pub struct Share(Option<OwnedSemaphorePermit>);

impl BodyRoom {
    /// Room for `limits.bodies_bytes`, and for one body of any allowed size.
    pub fn new(limits: &LimitsConfig) -> Self {
        let bytes = limits.bodies_bytes.max(limits.body_bytes);
        Self(Arc::new(Semaphore::new((bytes.div_ceil(UNIT)).min(Semaphore::MAX_PERMITS))))
    }

    /// Waits for room for a body of at most `bytes`.
    pub async fn share(&self, bytes: usize) -> Share {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let share = self.0.clone().acquire_many_owned(units).await;
        Share(Some(share.expect("the room is never closed")))
    }
}

impl Share {
    /// The share of a small body.
    pub fn none() -> Self {
        Self(None)
    }

    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Gives back what a body of `bytes` does not need.
    pub fn shrink(&mut self, bytes: usize) {
        if let Some(permit) = &mut self.0 {
            let surplus = permit.num_permits().saturating_sub(bytes.div_ceil(UNIT));
            drop(permit.split(surplus));
        }
    }
}
