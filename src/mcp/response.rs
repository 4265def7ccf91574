//! Responses to clients: results, errors, and streams of both.

pub mod fault;
pub mod finished;
pub mod sign_in;
pub mod single_event;
pub mod sse;
pub mod stream;
pub mod strict;
