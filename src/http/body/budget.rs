//! The memory that the bodies of all requests may take together.
//!
//! Each body has a limit, and thousands of connections may each send one: without a bound over all of them the
//! two limits would multiply.

use crate::config::LimitsConfig;
use crate::memory_budget::{MemoryBudget, Reservation};
use crate::shares::Principal;

/// Copies of a body: itself, the arguments in it, and the message to the server that holds them.
const COPIES: usize = 3;

/// The budget of one gateway. Clones share it.
#[derive(Debug, Clone)]
pub struct BodyBudget(MemoryBudget);

impl BodyBudget {
    /// A budget of `limits.bodies_bytes`, or of one body of the largest allowed size if that is more.
    pub fn new(limits: &LimitsConfig) -> Self {
        Self(MemoryBudget::new(limits.bodies_bytes, limits.body_bytes.saturating_mul(COPIES)))
    }

    /// Reserves the memory of a body of at most `bytes` and its copies.
    pub(super) async fn reserve(&self, owner: &Principal, bytes: usize) -> Reservation {
        self.0.reserve(owner, bytes.saturating_mul(COPIES)).await
    }

    /// Gives back the memory that a body of `bytes` does not need.
    pub(super) fn shrink(reservation: &mut Reservation, bytes: usize) {
        reservation.shrink(bytes.saturating_mul(COPIES));
    }
}
