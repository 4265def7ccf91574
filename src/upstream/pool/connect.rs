//! Connections for one identity: its headers beside the fixed ones of the entry, a session (or a process, or a
//! connection to the socket) of its own, and its client for the server to ask.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::config::ServerName;
use crate::protocol::method;
use crate::upstream::connection::Connection;
use crate::upstream::error::CloseReason;
use crate::upstream::handshake::reader::ReaderTask;
use crate::upstream::identity::Identity;
use crate::upstream::request::Request;
use crate::upstream::server_messages::Relay;

/// A connection that serves one identity.
pub struct DedicatedConnection {
    pub connection: Arc<dyn Connection>,
    /// Handles messages that the server sends by itself.
    pub relay: Arc<Relay>,
    pub log: Arc<LogLevel>,
    /// Reads messages that the server sends by itself; ended after the connection.
    pub reader: Option<ReaderTask>,
}

impl DedicatedConnection {
    /// Ends the connection and its session, and waits until nothing of them is left.
    pub async fn close(self, server: &ServerName) {
        self.connection.close().await;
        if let Some(reader) = self.reader {
            reader.cancel(server).await;
        }
    }
}

/// Opens connections for identities.
pub trait Connect: Send + Sync + 'static {
    /// One try. Leaves nothing behind when it fails, or when `give_up` ends it early.
    fn open<'a>(
        &'a self,
        identity: &'a Identity,
        give_up: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<DedicatedConnection, CloseReason>>;

    /// Explores an open connection beside the calls, until it ends.
    fn probe<'a>(&'a self, identity: &'a Identity, connection: &'a DedicatedConnection) -> BoxFuture<'a, ()>;
}

/// The log level that was set over one connection. It may change at any time (2025-11-25, logging, "Setting Log
/// Level").
#[derive(Debug, Default)]
pub struct LogLevel {
    is_offered: bool,
    asked: ArcSwapOption<Arc<str>>,
}

impl LogLevel {
    pub fn new(is_offered: bool) -> Self {
        Self { is_offered, asked: ArcSwapOption::empty() }
    }

    /// Sets the log level at the server, unless it is set already. A server that refuses just logs more or less.
    pub async fn ask(&self, connection: &dyn Connection, level: &Arc<str>) {
        let is_known = self.asked.load().as_deref().is_some_and(|asked| asked == level);
        if !self.is_offered || is_known {
            return;
        }
        let members = format!("\"level\":{}", serde_json::Value::from(&**level));
        match connection.request(Request::other(method::LOGGING_SET_LEVEL, members.as_bytes()), None).await {
            // A refusal would be the same the next time.
            Ok(_) => self.asked.store(Some(Arc::new(level.clone()))),
            Err(error) => tracing::debug!(%error, "a level of log messages could not be set"),
        }
    }
}
