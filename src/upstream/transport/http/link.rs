//! The common part of a connection over either HTTP transport.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::upstream::connection::{CloseSignal, RequestIds};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::transport::http::endpoint::HttpEndpoint;

/// Answers to a server's own requests that may be under way at one time; further ones are dropped. Without this a
/// server that asks and does not read would fill the memory.
const ANSWERS: usize = 64;
/// How long such an answer may wait for a server that does not take it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long a message may take whose answer is not awaited: a cancellation, the end of a session.
pub const LAST_MESSAGE_LIMIT: Duration = Duration::from_secs(2);

/// The endpoint of one connection, its close signal and its tasks.
pub struct HttpLink {
    pub endpoint: HttpEndpoint,
    pub ids: RequestIds,
    pub era: EraCache,
    pub end: Arc<CloseSignal>,
    pub tasks: TaskTracker,
    /// Permits for answers to the server's own requests.
    answers: Arc<Semaphore>,
}

impl HttpLink {
    pub fn new(endpoint: HttpEndpoint) -> Self {
        Self {
            endpoint,
            ids: RequestIds::default(),
            era: EraCache::default(),
            end: Arc::default(),
            tasks: TaskTracker::new(),
            answers: Arc::new(Semaphore::new(ANSWERS)),
        }
    }

    /// Sends an answer as [`Connection::respond`](crate::upstream::connection::Connection::respond) does.
    pub fn respond(&self, sending: impl Future<Output = Result<(), RequestError>> + Send + 'static) {
        if self.end.is_set() {
            return;
        }
        let server = self.endpoint.server.clone();
        let Ok(permit) = self.answers.clone().try_acquire_owned() else {
            return tracing::debug!(mcp_server = %server, "{server}: an answer to a request of its own was dropped: too many are under way");
        };
        let end = self.end.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            let sent = end.token().run_until_cancelled(timeout(ANSWER_LIMIT, sending)).await;
            if let Some(Err(_) | Ok(Err(_))) = sent {
                tracing::debug!(mcp_server = %server, "{server} did not take an answer to a request of its own");
            }
        });
    }

    /// Sends a cancellation, which the caller does not wait for.
    pub fn cancel<T>(&self, sending: impl Future<Output = Result<T, RequestError>> + Send + 'static) {
        let server = self.endpoint.server.clone();
        self.tasks.spawn(async move {
            if !matches!(timeout(LAST_MESSAGE_LIMIT, sending).await, Ok(Ok(_))) {
                tracing::debug!(mcp_server = %server, "a cancellation could not be sent to {server}");
            }
        });
    }

    /// Ends the connection when a message could not be sent.
    pub fn heed(&self, error: &RequestError) {
        if let RequestError::NotSent(reason) = error {
            self.end.set(reason.clone());
        }
    }

    /// Ends the connection and waits for its tasks.
    pub async fn close(&self) {
        self.end.set(CloseReason::Stopping);
        self.tasks.close();
        self.tasks.wait().await;
    }
}
