//! The memory that the bodies of all requests may take together.
//!
//! Each body has a limit, and thousands of connections may each send one: without a bound over all of them the
//! two limits would multiply.

use crate::config::LimitsConfig;
use crate::room::{Owner, Room, Share};

/// What becomes of a body: itself, the arguments in it, and the message to the server that holds them.
const COPIES: usize = 3;

/// The room of one gateway. Clones share it.
#[derive(Debug, Clone)]
pub struct BodyRoom(Room);

impl BodyRoom {
    /// Room for `limits.bodies_bytes`, and for one body of any allowed size.
    pub fn new(limits: &LimitsConfig) -> Self {
        Self(Room::new(limits.bodies_bytes, limits.body_bytes.saturating_mul(COPIES)))
    }

    /// Waits for room for what becomes of a body of at most `bytes`.
    pub(super) async fn share(&self, owner: &Owner, bytes: usize) -> Share {
        self.0.share(owner, bytes.saturating_mul(COPIES)).await
    }

    /// Gives back what a body of `bytes` does not need.
    pub(super) fn shrink(share: &mut Share, bytes: usize) {
        share.shrink(bytes.saturating_mul(COPIES));
    }
}
