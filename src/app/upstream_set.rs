//! The servers that run: started once, kept by reloads that do not concern them, and taken out of service
//! when the last call that may use them has ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::authorization_server::{ClientDocuments, SignInServer};
use crate::config::environment;
use crate::config::plan::Action;
use crate::config::{Config, KeySignInConfig, LimitsConfig, Plan, Replica, ServerConfig, TransportConfig};
use crate::gateway::replicas::Replicas;
use crate::issuer::IssuerRegistry;
use crate::mcp;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::seal::SealSecrets;
use crate::shared_store::SharedStore;
use crate::shutdown::Shutdown;
use crate::telemetry;
use crate::telemetry::audit::{self, Audit};
use crate::upstream::connector::UpstreamContext;
use crate::upstream::http_client::resolver::AddressScope;
use crate::upstream::pool::processes::Processes;
use crate::upstream::supervisor::supervise;
use crate::upstream::transport::child::stderr::StderrRates;
use crate::upstream::{Changes, FileLock, HttpClients, OAuth, Proxies, ToolCache, Upstream};

/// How long calls without a client may take to end once the gateway begins to stop.
const CALLS_END: Duration = Duration::from_secs(1);
/// How long servers may take to end after the last call.
pub const SERVERS_END: Duration = Duration::from_secs(10);

/// Owns the tasks of all servers.
#[derive(Debug)]
pub struct UpstreamSet {
    pub shared: Arc<UpstreamContext>,
    /// Signals each change of a server's state or tools.
    pub changes: Arc<Changes>,
    /// The processes that serve one caller each.
    processes: Arc<Processes>,
    state_dir: Option<PathBuf>,
    /// The secrets behind what clients keep for the gateway.
    pub(super) secrets: SealSecrets,
    file_lock: FileLock,
    /// The tasks that end with the servers.
    pub tasks: TaskTracker,
    /// Calls that go on without their clients; they end when the gateway begins to stop.
    calls: TaskTracker,
    /// Ends everything that belongs to the servers.
    pub stop: CancellationToken,
    /// The state of MCP sessions, which outlives configurations.
    pub mcp: Arc<mcp::SharedState>,
    /// The servers of the configuration that is served now.
    current: ArcSwap<Vec<Arc<Upstream>>>,
    /// The audit trail of all calls.
    pub audit: Option<Arc<Audit>>,
    /// Cancelled when the gateway begins to stop.
    pub closing: Arc<CancellationToken>,
    /// Cancelled when the end is announced.
    pub leaving: CancellationToken,
    /// What replicas share.
    pub store: Option<Arc<SharedStore>>,
    /// The gateway itself among its replicas.
    pub replica: Arc<Replica>,
    /// What all of them say of themselves.
    pub replicas: Option<Arc<Replicas>>,
    /// The issuers of users, with the keys that were read of them.
    pub issuers: IssuerRegistry,
    /// Where API keys are typed in, once a configuration has wanted it.
    authorization_server: OnceCell<Arc<SignInServer>>,
}

impl UpstreamSet {
    /// No server yet. `state_dir` keeps tool lists across restarts.
    pub fn new(
        limits: &LimitsConfig,
        state_dir: Option<PathBuf>,
        secrets: &SealSecrets,
        audit: Option<Arc<Audit>>,
        replica: Replica,
        shutdown: &Shutdown,
    ) -> Self {
        let (clients, file_lock) =
            (Arc::new(HttpClients::through(Proxies::new(&environment::proxies()))), FileLock::default());
        let oauth = Arc::new(OAuth::new(clients.clone(), state_dir.clone(), file_lock.clone()));
        let journal =
            state_dir.as_deref().map(|directory| mcp::SessionJournal::new(directory, file_lock.clone()));
        let (tasks, calls) = (TaskTracker::new(), TaskTracker::new());
        Self {
            issuers: IssuerRegistry::new(clients.clone()),
            authorization_server: OnceCell::new(),
            shared: Arc::new(UpstreamContext {
                clients,
                oauth,
                limits: ArcSwap::from_pointee(limits.clone()),
                results: MemoryBudget::new(limits.results_bytes, limits.result_bytes),
                metrics: Arc::new(Metrics::new(telemetry::dropped_lines, audit::lost_records)),
                stderr: StderrRates::default(),
            }),
            changes: Arc::default(),
            processes: Arc::default(),
            state_dir,
            secrets: secrets.clone(),
            file_lock,
            mcp: Arc::new(mcp::SharedState::new(
                shutdown.token().clone(),
                calls.clone(),
                secrets,
                &replica,
                journal,
            )),
            closing: Arc::new(shutdown.token().clone()),
            leaving: shutdown.leaving().clone(),
            tasks,
            calls,
            stop: CancellationToken::new(),
            current: ArcSwap::default(),
            audit,
            store: None,
            replica: Arc::new(replica),
            replicas: None,
        }
    }

    /// Shares limits, tokens and sign-ins over `store`. To be called before there is a server.
    pub fn share(&mut self, store: Arc<SharedStore>) {
        self.shared.oauth.share(&store, &self.secrets);
        self.mcp.share(store.clone(), &self.secrets);
        let (name, metrics) = (&*self.replica.name, self.shared.metrics.clone());
        self.replicas = Some(Arc::new(Replicas::new(name, store.clone(), &self.secrets, metrics)));
        self.store = Some(store);
    }

    /// The gateway's own authorization server under `config`.
    pub async fn authorization_server(&self, config: Option<&KeySignInConfig>) -> Option<Arc<SignInServer>> {
        let config = config?;
        let open = async || {
            let scope = match environment::reads_client_documents_on_loopback() {
                true => AddressScope::Loopback,
                false => AddressScope::Public,
            };
            let documents = ClientDocuments::new(self.shared.clients.clone(), scope);
            let (state_dir, store) = (self.state_dir.as_deref(), self.store.as_ref());
            let server = Arc::new(SignInServer::open(&self.secrets, documents, state_dir, store).await);
            let (following, stop) = (server.clone(), self.stop.clone());
            self.tasks.spawn(async move { stop.run_until_cancelled(following.follow_replicas()).await });
            server
        };
        let server = self.authorization_server.get_or_init(open).await;
        server.set_lifetime(config.token_lifetime);
        Some(server.clone())
    }

    /// The servers of the configuration that is served now.
    pub fn servers(&self) -> Arc<Vec<Arc<Upstream>>> {
        self.current.load_full()
    }

    /// `upstreams` are the servers from now on.
    pub fn set_servers(&self, upstreams: Vec<Arc<Upstream>>) {
        self.current.store(Arc::new(upstreams));
        self.changes.signal();
    }

    /// The servers of `config` in its order: kept ones of `running`, and new ones that are not started.
    ///
    /// Changed rules are taken up at once.
    pub fn reconcile(&self, config: &Config, plan: &Plan, running: &[Arc<Upstream>]) -> Vec<Arc<Upstream>> {
        let shares = config.shares();
        self.processes.share(shares.processes());
        self.shared.limits.store(Arc::new(config.limits.clone()));
        self.shared.results.resize(config.limits.results_bytes, config.limits.result_bytes);
        self.shared.oauth.set_public_url(config.listen.public_url.as_deref());
        let has_upstream = |server: &&ServerConfig| !matches!(server.transport, TransportConfig::Gateway);
        let entries = config.servers.iter().filter(has_upstream);
        entries
            .map(|server| {
                let known = running.iter().find(|known| *known.name() == server.name);
                let upstream = match (plan.action(&server.name), known) {
                    (None, Some(known)) => known.clone(),
                    (Some(Action::Update), Some(known)) => {
                        known.adopt(server.clone());
                        known.clone()
                    }
                    (_, known) => {
                        let (changes, stop) = (self.changes.clone(), self.stop.child_token());
                        Upstream::new(
                            server.clone(),
                            changes,
                            stop,
                            &self.shared.oauth,
                            &self.processes,
                            known.map(|known| &**known),
                        )
                    }
                };
                upstream.share(&shares);
                upstream
            })
            .collect()
    }

    /// Starts `upstream`, and keeps it running until it is retired.
    pub fn start(&self, upstream: Arc<Upstream>) {
        let directory = self.state_dir.as_deref();
        let kept = directory
            .map(|directory| ToolCache::new(directory, &upstream.config(), Arc::clone(&self.file_lock)));
        self.tasks.spawn(supervise(upstream, self.shared.clone(), kept));
    }

    /// Ends `upstreams` once every token of `callers` is cancelled, or after `limit`, which cuts calls.
    pub fn retire(&self, upstreams: Vec<Arc<Upstream>>, callers: Vec<CancellationToken>, limit: Duration) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let last_call = join_all(callers.iter().map(CancellationToken::cancelled));
            let drained = stop.run_until_cancelled(tokio::time::timeout(limit, last_call)).await;
            for upstream in upstreams {
                let name = upstream.name();
                match drained {
                    Some(Err(_)) => tracing::warn!(mcp_server = %name, "{name} is out of service; calls that still ran on it after {} s are cut", limit.as_secs_f32()),
                    _ => tracing::info!(mcp_server = %name, "{name} is out of service"),
                }
                upstream.retire();
            }
        });
    }

    /// Ends all servers, and waits for it.
    pub async fn end(&self) {
        // A server learns that its call was cancelled before the server itself ends.
        self.calls.close();
        if tokio::time::timeout(CALLS_END, self.calls.wait()).await.is_err() {
            tracing::debug!("calls without a client did not end in time; they end with their servers");
        }
        self.stop.cancel();
        self.tasks.close();
        let ended = async { tokio::join!(self.tasks.wait(), self.shared.oauth.end()) };
        if tokio::time::timeout(SERVERS_END, ended).await.is_err() {
            tracing::warn!("some servers did not end in time; their processes are killed with the gateway");
        }
    }
}

/// Waits until the first try of each server has ended, well or not.
pub async fn settled(upstreams: &[Arc<Upstream>]) {
    for upstream in upstreams {
        let mut state = upstream.watch();
        // The sender lives in the upstream, which is held here.
        let _never_closed = state.wait_for(|state| state.is_settled()).await;
    }
}
