//! Input that servers ask of a client during a request, in both eras.

pub mod active;
pub mod ask_client;
pub mod bridge;
pub mod client;
pub mod questions;
pub mod request_state;
pub mod suspended;
