//! Opens connections to the server of one entry, over the transport that the entry names.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use futures_util::future::BoxFuture;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use crate::config::{LimitsConfig, ServerConfig, TransportConfig};
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::protocol::{Era, method};
use crate::upstream::connection::{Connection, Opened};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::CloseReason;
use crate::upstream::handshake;
use crate::upstream::handshake::reader::HandshakeParams;
use crate::upstream::http_client::HttpClients;
use crate::upstream::identity::Identity;
use crate::upstream::oauth::authorizer::{Authorizer, OAuth};
use crate::upstream::pool::connect::{Connect, DedicatedConnection, LogLevel};
use crate::upstream::server::Upstream;
use crate::upstream::server_messages::Relay;
use crate::upstream::subscriptions::Subscriptions;
use crate::upstream::transport::child::stderr::{StderrRates, StderrTail};
use crate::upstream::transport::http::endpoint::HttpContext;
use crate::upstream::transport::intake::MessageBounds;
use crate::upstream::transport::sse;
use crate::upstream::transport::stdio;
use crate::upstream::transport::streamable_http;
use crate::upstream::transport_detection::{HttpTransport, TransportCache};

/// The clients, limits and metrics that all supervisors share.
#[derive(Debug)]
pub struct Surroundings {
    pub clients: Arc<HttpClients>,
    pub oauth: Arc<OAuth>,
    /// `start_timeout`, `result_bytes` and `stderr_lines` count for each server from its next start on.
    pub limits: ArcSwap<LimitsConfig>,
    pub metrics: Arc<Metrics>,
    pub stderr: StderrRates,
    /// The memory that large results of all servers may take together.
    pub results: MemoryBudget,
}

impl Surroundings {
    /// Opens a connection to the server of `entry`, for `identity` if there is one, and sends nothing over it yet.
    /// Returns the stderr of a child process, too. `transport` counts where the entry leaves it open.
    pub(super) async fn open(
        &self,
        entry: &ServerConfig,
        authorizer: Option<&Arc<Authorizer>>,
        identity: Option<&Identity>,
        transport: HttpTransport,
    ) -> Result<(Opened, Option<StderrTail>), CloseReason> {
        let context = HttpContext { clients: &self.clients, authorizer };
        let name = &entry.name;
        let bounds = MessageBounds { limit: self.limits.load().result_bytes, room: self.results.clone() };
        let (config, transport) = match &entry.transport {
            TransportConfig::Stdio(config) => {
                let rate = self.stderr.of(name, self.limits.load().stderr_lines);
                let (opened, tail) = stdio::open(name, config, rate, &bounds).await?;
                return Ok((opened, Some(tail)));
            }
            TransportConfig::Socket(config) => {
                return Ok((stdio::open_socket(name, config, &bounds).await?, None));
            }
            TransportConfig::StreamableHttp(config) => (config, HttpTransport::StreamableHttp),
            TransportConfig::Sse(config) => (config, HttpTransport::Sse),
            TransportConfig::Http(config) => (config, transport),
            TransportConfig::Gateway => unreachable!("the gateway's own tools need no connection"),
        };
        let opened = match transport {
            HttpTransport::StreamableHttp => {
                streamable_http::open(name, config, context, bounds, identity).await
            }
            HttpTransport::Sse => sse::open(name, config, context, bounds, identity).await,
        };
        Ok((opened?, None))
    }
}

/// Opens connections to the server of one entry.
pub struct ServerConnector {
    /// The server that the connections lead to.
    upstream: Weak<Upstream>,
    entry: Arc<ServerConfig>,
    era: Arc<EraCache>,
    http_transport: Arc<TransportCache>,
    surroundings: Arc<Surroundings>,
    authorizer: Option<Arc<Authorizer>>,
}

impl ServerConnector {
    pub fn new(
        upstream: &Arc<Upstream>,
        surroundings: Arc<Surroundings>,
        authorizer: Option<Arc<Authorizer>>,
    ) -> Self {
        let (entry, era) = (Guard::into_inner(upstream.config()), upstream.era.clone());
        let http_transport = upstream.http_transport.clone();
        Self { upstream: Arc::downgrade(upstream), entry, era, http_transport, surroundings, authorizer }
    }

    async fn try_to_open(
        &self,
        identity: &Identity,
        give_up: &CancellationToken,
    ) -> Result<DedicatedConnection, CloseReason> {
        let after = self.surroundings.limits.load().start_timeout;
        let deadline = tokio::time::Instant::now() + after;
        let found = &self.http_transport;
        let over = |transport| self.open_over(transport, identity, give_up, after, deadline);
        let first = found.first();
        let opened = over(first).await;
        match found.next_after(&self.entry.transport, first, &opened) {
            None => opened,
            Some(other) => found.settle(opened, other, over(other).await),
        }
    }

    /// The same over one transport, where there is a choice.
    async fn open_over(
        &self,
        transport: HttpTransport,
        identity: &Identity,
        give_up: &CancellationToken,
        after: Duration,
        deadline: tokio::time::Instant,
    ) -> Result<DedicatedConnection, CloseReason> {
        let name = &self.entry.name;
        let silent = |step| CloseReason::Silent { step, after, stderr: Arc::default() };
        let connecting =
            self.surroundings.open(&self.entry, self.authorizer.as_ref(), Some(identity), transport);
        let opening = give_up.run_until_cancelled(timeout_at(deadline, connecting)).await;
        let (opened, tail) =
            opening.ok_or(CloseReason::Stopping)?.map_err(|_| silent("the connection"))??;
        let connection = opened.connection.clone();
        let relay = Arc::new(Relay::default());
        let client = identity.client();
        let params = HandshakeParams {
            server: name,
            pin: self.entry.protocol.as_deref(),
            era: &self.era,
            is_ordered: self.entry.transport.is_ordered(),
            handler: relay.clone(),
            capabilities: client.map_or("{}", |client| &client.capabilities),
            // Resources are followed over the shared connection.
            subscriptions: Arc::new(Subscriptions::default()),
        };
        let negotiated = timeout_at(deadline, handshake::negotiate(params, opened));
        let reason = match give_up.run_until_cancelled(negotiated).await {
            Some(Ok(Ok((reader, info)))) => {
                tracing::debug!(mcp_server = %name, ?identity, "{name}: a connection for one caller is open");
                let is_offered = info.capabilities.contains_key("logging");
                let log = LogLevel::new(is_offered && connection.era().current() == Era::Sessions);
                return Ok(DedicatedConnection {
                    connection,
                    relay,
                    log: Arc::new(log),
                    reader: Some(reader),
                });
            }
            Some(Ok(Err(reason))) => reason,
            Some(Err(_)) => silent(method::INITIALIZE),
            None => CloseReason::Stopping,
        };
        Err(failed(&*connection, tail.as_ref(), reason).await)
    }
}

/// Ends the connection of a failed try, so that nothing of it stays behind. A connection that ended by itself knows why.
pub(super) async fn failed(
    connection: &dyn Connection,
    tail: Option<&StderrTail>,
    reason: CloseReason,
) -> CloseReason {
    let has_ended = connection.end().is_set() && reason != CloseReason::Stopping;
    connection.close().await;
    let reason = if has_ended { connection.end().reason() } else { reason };
    reason.with_stderr(stdio::last_words(connection, tail))
}

impl Connect for ServerConnector {
    fn open<'a>(
        &'a self,
        identity: &'a Identity,
        give_up: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<DedicatedConnection, CloseReason>> {
        Box::pin(async move {
            let opened = self.try_to_open(identity, give_up).await;
            if let Err(reason) = &opened {
                let name = &self.entry.name;
                tracing::debug!(mcp_server = %name, ?identity, "{name}: no connection for one caller: {reason}");
            }
            opened
        })
    }

    fn probe<'a>(&'a self, identity: &'a Identity, dedicated: &'a DedicatedConnection) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(upstream) = self.upstream.upgrade() {
                upstream.probe(identity, &*dedicated.connection, &dedicated.relay).await;
            }
        })
    }
}
