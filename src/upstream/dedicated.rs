//! Opens a connection for one identity: its headers beside the entry's fixed ones, and a session of its own.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::error::EndReason;
use super::handshake::{self, Service};
use super::identity::Identity;
use super::link::Link;
use super::supervisor::Surroundings;
use super::{sse, streamable};
use crate::config::{ServerConfig, TransportConfig};

/// A connection that serves one identity.
pub struct Dedicated {
    pub link: Arc<dyn Link>,
    /// rmcp's half; it is ended after the link.
    pub service: Option<Service>,
}

impl std::fmt::Debug for Dedicated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Dedicated").finish_non_exhaustive()
    }
}

impl Dedicated {
    /// Ends the connection and its session, and waits until nothing of them is left.
    pub async fn close(self) {
        self.link.close().await;
        if let Some(service) = self.service
            && let Err(error) = service.cancel().await
        {
            tracing::error!(%error, "the task of a connection failed");
        }
    }
}

/// Makes connections for identities.
pub trait Opener: Send + Sync + 'static {
    /// One try. Leaves nothing behind when it fails, or when `give_up` ends it early.
    fn open<'a>(
        &'a self,
        identity: &'a Identity,
        give_up: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Dedicated, EndReason>>;
}

/// Makes them to the server of one entry.
#[derive(Debug)]
pub struct ServerOpener {
    entry: Arc<ServerConfig>,
    surroundings: Arc<Surroundings>,
}

impl ServerOpener {
    pub fn new(entry: Arc<ServerConfig>, surroundings: Arc<Surroundings>) -> Self {
        Self { entry, surroundings }
    }

    async fn try_to_open(
        &self,
        identity: &Identity,
        give_up: &CancellationToken,
    ) -> Result<Dedicated, EndReason> {
        let Surroundings { clients, limits, metrics: _ } = &*self.surroundings;
        let (limit, after) = (limits.load().result_bytes, limits.load().start_timeout);
        if self.entry.oauth {
            return Err(EndReason::OAuth);
        }
        let name = &self.entry.name;
        let deadline = tokio::time::Instant::now() + after;
        let silent = |step| EndReason::Silent { step, after, stderr: Arc::default() };
        let opening = async {
            match &self.entry.transport {
                TransportConfig::StreamableHttp(config) => {
                    streamable::open(name, config, clients, limit, Some(identity)).await
                }
                TransportConfig::Sse(config) => sse::open(name, config, clients, limit, Some(identity)).await,
                TransportConfig::Stdio(_) | TransportConfig::Socket(_) | TransportConfig::Gateway => {
                    unreachable!("a configuration lets headers through to servers over HTTP alone")
                }
            }
        };
        let opening = give_up.run_until_cancelled(timeout_at(deadline, opening)).await;
        let opened = opening.ok_or(EndReason::Stopping)?.map_err(|_| silent("the connection"))??;
        let link = opened.link.clone();
        // The tools are those of the shared connection, so nobody waits for news of them here.
        let unheard = Arc::new(Notify::new());
        let handshake = handshake::initialize(name, opened, self.entry.protocol.as_deref(), unheard);
        let handshake = give_up.run_until_cancelled(timeout_at(deadline, handshake)).await;
        let reason = match handshake {
            Some(Ok(Ok((service, _info)))) => {
                tracing::debug!(mcp_server = %name, ?identity, "{name}: a connection for forwarded headers is open");
                return Ok(Dedicated { link, service: Some(service) });
            }
            Some(Ok(Err(reason))) => reason,
            Some(Err(_)) => silent("initialize"),
            None => EndReason::Stopping,
        };
        link.close().await;
        Err(reason)
    }
}

impl Opener for ServerOpener {
    fn open<'a>(
        &'a self,
        identity: &'a Identity,
        give_up: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Dedicated, EndReason>> {
        Box::pin(async move {
            let opened = self.try_to_open(identity, give_up).await;
            if let Err(reason) = &opened {
                let name = &self.entry.name;
                tracing::debug!(mcp_server = %name, ?identity, "{name}: no connection for forwarded headers: {reason}");
            }
            opened
        })
    }
}
