//! Keeps the current snapshot: builds a new one when a server's tools change, and swaps it in whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use super::documents::{DocumentSettings, Documents};
use super::{Catalog, CatalogServer, Namespace, Scope, ServerInfo};
use crate::config::{Config, ServerName, TransportConfig};
use crate::upstream::{Changes, Definition, News, Upstream};

/// Changes that come in a burst (a start of many servers) are built once.
const SETTLE: Duration = Duration::from_millis(5);
/// How long documents and lists wait for the first outcome of servers whose tools are not known.
pub const FIRST_OUTCOMES: Duration = Duration::from_secs(5);

/// The gateway's own tools, as the floor above defines them.
#[derive(Debug)]
pub struct OwnTools {
    pub info: ServerInfo,
    pub definitions: Vec<Definition>,
}

/// The catalog over time. Cheap to read; one task ([`Keeper::run`]) writes.
#[derive(Debug)]
pub struct Keeper {
    current: ArcSwap<Catalog>,
    /// Tells that `current` was swapped.
    swapped: watch::Sender<()>,
    changes: Arc<Changes>,
    upstreams: Vec<Arc<Upstream>>,
    own: OwnTools,
    config: Arc<Config>,
    namespace: Arc<Namespace>,
    scopes: Vec<Arc<Scope>>,
    /// With those that no document is made for.
    scope_count: usize,
    settings: DocumentSettings,
}

impl Keeper {
    /// A keeper over `upstreams`, which are those of `config` in its order, as is `namespace`. `scopes` are the distinct scopes
    /// of keys, the unlimited one first, of `scope_count` in all. Servers that `before` (the catalog of the configuration that this
    /// one follows) holds as they are keep their entries, and with them the compiled schemas of their tools.
    pub fn new(
        config: Arc<Config>,
        namespace: Arc<Namespace>,
        upstreams: Vec<Arc<Upstream>>,
        changes: Arc<Changes>,
        own: OwnTools,
        (scopes, scope_count): (Vec<Arc<Scope>>, usize),
        before: Option<&Catalog>,
    ) -> Self {
        let settings = DocumentSettings::new(&config);
        let keeper = Self {
            current: ArcSwap::from_pointee(before.map(Catalog::for_successor).unwrap_or_default()),
            swapped: watch::Sender::new(()),
            changes,
            upstreams,
            own,
            config,
            namespace,
            scopes,
            scope_count,
            settings,
        };
        keeper.current.store(Arc::new(keeper.build()));
        keeper
    }

    /// The current snapshot. Takes no lock.
    pub fn catalog(&self) -> Guard<Arc<Catalog>> {
        self.current.load()
    }

    /// Follows the prompts and resources of all servers.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.changes.news()
    }

    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// The namespace of all configured servers.
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// Builds snapshots until `stop`, on one thread: none that serves calls can spare the time for thousands of tools, and
    /// what each build leaves behind in the allocator stays with its thread, a megabyte for each that ever built.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let runtime = Handle::current();
        let following = tokio::task::spawn_blocking(move || runtime.block_on(self.follow(&stop)));
        if let Err(error) = following.await {
            tracing::error!(%error, "the catalog is no longer followed; it stays as it is");
        }
    }

    async fn follow(&self, stop: &CancellationToken) {
        let mut changes = self.changes.subscribe();
        // What was announced before this task's first turn counts, too.
        changes.mark_changed();
        while let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await {
            tokio::time::sleep(SETTLE).await;
            changes.borrow_and_update();
            if !self.is_current() {
                // Nothing is left half done by a panic: a snapshot is swapped in whole.
                match catch_unwind(AssertUnwindSafe(|| self.build())) {
                    Ok(catalog) => self.current.store(Arc::new(catalog)),
                    Err(_) => {
                        tracing::error!("the catalog could not be built (a panic); the old one stays");
                        continue;
                    }
                }
            }
            self.swapped.send_replace(());
        }
    }

    /// Tells each time that the snapshot was swapped.
    pub fn swapped(&self) -> watch::Receiver<()> {
        self.swapped.subscribe()
    }

    /// Waits until the snapshot holds at least revision `revision` of `server`'s tools.
    pub async fn reach(&self, server: &ServerName, revision: u64) {
        let mut swapped = self.swapped.subscribe();
        loop {
            swapped.borrow_and_update();
            let reached =
                self.catalog().server(server.as_str()).is_none_or(|entry| entry.revision >= revision);
            if reached || swapped.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits, at most [`FIRST_OUTCOMES`], until each server that `concerns` selects has known tools or the
    /// first try to start it has ended.
    pub async fn first_outcomes(&self, concerns: impl Fn(&ServerName) -> bool) {
        let waiting = async {
            for upstream in self.upstreams.iter().filter(|upstream| concerns(upstream.name())) {
                let mut state = upstream.watch();
                let mut tools_known = upstream.tools().is_some();
                while !tools_known && !state.borrow_and_update().is_settled() {
                    if state.changed().await.is_err() {
                        break;
                    }
                    tools_known = upstream.tools().is_some();
                }
                if let Some(list) = upstream.tools() {
                    self.reach(upstream.name(), list.revision).await;
                }
            }
        };
        // After the limit the document shows what is known; its ETag changes when more is.
        let _limit_reached = tokio::time::timeout(FIRST_OUTCOMES, waiting).await;
    }

    fn is_current(&self) -> bool {
        let catalog = self.catalog();
        self.upstreams.iter().all(|upstream| {
            let known = catalog.server(upstream.name().as_str()).map_or(0, |server| server.revision);
            known == upstream.tools().map_or(0, |list| list.revision)
        })
    }

    fn build(&self) -> Catalog {
        let old = self.catalog();
        let mut upstreams = self.upstreams.iter();
        let mut servers = Vec::with_capacity(self.config.servers.len());
        for config in &self.config.servers {
            if matches!(config.transport, TransportConfig::Gateway) {
                let server = old.server(config.name.as_str()).cloned().unwrap_or_else(|| {
                    Arc::new(CatalogServer::of_gateway(config, self.own.info.clone(), &self.own.definitions))
                });
                servers.push(server);
                continue;
            }
            let Some(upstream) = upstreams.next() else { continue };
            let list = upstream.tools();
            let revision = list.as_ref().map_or(0, |list| list.revision);
            // An unchanged server keeps its entry, and with it the compiled schemas of its tools.
            let server = match old.server(config.name.as_str()) {
                Some(known) if known.revision == revision && known.is_of(upstream) => known.clone(),
                _ => Arc::new(CatalogServer::of_upstream(upstream, list.as_deref())),
            };
            servers.push(server);
        }
        let documents = self
            .scopes
            .iter()
            .map(|scope| {
                let before = old.documents.get(scope.index).map(|documents| (&**documents, &old));
                let before = before.map(|(documents, old)| (documents, &***old));
                Arc::new(Documents::build(&servers, scope, &self.namespace, &self.settings, before))
            })
            .collect();
        let catalog = Catalog::new(servers, self.namespace.clone(), documents, self.scope_count);
        // Made here, so that no thread that serves calls has to: of a long list that takes a while.
        catalog.prefixed();
        catalog
    }
}
