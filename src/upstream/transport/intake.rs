//! Bounds on a server's messages: each up to a limit, and large ones only with room among the results of all servers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::memory_budget::{MemoryBudget, Reservation, SMALL};
use crate::shares::Principal;
use crate::upstream::error::RequestError;

/// How long a message waits for room. Those behind it on the same connection wait with it.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Room is taken in steps of this many bytes.
const STEP: usize = 256 << 10;

/// The bounds of one server's messages.
#[derive(Debug, Clone)]
pub struct MessageBounds {
    /// The largest message, in bytes.
    pub limit: usize,
    pub budget: MemoryBudget,
}

/// The room of the message that is being read; what it has it gives back with the message.
#[derive(Debug)]
pub struct Intake {
    budget: MemoryBudget,
    share: Option<Reservation>,
}

impl Intake {
    pub fn new(bounds: &MessageBounds) -> Self {
        Self { budget: bounds.budget.clone(), share: None }
    }

    /// Waits until a message of `owner` may have `bytes`. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`RequestError::OverBudget`]; then the message has no room any more.
    pub async fn reach(&mut self, owner: &Principal, bytes: usize) -> Result<(), RequestError> {
        if bytes <= SMALL {
            return Ok(());
        }
        let share = self.share.get_or_insert_with(|| self.budget.empty_reservation(owner));
        if timeout(PATIENCE, share.grow(bytes.next_multiple_of(STEP))).await.is_err() {
            self.share = None;
            return Err(RequestError::OverBudget { after: PATIENCE });
        }
        Ok(())
    }

    /// The whole message, whose last slice gives its room back.
    pub fn whole(&mut self, owner: &Principal, message: Bytes) -> Bytes {
        let share = self.share.take();
        if message.len() <= SMALL {
            return message;
        }
        let mut share = share.unwrap_or_else(|| self.budget.empty_reservation(owner));
        share.shrink(message.len());
        share.grow_now(message.len());
        Arc::new(share).held_by(message)
    }

    /// The message is not kept.
    pub fn forget(&mut self) {
        self.share = None;
    }
}
