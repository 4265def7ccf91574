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
use tokio_util::task::TaskTracker;

use crate::upstream::connection::{Answers, Opened, RequestIds, inbox};
use crate::upstream::era_cache::EraCache;
use crate::upstream::transport::http::endpoint::HttpEndpoint;
use crate::upstream::transport::streamable_http::connection::StreamableConnection;
use crate::upstream::transport::streamable_http::session::StreamableHttp;

/// Prepares the connection; nothing is sent before the handshake.
pub fn open(endpoint: HttpEndpoint) -> Opened {
    let (inbox, inbox_out) = inbox();
    let shared = StreamableHttp {
        endpoint,
        session: ArcSwapOption::empty(),
        inbox,
        ids: RequestIds::default(),
        era: EraCache::default(),
        end: Arc::default(),
        tasks: TaskTracker::new(),
        answers: Answers::default(),
    };
    Opened { connection: Arc::new(StreamableConnection(Arc::new(shared))), inbox: inbox_out }
}
