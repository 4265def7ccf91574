//! Opens connections to the server of one entry, over the transport that the entry names.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::{LimitsConfig, ServerConfig, TransportConfig};
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::protocol::{Era, method};
use crate::upstream::address_choice::first_of;
use crate::upstream::connection::{Connection, Opened};
use crate::upstream::error::CloseReason;
use crate::upstream::handshake;
use crate::upstream::handshake::reader::HandshakeParams;
use crate::upstream::http_client::HttpClients;
use crate::upstream::identity::Identity;
use crate::upstream::isolation;
use crate::upstream::oauth::authorizer::{Authorizer, OAuth};
use crate::upstream::pool::connect::{Connect, DedicatedConnection, LogLevel};
use crate::upstream::server::Upstream;
use crate::upstream::server_messages::Relay;
use crate::upstream::subscriptions::Subscriptions;
use crate::upstream::transport::child::stderr::{StderrRates, StderrTail};
use crate::upstream::transport::http::endpoint::{HttpContext, HttpEndpoint};
use crate::upstream::transport::intake::MessageBounds;
use crate::upstream::transport::local;
use crate::upstream::transport::sse;
use crate::upstream::transport::streamable_http;
use crate::upstream::transport_detection::HttpTransport;

/// The clients, limits and metrics that the connections to all servers share.
#[derive(Debug)]
pub struct UpstreamContext {
    pub clients: Arc<HttpClients>,
    pub oauth: Arc<OAuth>,
    /// `start_timeout`, `result_bytes` and `stderr_lines` count for each server from its next start on.
    pub limits: ArcSwap<LimitsConfig>,
    pub metrics: Arc<Metrics>,
    pub stderr: StderrRates,
    /// The memory that large results of all servers may take together.
    pub results: MemoryBudget,
}

impl UpstreamContext {
    /// Opens a connection to the server of `entry`, for `identity` if there is one, and sends nothing over it yet.
    /// Returns the stderr of a child process, too. `transport` and `address` count where the entry leaves them open.
    pub(super) async fn open(
        &self,
        entry: &ServerConfig,
        authorizer: Option<&Arc<Authorizer>>,
        identity: Option<&Identity>,
        (transport, address): (HttpTransport, usize),
    ) -> Result<(Opened, Option<StderrTail>), CloseReason> {
        let context = HttpContext { clients: &self.clients, authorizer };
        let name = &entry.name;
        let bounds = MessageBounds { limit: self.limits.load().result_bytes, budget: self.results.clone() };
        let caller = entry.isolation.is_on().then(|| {
            let caller = identity.and_then(|identity| identity.caller());
            caller.map_or(isolation::GATEWAY, |caller| &*caller.name)
        });
        let (config, transport) = match &entry.transport {
            TransportConfig::Stdio(config) => {
                let rate = self.stderr.of(name, self.limits.load().stderr_lines);
                let (opened, tail) = local::open_process(name, config, caller, rate, &bounds).await?;
                return Ok((opened, Some(tail)));
            }
            TransportConfig::Socket(config) => {
                return Ok((local::open_socket(name, config, caller, &bounds).await?, None));
            }
            TransportConfig::StreamableHttp(config) => (config, HttpTransport::StreamableHttp),
            TransportConfig::Sse(config) => (config, HttpTransport::Sse),
            TransportConfig::Http(config) => (config, transport),
            TransportConfig::Gateway => unreachable!("the gateway's own tools need no connection"),
        };
        let url = config.urls().nth(address).unwrap_or(&config.url);
        let endpoint = HttpEndpoint::new(name, config, url, context, bounds, identity).await?;
        let opened = match transport {
            HttpTransport::StreamableHttp => streamable_http::open(endpoint),
            HttpTransport::Sse => sse::open(endpoint).await?,
        };
        Ok((opened, None))
    }
}

/// The time that one start may take.
#[derive(Clone, Copy)]
pub(super) struct StartDeadline {
    after: Duration,
    at: Instant,
}

impl StartDeadline {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, at: Instant::now() + after }
    }

    /// Waits for `work`, which is the `step` of a start.
    ///
    /// # Errors
    ///
    /// Its own, or [`CloseReason::Silent`] at the deadline.
    pub(super) async fn bound<T>(
        self,
        step: &'static str,
        work: impl Future<Output = Result<T, CloseReason>>,
    ) -> Result<T, CloseReason> {
        let silent = CloseReason::Silent { step, after: self.after, stderr: Arc::default() };
        timeout_at(self.at, work).await.unwrap_or(Err(silent))
    }
}

/// Opens connections to one server, each for one identity.
pub struct ServerConnector {
    pub(super) upstream: Weak<Upstream>,
    pub(super) context: Arc<UpstreamContext>,
}

impl ServerConnector {
    async fn try_to_open(
        &self,
        upstream: &Upstream,
        identity: &Identity,
        give_up: &CancellationToken,
    ) -> Result<DedicatedConnection, CloseReason> {
        let entry = Guard::into_inner(upstream.config());
        let transport = &entry.transport;
        let at = |address| async move {
            let deadline = StartDeadline::new(self.context.limits.load().start_timeout);
            let over =
                |transport| self.open_over((transport, address), upstream, identity, give_up, deadline);
            upstream.http_transport.start(transport, over).await
        };
        let addresses = upstream.address.in_use_first(transport.address_count());
        first_of(addresses, at).await.map(|(opened, _)| opened)
    }

    /// One try over a transport, at one of the addresses.
    async fn open_over(
        &self,
        place: (HttpTransport, usize),
        upstream: &Upstream,
        identity: &Identity,
        give_up: &CancellationToken,
        deadline: StartDeadline,
    ) -> Result<DedicatedConnection, CloseReason> {
        let entry = Guard::into_inner(upstream.config());
        let name = &entry.name;
        let authorizer = match (identity.user(), upstream.users()) {
            (Some(user), Some(users)) => {
                let own = users.of(user);
                // An earlier run may have kept the user's tokens.
                own.load().await;
                Some(own)
            }
            _ => upstream.authorizer(),
        };
        let connecting = self.context.open(&entry, authorizer.as_ref(), Some(identity), place);
        let opening = give_up.run_until_cancelled(deadline.bound("the connection", connecting)).await;
        let (opened, tail) = opening.unwrap_or(Err(CloseReason::Stopping))?;
        let connection = opened.connection.clone();
        let relay = Arc::new(Relay::default());
        let params = HandshakeParams {
            server: name,
            pin: entry.protocol.as_deref(),
            era: &upstream.era,
            is_ordered: entry.transport.is_ordered(),
            handler: relay.clone(),
            capabilities: identity.client().map_or("{}", |client| &client.capabilities),
            // Subscriptions go over the shared connection.
            subscriptions: Arc::new(Subscriptions::default()),
        };
        let negotiating = deadline.bound(method::INITIALIZE, handshake::negotiate(params, opened));
        match give_up.run_until_cancelled(negotiating).await.unwrap_or(Err(CloseReason::Stopping)) {
            Ok((reader, info)) => {
                tracing::debug!(mcp_server = %name, ?identity, "{name}: a connection for one caller is open");
                let is_offered = info.capabilities.contains_key("logging");
                let log = LogLevel::new(is_offered && connection.era().current() == Era::Sessions);
                Ok(DedicatedConnection { connection, relay, log: Arc::new(log), reader: Some(reader) })
            }
            Err(reason) => Err(failed(&*connection, tail.as_ref(), reason).await),
        }
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
    reason.with_stderr(local::last_words(connection, tail))
}

impl Connect for ServerConnector {
    fn open<'a>(
        &'a self,
        identity: &'a Identity,
        give_up: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<DedicatedConnection, CloseReason>> {
        Box::pin(async move {
            let upstream = self.upstream.upgrade().ok_or(CloseReason::Stopping)?;
            let opened = self.try_to_open(&upstream, identity, give_up).await;
            if let Err(reason) = &opened {
                let name = upstream.name();
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
