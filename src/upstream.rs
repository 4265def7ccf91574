//! The live connections to the servers: one supervisor each, so that none waits for or harms another.
//!
//! [`Upstream`] is what the floors above see of a server: its state, its tools, and [`Upstream::ready`],
//! which gives the connection a call goes over.

mod backoff;
pub mod changes;
mod client_list;
mod cookies;
mod dedicated;
mod era_cache;
pub mod error;
mod event_stream;
mod exchange;
pub mod farewell;
mod following;
pub mod frames;
mod handshake;
pub mod header_params;
pub mod hearing;
pub mod http_client;
pub mod http_transport;
pub mod identities;
pub mod identity;
pub mod info;
pub mod intake;
mod kept;
mod lines;
pub mod link;
pub mod message;
pub mod messages;
pub mod oauth;
mod offers;
mod pace;
pub mod pages;
pub mod process;
pub mod processes;
pub mod progress;
pub mod question;
pub mod request;
pub mod schema_keyword;
pub mod slots;
mod sse;
pub mod state;
pub mod stderr;
mod stdio;
mod stray;
mod streamable;
mod subscriptions;
pub mod supervisor;
mod surrogates;
mod tools;
mod unpack;
pub mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use changes::{Change, Changes, News};
pub use error::{EndReason, LinkError};
pub use hearing::{Hearing, Relay};
pub use http_client::{HttpClients, Proxies};
pub use identities::{Lease, NoConnection};
pub use identity::{CallerHeaders, ClientSide, Identity};
pub use info::{Freshness, ServerInfo, ToolList};
pub use kept::{KeptTools, Turn};
pub use link::Link;
pub use message::{Reply, RpcError};
pub use oauth::{Authorizer, OAuth};
pub use progress::Progress;
pub use question::{ANSWERED_WITHIN, Asking, Question};
pub use request::{Meta, Request};
pub use state::{Phase, Unavailable, UpstreamState};
pub use streamable::header_value;
pub use subscriptions::Subscriptions;
pub use tools::Definition;

use crate::config::{SecretsDigest, ServerConfig, ServerName};
use crate::protocol::Era;
use crate::shares::{Bounds, Principal};
use era_cache::EraCache;
use http_transport::KnownTransport;
use identities::Identities;
use offers::Offers;
use processes::Processes;
use slots::Slots;

/// Calls to an unavailable server cause at most one try in this time.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// One server as the floors above see it.
pub struct Upstream {
    name: ServerName,
    /// Swapped when a reload changes the gateway's own rules for the server.
    config: ArcSwap<ServerConfig>,
    state: watch::Sender<UpstreamState>,
    link: ArcSwapOption<LiveLink>,
    tools: ArcSwapOption<ToolList>,
    wanted: Notify,
    changes: Arc<Changes>,
    slots: ArcSwap<Slots>,
    revision: AtomicU64,
    /// The connections that serve one caller each.
    identities: Identities,
    era: Arc<EraCache>,
    http_transport: Arc<KnownTransport>,
    offers: Offers,
    subscriptions: Arc<Subscriptions>,
    /// Of the secrets that the last try read.
    secrets: ArcSwapOption<SecretsDigest>,
    /// Of a server that is signed in to.
    authorizer: Option<Arc<Authorizer>>,
    stop: CancellationToken,
}

/// A sized holder, since `ArcSwap` cannot hold a trait object itself.
struct LiveLink(Arc<dyn Link>);

/// A connection for the time of one call.
pub enum Connection {
    Shared(Arc<dyn Link>),
    Dedicated(Lease),
}

impl std::ops::Deref for Connection {
    type Target = dyn Link;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Shared(link) => &**link,
            Self::Dedicated(lease) => &**lease,
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Shared(_) => "Shared",
            Self::Dedicated(_) => "Dedicated",
        })
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Upstream {
    /// A server that nobody has started yet; [`supervisor::supervise`] does, until `stop`. Whoever follows resources of
    /// the one `before` it, which had another entry under the same name, follows them here.
    pub fn new(
        config: ServerConfig,
        changes: Arc<Changes>,
        stop: CancellationToken,
        oauth: &Arc<OAuth>,
        processes: &Arc<Processes>,
        before: Option<&Self>,
    ) -> Arc<Self> {
        let (state, _) = watch::channel(UpstreamState::new(Phase::Starting { last: None }, 0));
        let processes = config.transport.is_ordered().then(|| processes.clone());
        let identities = Identities::new(config.name.clone(), config.dedicated, processes);
        let slots = ArcSwap::from_pointee(Slots::new(Bounds::undivided(config.concurrency)));
        let authorizer = Authorizer::of(&config, oauth, changes.clone());
        Arc::new(Self {
            name: config.name.clone(),
            config: ArcSwap::from_pointee(config),
            state,
            link: ArcSwapOption::empty(),
            tools: ArcSwapOption::empty(),
            wanted: Notify::new(),
            changes,
            slots,
            revision: AtomicU64::new(0),
            identities,
            era: Arc::default(),
            http_transport: Arc::default(),
            offers: Offers::default(),
            subscriptions: before.map_or_else(Arc::default, |before| before.subscriptions.clone()),
            secrets: ArcSwapOption::empty(),
            authorizer,
            stop,
        })
    }

    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// The entry as it counts now. Takes no lock.
    pub fn config(&self) -> Guard<Arc<ServerConfig>> {
        self.config.load()
    }

    /// Takes up new rules for the same connection ([`crate::config::plan::Action::Update`]). Calls in flight
    /// go on under the old ones; the tool list counts as new, so that it is filtered anew.
    pub fn adopt(&self, config: ServerConfig) {
        self.identities.adopt(config.dedicated);
        self.config.store(Arc::new(config));
        if let Some(list) = self.tools() {
            let ToolList { info, tools, .. } = &*list;
            self.announce_tools(ToolList { info: info.clone(), tools: tools.clone(), revision: 0 });
        }
    }

    /// Whether the secrets of the entry have other values than at the last try.
    /// One that cannot be read now is no other value: what runs with the old one goes on.
    pub async fn secrets_rotated(&self) -> bool {
        let Some(used) = self.secrets.load_full() else { return false };
        let transport = self.config().transport.clone();
        transport.secrets_digest().await.is_ok_and(|now| *used != now)
    }

    /// Ends the server for good: its connection is closed, and its supervisor returns.
    pub fn retire(&self) {
        self.stop.cancel();
    }

    pub fn state(&self) -> UpstreamState {
        self.state.borrow().clone()
    }

    /// Follows the state.
    pub fn watch(&self) -> watch::Receiver<UpstreamState> {
        self.state.subscribe()
    }

    /// The last known tools: of this run, or kept from an earlier one.
    pub fn tools(&self) -> Option<Arc<ToolList>> {
        self.tools.load_full()
    }

    /// The connection, at once when the server is ready. While it is starting, waits for the outcome;
    /// when it is unavailable, asks for a try (shared by all callers, at most one a second) and waits for
    /// that. The caller bounds the wait with its deadline.
    pub async fn ready(&self) -> Result<Arc<dyn Link>, Unavailable> {
        if let Some(live) = &*self.link.load()
            && !live.0.end().is_set()
        {
            return Ok(live.0.clone());
        }
        let mut state = self.state.subscribe();
        let mut asked = false;
        loop {
            // In this order: whoever enters `Ready` has stored the connection before.
            let phase = state.borrow_and_update().phase.clone();
            if let Some(live) = &*self.link.load()
                && !live.0.end().is_set()
            {
                return Ok(live.0.clone());
            }
            match phase {
                Phase::Disabled => {
                    return Err(Unavailable { reason: None, retry_after: backoff::LONGEST });
                }
                Phase::Unavailable { reason, tried_at, retry_at } => {
                    if asked || tried_at.elapsed() < TRY_AGAIN {
                        let retry_after = retry_at.saturating_duration_since(Instant::now());
                        return Err(Unavailable { reason: Some(reason), retry_after });
                    }
                    asked = true;
                    self.wanted.notify_one();
                }
                Phase::Starting { .. } => asked = true,
                Phase::Retired => return Err(Unavailable::retired()),
                // Its connection has just ended; the supervisor is about to say so.
                Phase::Ready => {}
            }
            if state.changed().await.is_err() {
                return Err(Unavailable::retired());
            }
        }
    }

    /// What goes along to this server of a caller's headers; `None` when that is nothing.
    pub fn identity(&self, principal: &Principal, headers: &CallerHeaders) -> Option<Identity> {
        if headers.is_empty() {
            return None;
        }
        Identity::new(self.config().forwarding.as_ref()?, principal, headers)
    }

    /// The connection that a call goes over: the shared one, as [`Upstream::ready`] gives it, or the one of
    /// `identity`, which no other identity ever uses. A `client` gets one that no other client uses, unless the server
    /// has no sessions and so cannot mix clients up; only log messages do not say there whose they are when all share
    /// one channel. The caller bounds the wait with its deadline.
    pub async fn connection(
        &self,
        identity: Option<&Identity>,
        client: Option<&ClientSide>,
    ) -> Result<Connection, NoConnection> {
        if let Some(client) = client {
            let shared = self.ready().await.map_err(NoConnection::Unavailable)?;
            let wants_log = client.log_level.is_some() && self.config().transport.is_ordered();
            if shared.era().current() == Era::Sessions || wants_log {
                let identity = Identity::of_client(identity, client);
                let lease = self.identities.lease(&identity).await?;
                if let Some(level) = &client.log_level {
                    Box::pin(lease.ask_for_log(level)).await;
                }
                return Ok(Connection::Dedicated(lease));
            }
            if identity.is_none() {
                return Ok(Connection::Shared(shared));
            }
        }
        if let Some(identity) = identity
            && !self.config().disabled
        {
            return self.identities.lease(identity).await.map(Connection::Dedicated);
        }
        self.ready().await.map(Connection::Shared).map_err(NoConnection::Unavailable)
    }

    /// The era in which requests to the server are written, as far as it is known.
    pub fn era(&self) -> Era {
        match &*self.link.load() {
            Some(live) => live.0.era().current(),
            None => self.era.current(),
        }
    }

    /// The resources that somebody follows.
    pub fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.subscriptions
    }

    /// Gets and keeps the tokens of a server that is signed in to.
    pub fn authorizer(&self) -> Option<&Arc<Authorizer>> {
        self.authorizer.as_ref()
    }

    /// Tries the server at once, if it is unavailable.
    pub fn retry(&self) {
        self.wanted.notify_one();
        self.announce();
    }

    /// Waits until a call wants the unavailable server.
    async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Forgets wishes from before now: they were answered by the try that has just failed.
    fn forget_wishes(&self) {
        use futures_util::FutureExt as _;
        let _old_wish = self.wanted.notified().now_or_never();
    }

    fn enter(&self, phase: Phase, failures: u32) {
        let next = self.state.borrow().followed_by(phase, failures);
        self.state.send_replace(next);
        self.announce();
    }

    fn connect(&self, link: Arc<dyn Link>) {
        self.link.store(Some(Arc::new(LiveLink(link))));
    }

    fn disconnect(&self) {
        self.link.store(None);
    }

    /// Takes a new tool list; `None` when it equals the known one.
    fn publish(&self, list: ToolList) -> Option<Arc<ToolList>> {
        if let Some(known) = self.tools.load_full()
            && known.info == list.info
            && known.tools == list.tools
        {
            return None;
        }
        Some(self.announce_tools(list))
    }

    fn announce_tools(&self, mut list: ToolList) -> Arc<ToolList> {
        list.revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
        let list = Arc::new(list);
        self.tools.store(Some(list.clone()));
        self.offers.doubt();
        self.announce();
        list
    }

    fn announce(&self) {
        self.changes.tell();
    }

    fn ready_line(&self, took: Duration) -> String {
        let told =
            |list: Arc<ToolList>| (format!("{} {}", list.info.name, list.info.version), list.tools.len());
        let (version, tools) = self.tools().map(told).unwrap_or_default();
        format!("{} is ready: {version}, {tools} tools, after {:.1} s", self.name(), took.as_secs_f32())
    }
}
