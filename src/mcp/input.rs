//! What a client is asked while a request is worked on, in both eras.

pub mod active;
pub mod ask_client;
pub mod bridge;
pub mod client;
pub mod questions;
pub mod suspended;
