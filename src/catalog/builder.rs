//! Builds the catalog: the entry of each server whose tools change, and a new snapshot that replaces the current one.

mod queue;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use self::queue::{BuildQueue, ServerBuild};
use super::exposed_names::ServerNames;
use super::namespace::Namespace;
use super::openapi::per_scope::OpenApiSettings;
use super::openapi::section::{Sections, Wording, Writing};
use super::scope::Caller;
use super::server::CatalogServer;
use super::snapshot::{Catalog, CatalogEntry};
use super::tagged_json::TaggedJson;
use crate::compute;
use crate::config::{Config, ServerName, TransportConfig};
use crate::upstream::{Changes, Definition, News, ServerInfo, Upstream};

/// Changes that come in a burst (a start of many servers) are built together.
const SETTLE: Duration = Duration::from_millis(5);
/// While further servers are built, what is ready is shown so often.
const SHOWN_EVERY: Duration = Duration::from_millis(20);
/// How long documents and lists wait for the first outcome of servers whose tools are not known.
pub const FIRST_OUTCOMES: Duration = Duration::from_secs(5);

/// The gateway's own tools, as [`crate::gateway`] defines them.
#[derive(Debug)]
pub struct GatewayTools {
    pub info: ServerInfo,
    pub definitions: Vec<Definition>,
}

/// The catalog over time. Cheap to read; one task ([`CatalogBuilder::run`]) writes.
#[derive(Debug)]
pub struct CatalogBuilder {
    current: ArcSwap<Catalog>,
    /// Tells that `current` was swapped.
    swapped: watch::Sender<()>,
    changes: Arc<Changes>,
    upstreams: Vec<Arc<Upstream>>,
    own: GatewayTools,
    config: Arc<Config>,
    scope_count: usize,
    settings: Arc<OpenApiSettings>,
    wording: Arc<Wording>,
}

impl CatalogBuilder {
    /// A builder over `upstreams`, which are those of `config` in its order.
    ///
    /// `namespace` is that of all configured servers. There are `scope_count` scopes. Servers that `before` (the
    /// catalog of the configuration that this one follows) holds as they are keep their entries, and with them the
    /// compiled schemas of their tools.
    pub fn new(
        config: Arc<Config>,
        namespace: Arc<Namespace>,
        upstreams: Vec<Arc<Upstream>>,
        changes: Arc<Changes>,
        own: GatewayTools,
        scope_count: usize,
        before: Option<&Catalog>,
    ) -> Self {
        let known = before.map(|before| before.exposed_names().namespace());
        let namespace = known.filter(|known| **known == namespace).map_or(namespace, Arc::clone);
        let wording = Wording { secured: !config.auth.is_open(), namespace };
        let catalog_builder = Self {
            current: ArcSwap::default(),
            swapped: watch::Sender::new(()),
            changes,
            upstreams,
            own,
            settings: Arc::new(OpenApiSettings::new(&config)),
            wording: Arc::new(wording),
            config,
            scope_count,
        };
        catalog_builder.current.store(Arc::new(catalog_builder.first(before)));
        catalog_builder
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
        &self.wording.namespace
    }

    /// Builds snapshots until `stop`.
    ///
    /// One step of one server is computed at a time: the allocator keeps memory of a build for its thread, a megabyte
    /// for each thread that ever built.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.changes.subscribe();
        // Changes before this task's first turn count, too.
        changes.mark_changed();
        let mut builds = BuildQueue::default();
        let mut built = HashMap::new();
        let (mut has_finished, mut shown) = (false, Instant::now());
        loop {
            let mut is_told = changes.has_changed().unwrap_or(true);
            // A list that changed while its server was built is begun before the next change is waited for.
            if builds.is_empty() && !has_finished {
                let Some(Ok(())) = stop.run_until_cancelled(changes.changed()).await else { return };
                tokio::time::sleep(SETTLE).await;
                is_told = true;
            }
            if is_told {
                changes.borrow_and_update();
            }
            if is_told || has_finished {
                self.begin(&mut builds, &built);
            }
            let count = builds.len();
            let Some(step) = stop.run_until_cancelled(builds.step()).await else { return };
            has_finished = builds.len() < count;
            built.extend(step.map(|built| (built.server.name.clone(), built)));
            let is_due = builds.is_empty() || shown.elapsed() >= SHOWN_EVERY;
            if !built.is_empty() && is_due {
                let before = self.current.swap(Arc::new(self.with(std::mem::take(&mut built))));
                compute::drop_apart("", before);
                shown = Instant::now();
                self.swapped.send_replace(());
            } else if is_told {
                self.swapped.send_replace(());
            }
        }
    }

    /// Begins the builds that are due.
    fn begin(&self, builds: &mut BuildQueue, built: &HashMap<ServerName, CatalogEntry>) {
        let catalog = self.catalog();
        for upstream in &self.upstreams {
            let name = upstream.name();
            if builds.holds(name) {
                continue;
            }
            let shown = built.get(name).cloned().or_else(|| catalog.entry(name.as_str()));
            let list = upstream.tools();
            let revision = list.as_ref().map_or(0, |list| list.revision);
            let is_current = |entry: &CatalogEntry| {
                entry.server.revision == revision && Arc::ptr_eq(&entry.sections.wording, &self.wording)
            };
            if !shown.as_ref().is_some_and(is_current) {
                builds.add(ServerBuild::new(upstream.clone(), list, self.wording.clone(), shown));
            }
        }
    }

    /// The OpenAPI document of all servers, or of one that `caller` may see.
    pub async fn document(&self, caller: &Caller, server: Option<&ServerName>) -> TaggedJson {
        let catalog = self.catalog().clone();
        if let Some(written) = catalog.written_document(&caller.scope, server) {
            return written.clone();
        }
        let (scope, server) = (caller.scope.clone(), server.cloned());
        // A document is not of one server: those of callers without a key share one turn.
        let owner = caller.owner("/openapi.json");
        compute::run(owner, move || catalog.document(&scope, server.as_ref())).await
    }

    /// Tells each time that the snapshot was swapped.
    pub fn swapped(&self) -> watch::Receiver<()> {
        self.swapped.subscribe()
    }

    /// Waits until the snapshot holds at least revision `revision` of `server`'s tools.
    pub async fn wait_for(&self, server: &ServerName, revision: u64) {
        let mut swapped = self.swapped.subscribe();
        loop {
            swapped.borrow_and_update();
            let reached = self.catalog().entry(server.as_str()).is_none_or(|entry| {
                entry.server.revision >= revision && Arc::ptr_eq(&entry.sections.wording, &self.wording)
            });
            if reached || swapped.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits for the first list or outcome of each server that `concerns` selects.
    ///
    /// That is until its tools are known or the first try to start it has ended, and at most [`FIRST_OUTCOMES`].
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
                    self.wait_for(upstream.name(), list.revision).await;
                }
            }
        };
        // After the limit the document shows the known tools; its ETag changes with further ones.
        let _limit_reached = tokio::time::timeout(FIRST_OUTCOMES, waiting).await;
    }

    /// The snapshot that a new configuration begins with. An unchanged server keeps its entry, and with it the compiled
    /// schemas of its tools; the gateway's own tools are made anew, since their rules may be others.
    fn first(&self, before: Option<&Catalog>) -> Catalog {
        let is_named_so =
            before.is_some_and(|before| Arc::ptr_eq(before.exposed_names().namespace(), self.namespace()));
        let mut upstreams = self.upstreams.iter();
        let mut entries = Vec::with_capacity(self.config.servers.len());
        for config in &self.config.servers {
            if matches!(config.transport, TransportConfig::Gateway) {
                let server = CatalogServer::of_gateway(config, self.own.info.clone(), &self.own.definitions);
                let mut writing =
                    Writing::new(server.name.clone(), server.tools.clone(), self.wording.clone(), None);
                while !writing.write_until(Instant::now()) {}
                entries.push(self.entry(server, Arc::new(writing.finish())));
                continue;
            }
            let Some(upstream) = upstreams.next() else { continue };
            let list = upstream.tools();
            let revision = list.as_ref().map_or(0, |list| list.revision);
            let known = before.and_then(|before| before.entry(config.name.as_str()));
            entries.push(match known.filter(|known| known.server.is_of(upstream)) {
                Some(known) if known.server.revision == revision => match is_named_so {
                    true => known,
                    false => {
                        let names = ServerNames::new(&known.server, self.namespace());
                        CatalogEntry { names: Arc::new(names), ..known }
                    }
                },
                Some(known) => {
                    let changed = CatalogServer::of_upstream(upstream, list.as_deref());
                    self.entry(changed.keeping(&known.server), known.sections)
                }
                None => self.entry(CatalogServer::of_upstream(upstream, list.as_deref()), Arc::default()),
            });
        }
        Catalog::new(entries, self.namespace().clone(), self.settings.clone(), self.scope_count)
    }

    fn entry(&self, server: CatalogServer, sections: Arc<Sections>) -> CatalogEntry {
        let names = Arc::new(ServerNames::new(&server, self.namespace()));
        CatalogEntry { server: Arc::new(server), names, sections }
    }

    /// The snapshot with what was `built` in the places of the servers before.
    fn with(&self, mut built: HashMap<ServerName, CatalogEntry>) -> Catalog {
        let old = self.catalog();
        let entries = old.servers.iter().enumerate();
        let entries =
            entries.map(|(index, server)| built.remove(&server.name).unwrap_or_else(|| old.entry_at(index)));
        Catalog::new(entries.collect(), self.namespace().clone(), self.settings.clone(), self.scope_count)
    }
}
