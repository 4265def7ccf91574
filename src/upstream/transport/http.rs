//! HTTP towards servers: one server's address with all that its requests carry, and what its responses mean.

mod cookies;
pub mod endpoint;
pub mod link;
mod refusal;
pub mod status;
pub mod unpack;
