//! The streamable HTTP transport, as its client (specification 2025-11-25 and 2026-07-28, "Transports").
//!
//! Each request is one POST, answered by JSON or by a stream of events; a caller reads its own answer on
//! its own task. Beside that runs, with servers that have sessions, one GET stream for what the server sends by itself.

mod connection;
mod lost;
pub mod request_headers;
mod session;
mod streams;

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::upstream::connection::{Opened, inbox};
use crate::upstream::transport::http::endpoint::HttpEndpoint;
use crate::upstream::transport::http::link::HttpLink;
use crate::upstream::transport::streamable_http::connection::StreamableConnection;
use crate::upstream::transport::streamable_http::session::StreamableHttp;

/// Prepares the connection; nothing is sent before the handshake.
pub fn open(endpoint: HttpEndpoint) -> Opened {
    let (inbox, inbox_out) = inbox();
    let shared = StreamableHttp { link: HttpLink::new(endpoint), session: ArcSwapOption::empty(), inbox };
    Opened { connection: Arc::new(StreamableConnection(Arc::new(shared))), inbox: inbox_out }
}
