//! The ways to a server: a child process or a socket that speaks lines, streamable HTTP, and HTTP with server-sent events.

pub mod child;
mod event_stream;
pub(crate) mod http;
pub(crate) mod intake;
pub(crate) mod local;
mod ndjson;
pub(crate) mod sse;
pub(crate) mod streamable_http;

pub use ndjson::frames;
pub use streamable_http::request_headers::value as header_value;
