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

use crate::config::{HttpConfig, ServerName};
use crate::upstream::connection::{Answers, Opened, RequestIds, inbox};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::CloseReason;
use crate::upstream::identity::Identity;
use crate::upstream::transport::http::endpoint::{HttpContext, HttpEndpoint};
use crate::upstream::transport::intake::MessageBounds;
use crate::upstream::transport::streamable_http::connection::StreamableConnection;
use crate::upstream::transport::streamable_http::session::StreamableHttp;

/// Prepares the connection, for `identity` if there is one; nothing is sent before the handshake.
pub async fn open(
    server: &ServerName,
    config: &HttpConfig,
    context: HttpContext<'_>,
    bounds: MessageBounds,
    identity: Option<&Identity>,
) -> Result<Opened, CloseReason> {
    let endpoint = HttpEndpoint::new(server, config, context, bounds, identity).await?;
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
    Ok(Opened { connection: Arc::new(StreamableConnection(Arc::new(shared))), inbox: inbox_out })
}
