//! The state of the endpoints: [`Mcp`] of one configuration, and [`SharedState`] of all.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::OptionFuture;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::aggregate::prompts::PromptNames;
use super::endpoint::Endpoint;
use super::hop::ReplicaHop;
use super::input::suspended::SuspendedRequests;
use super::response::fault::{Fault, SHARE_EXCEEDED};
use super::session::interest::Interest;
use super::session::journal::SessionJournal;
use super::session::resource_subscription::{FollowedResource, ResourceSubscription};
use super::session::sealed::key_digest;
use super::session::shared_interests::SharedInterests;
use super::session::state::Session;
use super::session::table::Sessions;
use crate::catalog::Caller;
use crate::catalog::definition::LoggedLines;
use crate::config::{Config, Replica, Shares};
use crate::gateway::Gateway;
use crate::http::path_prefix::PathPrefix;
use crate::http::protected_resource::ProtectedResources;
use crate::http::{BodyBudget, Keys, Problem, Refusal};
use crate::seal::SealSecrets;
use crate::shared_store::SharedStore;
use crate::shares::{Bounds, Exceeded, Held, Ledger, Principal, Thing};
use crate::upstream::Upstream;

/// The MCP endpoints of one configuration.
#[derive(Debug)]
pub struct Mcp {
    pub(super) gateway: Arc<Gateway>,
    pub(super) keys: Arc<Keys>,
    pub(super) config: Arc<Config>,
    pub(super) prefixes: PathPrefix,
    resources: ProtectedResources,
    /// For the bodies of requests that are not small.
    pub(super) bodies: BodyBudget,
    pub(super) shared: Arc<SharedState>,
    pub(super) prompts: PromptNames,
    /// The shares of each caller: sessions, streams and followed resources.
    pub(super) shares: Shares,
}

impl Mcp {
    /// `shared` outlives configurations, so that sessions survive a reload.
    pub fn new(
        gateway: Arc<Gateway>,
        keys: Arc<Keys>,
        config: Arc<Config>,
        bodies: BodyBudget,
        shared: Arc<SharedState>,
    ) -> Self {
        let prefixes = PathPrefix::new(&config.listen);
        let prompts = PromptNames::new(gateway.catalog_builder().namespace().clone());
        let shares = config.shares();
        let resources = ProtectedResources::new(&config.listen, config.single);
        Self { gateway, keys, config, prefixes, resources, bodies, shared, prompts, shares }
    }

    /// The endpoint at a raw path (percent-encoded, without query), if it is one.
    ///
    /// A slash at its end makes no difference. The endpoints of servers need the path prefix.
    pub fn endpoint(&self, raw: &str) -> Option<Endpoint> {
        match (self.prefixes.mcp_endpoint(self.prefixes.within_root(raw))?, self.config.single) {
            (None, false) => Some(Endpoint::All),
            (None, true) => {
                let catalog = self.gateway.catalog_builder().catalog();
                Some(Endpoint::One(catalog.only_server()?.name.to_string()))
            }
            (Some(server), false) => {
                Some(Endpoint::One(percent_decode_str(server).decode_utf8().ok()?.into_owned()))
            }
            (Some(_), true) => None,
        }
    }

    /// The answer to a client that was refused: with users, it says where to sign in.
    pub fn challenge(&self, refusal: Refusal, head: &Parts) -> Problem {
        let users = self.keys.users();
        if users.is_empty() {
            return refusal.problem().clone();
        }
        let metadata = self.resources.metadata(head.uri.path(), &head.headers);
        refusal.challenge(&metadata, &users.scopes().join(" "))
    }

    /// Whether `caller` may know that the endpoint exists.
    pub fn is_visible(&self, caller: &Caller, endpoint: &Endpoint) -> bool {
        let catalog = self.gateway.catalog_builder().catalog();
        endpoint.server().is_none_or(|name| {
            catalog.server(name).is_some_and(|server| caller.scope.allows_server(&server.name))
        })
    }

    /// Whether there are no keys, so that all clients see the same.
    pub fn is_open(&self) -> bool {
        self.keys.is_open()
    }

    /// The connection to the server called `name`.
    pub fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        self.gateway.catalog_builder().catalog().server(name).and_then(|server| server.upstream()).cloned()
    }

    /// The part of the caller's share that one more stream takes.
    ///
    /// # Errors
    ///
    /// When the caller has as many as it may.
    pub fn take_listener(&self, caller: &Caller) -> Result<Held, Fault> {
        self.take(&self.shared.listeners, caller, self.shares.listeners())
    }

    /// The part of the caller's share that one more resource takes which a client follows.
    ///
    /// # Errors
    ///
    /// When the caller follows as many as it may.
    pub fn take_followed(&self, caller: &Caller) -> Result<Held, Fault> {
        self.take(&self.shared.followed, caller, self.shares.followed())
    }

    /// Follows a resource that a session of `principal` followed at another replica.
    ///
    /// # Errors
    ///
    /// When the principal follows as many as it may.
    fn follow_again(
        &self,
        principal: &Principal,
        of: &FollowedResource,
    ) -> Result<Option<ResourceSubscription>, Exceeded> {
        let upstream = self.upstream(&of.server).filter(|upstream| !upstream.isolation().is_on());
        let Some(upstream) = upstream else { return Ok(None) };
        let held = self.shared.followed.take(principal, self.shares.followed())?;
        Ok(Some(ResourceSubscription::new(&upstream, &of.uri, &of.shown, held)))
    }

    fn take(&self, ledger: &Arc<Ledger>, caller: &Caller, bounds: Bounds) -> Result<Held, Fault> {
        ledger.take(&caller.principal, bounds).map_err(|exceeded| {
            self.gateway.metrics().http().refused(SHARE_EXCEEDED);
            Fault::exceeded(&exceeded)
        })
    }
}

/// The sessions and all else that outlives a configuration.
#[derive(Debug)]
pub struct SharedState {
    pub(super) sessions: Arc<Sessions>,
    /// What sessions are asked to tell, at all replicas.
    interests: OnceLock<SharedInterests>,
    pub(super) suspended: Arc<SuspendedRequests>,
    pub(super) hop: ReplicaHop,
    /// Streams that wait for changes.
    listeners: Arc<Ledger>,
    /// Resources that clients follow.
    followed: Arc<Ledger>,
    /// Findings about definitions that were logged already.
    pub(super) logged_flaws: LoggedLines,
    /// The configuration that is served now, for streams that stay open across a reload.
    pub(super) current: watch::Sender<Option<Arc<Mcp>>>,
    /// Cancelled when the gateway begins to stop: streams close then, so that the end does not wait for them.
    pub(super) closing: CancellationToken,
    /// Requests that continue without their client. All end soon after `closing`.
    pub(super) tasks: TaskTracker,
}

impl SharedState {
    /// The state of `replica`. `tasks` are waited for at the end of the gateway, before its servers end. Ids of sessions are
    /// sealed by `secrets`, and `journal` keeps what else outlives the process.
    pub fn new(
        closing: CancellationToken,
        tasks: TaskTracker,
        secrets: &SealSecrets,
        replica: &Replica,
        journal: Option<SessionJournal>,
    ) -> Self {
        Self {
            sessions: Arc::new(Sessions::new(secrets, journal, tasks.clone(), closing.clone())),
            interests: OnceLock::new(),
            suspended: Arc::new(SuspendedRequests::new(secrets, replica.clone())),
            hop: ReplicaHop::new(secrets, replica.clone()),
            listeners: Ledger::new(Thing { setting: "listeners", plural: "streams that wait for changes" }),
            followed: Ledger::new(Thing { setting: "followed", plural: "resources that they follow" }),
            logged_flaws: LoggedLines::default(),
            current: watch::Sender::new(None),
            closing,
            tasks,
        }
    }

    /// The replicas that share `store` know of each other's sessions.
    pub fn share(&self, store: Arc<SharedStore>, secrets: &SealSecrets) {
        self.sessions.share(store.clone());
        let current = self.current.subscribe();
        let follow = Box::new(move |principal: &Principal, resource: &FollowedResource| {
            let current = current.borrow();
            current.as_ref().map_or(Ok(None), |mcp| mcp.follow_again(principal, resource))
        });
        self.interests.get_or_init(|| SharedInterests::new(&store, secrets, self.sessions.clone(), follow));
    }

    /// Makes a `change` of what the client asks `session` to tell it, for all replicas.
    pub async fn change_interest<T>(
        &self,
        session: &Session,
        interest: Interest,
        change: impl FnOnce() -> T,
    ) -> T {
        match self.interests.get() {
            Some(shared) => shared.change(session, interest, change).await,
            None => change(),
        }
    }

    /// Takes up what the client asked `session` to tell it at other replicas.
    pub async fn recall_interests(&self, session: &Session) {
        if let Some(shared) = self.interests.get() {
            shared.recall(session).await;
        }
    }

    /// Reads what earlier processes left of their sessions, which may rest for `idle`.
    pub async fn restore(&self, idle: Duration) {
        self.sessions.restore(idle).await;
    }

    /// Keeps what outlives the process, until `stop`.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let interests = self.interests.get().map(|shared| shared.keep(stop.clone()));
        tokio::join!(self.sessions.clone().keep(stop), OptionFuture::from(interests));
    }

    /// Serves `mcp` from now on: open streams follow it, and those of invalid keys end.
    pub fn serve(&self, mcp: Arc<Mcp>) {
        let keys: Vec<_> = mcp.keys.callers().filter_map(key_digest).collect();
        self.sessions.configure(mcp.config.limits.session_idle, &keys);
        let Some(before) = self.current.send_replace(Some(mcp.clone())) else { return };
        for name in before.keys.ended_by(&mcp.keys) {
            tracing::info!(
                "the key {name} has another value or is gone: its sessions and waiting requests end"
            );
            self.sessions.end_of(name);
            self.suspended.end_of(name);
        }
    }
}
