//! Opens a connection for one identity: its headers beside the entry's fixed ones, a session (or a process, or a
//! connection to the socket) of its own, and its client for the server to ask.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use futures_util::future::BoxFuture;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::Upstream;
use super::era_cache::EraCache;
use super::error::EndReason;
use super::handshake::{self, Greeting, Service};
use super::hearing::Relay;
use super::http_transport::{HttpTransport, KnownTransport};
use super::identity::Identity;
use super::link::Link;
use super::oauth::Authorizer;
use super::request::Request;
use super::stdio;
use super::subscriptions::Subscriptions;
use super::supervisor::Surroundings;
use crate::config::ServerConfig;
use crate::protocol::{Era, method};

/// A connection that serves one identity.
pub struct Dedicated {
    pub link: Arc<dyn Link>,
    /// Hears what the server sends by itself.
    pub relay: Arc<Relay>,
    pub log: Arc<LogLevel>,
    /// Reads what the server sends by itself; it is ended after the link.
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

    /// What is found out over a connection beside the calls, while it is open.
    fn explore<'a>(&'a self, identity: &'a Identity, connection: &'a Dedicated) -> BoxFuture<'a, ()>;
}

/// Makes them to the server of one entry.
#[derive(Debug)]
pub struct ServerOpener {
    /// Whose connections they are.
    upstream: Weak<Upstream>,
    entry: Arc<ServerConfig>,
    era: Arc<EraCache>,
    http_transport: Arc<KnownTransport>,
    surroundings: Arc<Surroundings>,
    authorizer: Option<Arc<Authorizer>>,
}

impl ServerOpener {
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
    ) -> Result<Dedicated, EndReason> {
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
    ) -> Result<Dedicated, EndReason> {
        let name = &self.entry.name;
        let silent = |step| EndReason::Silent { step, after, stderr: Arc::default() };
        let connecting =
            self.surroundings.open(&self.entry, self.authorizer.as_ref(), Some(identity), transport);
        let opening = give_up.run_until_cancelled(timeout_at(deadline, connecting)).await;
        let (opened, tail) = opening.ok_or(EndReason::Stopping)?.map_err(|_| silent("the connection"))??;
        let link = opened.link.clone();
        let relay = Arc::new(Relay::default());
        let client = identity.client();
        let greeting = Greeting {
            server: name,
            pin: self.entry.protocol.as_deref(),
            era: &self.era,
            is_ordered: self.entry.transport.is_ordered(),
            hearing: relay.clone(),
            capabilities: client.map_or("{}", |client| &client.capabilities),
            // Resources are followed over the shared connection.
            subscriptions: Arc::new(Subscriptions::default()),
        };
        let greeted = timeout_at(deadline, handshake::greet(greeting, opened));
        let reason = match give_up.run_until_cancelled(greeted).await {
            Some(Ok(Ok((service, info)))) => {
                tracing::debug!(mcp_server = %name, ?identity, "{name}: a connection for one caller is open");
                let is_offered = info.capabilities.contains_key("logging");
                let log = LogLevel::new(is_offered && link.era().current() == Era::Sessions);
                return Ok(Dedicated { link, relay, log: Arc::new(log), service: Some(service) });
            }
            Some(Ok(Err(reason))) => reason,
            Some(Err(_)) => silent(method::INITIALIZE),
            None => EndReason::Stopping,
        };
        let ended_by_itself = link.end().is_set() && reason != EndReason::Stopping;
        link.close().await;
        let reason = if ended_by_itself { link.end().reason() } else { reason };
        Err(reason.with_stderr(stdio::last_words(&*link, tail.as_ref())))
    }
}

/// How much of its log the server was asked for over one connection. It may be asked for another level at any time
/// (2025-11-25, logging, "Setting Log Level").
#[derive(Debug, Default)]
pub struct LogLevel {
    is_offered: bool,
    asked: ArcSwapOption<Arc<str>>,
}

impl LogLevel {
    fn new(is_offered: bool) -> Self {
        Self { is_offered, asked: ArcSwapOption::empty() }
    }

    /// Tells the server how much its client wants to be told, unless it knows. One that refuses just says more or less
    /// than that.
    pub async fn ask(&self, link: &dyn Link, level: &Arc<str>) {
        let is_known = self.asked.load().as_deref().is_some_and(|asked| asked == level);
        if !self.is_offered || is_known {
            return;
        }
        let members = format!("\"level\":{}", serde_json::Value::from(&**level));
        match link.request(Request::other(method::LOGGING_SET_LEVEL, members.as_bytes()), None).await {
            // A refusal would be the same the next time.
            Ok(_) => self.asked.store(Some(Arc::new(level.clone()))),
            Err(error) => tracing::debug!(%error, "a level of log messages could not be set"),
        }
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
                tracing::debug!(mcp_server = %name, ?identity, "{name}: no connection for one caller: {reason}");
            }
            opened
        })
    }

    fn explore<'a>(&'a self, identity: &'a Identity, connection: &'a Dedicated) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(upstream) = self.upstream.upgrade() {
                upstream.explore(identity, &*connection.link, &connection.relay).await;
            }
        })
    }
}
