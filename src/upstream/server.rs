//! One server: its state, its tools, and the connections to it.

mod client_tools;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{CallerIsolation, SecretsDigest, ServerConfig, ServerName, Shares};
use crate::protocol::Era;
use crate::shares::{Bounds, Principal};
use crate::upstream::address_choice::AddressChoice;
use crate::upstream::availability::{NoConnection, Phase, TRY_AGAIN, Unavailable, UpstreamState};
use crate::upstream::backoff;
use crate::upstream::call_queue::Slots;
use crate::upstream::changes::Changes;
use crate::upstream::connection::Connection;
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::CloseReason;
use crate::upstream::identity::{CallerHeaders, ClientSide, Identity};
use crate::upstream::info::ToolList;
use crate::upstream::isolation::{CallerSession, IsolatedCaller};
use crate::upstream::oauth::authorizer::{Authorizer, OAuth};
use crate::upstream::oauth::users::{Authorizers, UserAuthorizers, user_of};
use crate::upstream::pool::processes::Processes;
use crate::upstream::pool::{CallerHolding, ConnectionPool, Lease};
use crate::upstream::subscriptions::Subscriptions;
use crate::upstream::tools::variants::ToolVariants;
use crate::upstream::transport_detection::{HttpTransport, TransportCache};

/// One server to the rest of the gateway.
pub struct Upstream {
    name: ServerName,
    /// A change of it replaces the server.
    isolation: CallerIsolation,
    /// Swapped when a reload changes the gateway's own rules for the server.
    config: ArcSwap<ServerConfig>,
    state: watch::Sender<UpstreamState>,
    connection: ArcSwapOption<Arc<dyn Connection>>,
    pub(super) address: AddressChoice,
    tools: ArcSwapOption<ToolList>,
    pub(super) wanted: Notify,
    pub(super) changes: Arc<Changes>,
    slots: ArcSwap<Slots>,
    revision: AtomicU64,
    /// The connections that serve one caller each.
    pub(super) pool: ConnectionPool,
    pub(super) era: Arc<EraCache>,
    pub(super) http_transport: Arc<TransportCache>,
    pub(super) variants: ToolVariants,
    pub(super) subscriptions: Arc<Subscriptions>,
    /// The digest of the secrets that the last try read.
    pub(super) secrets: ArcSwapOption<SecretsDigest>,
    /// `None` for a server without OAuth.
    authorizers: Option<Authorizers>,
    pub(super) stop: CancellationToken,
}

/// The connection that all callers share; the outer count has one for each of its calls.
pub type SharedConnection = Arc<Arc<dyn Connection>>;

/// A connection for the time of one call.
#[derive(Debug)]
pub enum CallConnection {
    Shared(SharedConnection),
    Dedicated(Lease),
}

impl std::ops::Deref for CallConnection {
    type Target = dyn Connection;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Shared(connection) => &***connection,
            Self::Dedicated(lease) => &**lease,
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Upstream {
    /// A server that is not started yet. [`crate::upstream::supervisor::supervise`] starts it, until `stop`. The
    /// subscriptions of `before`, an earlier entry under the same name, go on here.
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
        let pool = ConnectionPool::new(config.name.clone(), config.dedicated, processes);
        let slots = ArcSwap::from_pointee(Slots::new(Bounds::undivided(config.concurrency)));
        let authorizers = Authorizers::of(&config, oauth, changes.clone(), stop.clone());
        Arc::new(Self {
            name: config.name.clone(),
            isolation: config.isolation,
            config: ArcSwap::from_pointee(config),
            state,
            connection: ArcSwapOption::empty(),
            address: AddressChoice::default(),
            tools: ArcSwapOption::empty(),
            wanted: Notify::new(),
            changes,
            slots,
            revision: AtomicU64::new(0),
            pool,
            era: Arc::default(),
            http_transport: Arc::default(),
            variants: ToolVariants::default(),
            subscriptions: before.map_or_else(Arc::default, |before| before.subscriptions.clone()),
            secrets: ArcSwapOption::empty(),
            authorizers,
            stop,
        })
    }

    #[cfg(test)]
    pub fn of_test(config: ServerConfig, changes: Arc<Changes>) -> Arc<Self> {
        Self::new(config, changes, CancellationToken::new(), &Arc::default(), &Arc::default(), None)
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
        self.pool.adopt(config.dedicated);
        self.config.store(Arc::new(config));
        if let Some(list) = self.tools() {
            let ToolList { info, tools, .. } = &*list;
            self.announce_tools(ToolList { info: info.clone(), tools: tools.clone(), revision: 0 });
        }
    }

    /// Whether the secrets of the entry have other values than at the last try.
    /// An unreadable secret does not count as rotated: the running connection goes on.
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
    pub async fn ready(&self) -> Result<SharedConnection, Unavailable> {
        if let Some(live) = self.live() { Ok(live) } else { Box::pin(self.awaited()).await }
    }

    fn live(&self) -> Option<SharedConnection> {
        self.connection.load().as_ref().filter(|live| !live.end().is_set()).cloned()
    }

    async fn awaited(&self) -> Result<SharedConnection, Unavailable> {
        let mut state = self.state.subscribe();
        let mut asked = false;
        loop {
            // In this order: the connection is stored before the state becomes `Ready`.
            let phase = state.borrow_and_update().phase.clone();
            if let Some(live) = self.live() {
                return Ok(live);
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
                Phase::Retired => return Err(Unavailable::because(CloseReason::Stopping)),
                // Its connection has just ended; the supervisor is about to say so.
                Phase::Ready => {}
            }
            if state.changed().await.is_err() {
                return Err(Unavailable::because(CloseReason::Stopping));
            }
        }
    }

    /// Which callers share its connection.
    pub fn isolation(&self) -> CallerIsolation {
        self.isolation
    }

    /// The callers of an isolated server that have connections now.
    pub fn holders(&self) -> Vec<CallerHolding> {
        if self.isolation.is_on() { self.pool.holders() } else { Vec::new() }
    }

    /// The identity of a call; `None` when it goes over the connection that all share.
    ///
    /// It has the headers of the caller that this server gets, the caller itself where the server is isolated, and the user
    /// where the server has tokens of each.
    pub fn identity(
        &self,
        principal: &Principal,
        session: Option<&CallerSession>,
        headers: &CallerHeaders,
    ) -> Option<Identity> {
        let of_headers = || {
            if headers.is_empty() {
                return None;
            }
            Identity::new(self.config().forwarding.as_ref()?, principal, headers)
        };
        let identity = match IsolatedCaller::of(self.isolation, principal, session) {
            None => of_headers(),
            Some(caller) => Some(Identity::of_caller(of_headers(), caller, principal)),
        };
        let Some(users) = self.users() else { return identity };
        let user = user_of(principal);
        if let Some(token) = headers.token() {
            users.exchange(&user, token);
        }
        Some(Identity::of_user(identity, principal, user))
    }

    /// The connection for a call: the shared one, or the one of `identity`, which no other identity uses. A `client`
    /// gets one that no other client uses, unless the server is stateless and so cannot mix clients up. Log messages
    /// are the exception: on a channel that all share they do not name their client. The caller bounds the wait with
    /// its deadline.
    pub async fn connection(
        &self,
        identity: Option<&Identity>,
        client: Option<&ClientSide>,
    ) -> Result<CallConnection, NoConnection> {
        if let Some(client) = client {
            // Without a user's own tokens there may be no shared connection.
            let shared = match self.users() {
                Some(_) => None,
                None => Some(self.ready().await.map_err(NoConnection::Unavailable)?),
            };
            let era = shared.as_ref().map_or_else(|| self.era(), |shared| shared.era().current());
            let wants_log = client.log_level.is_some() && self.config().transport.is_ordered();
            if era == Era::Sessions || wants_log {
                let identity = Identity::of_client(identity, client);
                let lease = self.pool.lease(&identity).await?;
                if let Some(level) = &client.log_level {
                    Box::pin(lease.ask_for_log(level)).await;
                }
                return Ok(CallConnection::Dedicated(lease));
            }
            if let (None, Some(shared)) = (identity, shared) {
                return Ok(CallConnection::Shared(shared));
            }
        }
        if let Some(identity) = identity
            && !self.config().disabled
        {
            return self.pool.lease(identity).await.map(CallConnection::Dedicated);
        }
        self.ready().await.map(CallConnection::Shared).map_err(NoConnection::Unavailable)
    }

    /// The era in which requests to the server are written, as far as it is known.
    pub fn era(&self) -> Era {
        match &*self.connection.load() {
            Some(live) => live.era().current(),
            None => self.era.current(),
        }
    }

    /// The number of the address in use, from 0, of a server that may have several.
    pub fn address_in_use(&self) -> usize {
        self.address.in_use()
    }

    /// The HTTP transport that the server was found to speak, as far as it was looked for.
    pub fn http_transport(&self) -> Option<HttpTransport> {
        self.http_transport.get()
    }

    /// Bounds the calls in flight (`concurrency` of the entry).
    pub fn slots(&self) -> Arc<Slots> {
        self.slots.load_full()
    }

    /// Takes up what each caller may have of this server. Calls in flight go on beside those under new bounds.
    pub fn share(&self, shares: &Shares) {
        let config = self.config();
        let bounds = shares.turns(config.concurrency);
        if self.slots.load().bounds() != bounds {
            self.slots.store(Arc::new(Slots::new(bounds)));
        }
        self.pool.share(shares.identities(config.dedicated.most));
    }

    /// The resources that clients have subscribed to.
    pub fn subscriptions(&self) -> &Arc<Subscriptions> {
        &self.subscriptions
    }

    /// Gets and keeps the tokens of the shared connection to a server that is signed in to.
    pub fn authorizer(&self) -> Option<Arc<Authorizer>> {
        self.authorizers.as_ref().map(Authorizers::shared)
    }

    /// Gets and keeps the tokens of a server that is signed in to.
    pub(super) fn authorizers(&self) -> Option<&Authorizers> {
        self.authorizers.as_ref()
    }

    /// The users of a server where each has tokens of its own.
    pub fn users(&self) -> Option<&UserAuthorizers> {
        self.authorizers.as_ref()?.per_user()
    }

    /// Tries the server at once, if it is unavailable.
    pub fn retry(&self) {
        self.wanted.notify_one();
        self.changes.signal();
    }

    /// Forgets wishes from before now: they were answered by the try that has just failed.
    pub(super) fn forget_wishes(&self) {
        use futures_util::FutureExt as _;
        let _old_wish = self.wanted.notified().now_or_never();
    }

    pub(super) fn enter(&self, phase: Phase, failures: u32) {
        let next = self.state.borrow().followed_by(phase, failures);
        self.state.send_replace(next);
        self.changes.signal();
    }

    /// Calls go over `connection` from now on, and no more over the one that is given back.
    pub(super) fn connect(&self, connection: Arc<dyn Connection>) -> Option<SharedConnection> {
        self.connection.swap(Some(Arc::new(connection)))
    }

    pub(super) fn disconnect(&self) {
        self.connection.store(None);
    }

    /// Takes a new tool list; `None` when it equals the known one.
    pub(crate) fn publish(&self, list: ToolList) -> Option<Arc<ToolList>> {
        let is_same = |known: Arc<ToolList>| known.info == list.info && known.tools == list.tools;
        (!self.tools.load_full().is_some_and(is_same)).then(|| self.announce_tools(list))
    }

    fn announce_tools(&self, mut list: ToolList) -> Arc<ToolList> {
        list.revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
        let list = Arc::new(list);
        self.tools.store(Some(list.clone()));
        self.variants.forget_matching();
        self.changes.signal();
        list
    }

    pub(super) fn ready_line(&self, took: Duration) -> String {
        let described =
            |list: Arc<ToolList>| (format!("{} {}", list.info.name, list.info.version), list.tools.len());
        let (version, tools) = self.tools().map(described).unwrap_or_default();
        format!("{} is ready: {version}, {tools} tools, after {:.1} s", self.name(), took.as_secs_f32())
    }
}
