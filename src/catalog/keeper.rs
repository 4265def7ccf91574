//! Keeps the current snapshot: builds what a server's tools become when they change, and swaps in a new one.

mod builds;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use self::builds::{Build, Builds};
use super::openapi::{Sections, Wording, Writing};
use super::prefixed::ServerNames;
use super::{Catalog, CatalogServer, DocumentSettings, Entry, Namespace, ServerInfo};
use crate::compute;
use crate::config::{Config, ServerName, TransportConfig};
use crate::upstream::{Changes, Definition, News, Upstream};

/// Changes that come in a burst (a start of many servers) are built together.
const SETTLE: Duration = Duration::from_millis(5);
/// While further servers are built, what is ready is shown so often.
const SHOWN_EVERY: Duration = Duration::from_millis(20);
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
    scope_count: usize,
    settings: Arc<DocumentSettings>,
    wording: Arc<Wording>,
}

impl Keeper {
    /// A keeper over `upstreams`, which are those of `config` in its order, as is `namespace`. There are `scope_count` scopes. Servers that
    /// `before` (the catalog of the configuration that this one follows) holds as they are keep their entries, and with them
    /// the compiled schemas of their tools.
    pub fn new(
        config: Arc<Config>,
        namespace: Arc<Namespace>,
        upstreams: Vec<Arc<Upstream>>,
        changes: Arc<Changes>,
        own: OwnTools,
        scope_count: usize,
        before: Option<&Catalog>,
    ) -> Self {
        let known = before.map(|before| before.prefixed().namespace());
        let namespace = known.filter(|known| **known == namespace).map_or(namespace, Arc::clone);
        let wording = Wording { secured: !config.auth.keys.is_empty(), namespace };
        let keeper = Self {
            current: ArcSwap::default(),
            swapped: watch::Sender::new(()),
            changes,
            upstreams,
            own,
            settings: Arc::new(DocumentSettings::new(&config)),
            wording: Arc::new(wording),
            config,
            scope_count,
        };
        keeper.current.store(Arc::new(keeper.first(before)));
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
        &self.wording.namespace
    }

    /// Builds snapshots until `stop`. One step of one server is computed at a time: what each build leaves behind in the
    /// allocator stays with its thread, a megabyte for each that ever built.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut changes = self.changes.subscribe();
        // What was announced before this task's first turn counts, too.
        changes.mark_changed();
        let mut builds = Builds::default();
        let mut built = HashMap::new();
        let (mut has_finished, mut shown) = (false, Instant::now());
        loop {
            let mut is_told = changes.has_changed().unwrap_or(true);
            if builds.is_empty() {
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
            let Some(step) = stop.run_until_cancelled(builds.step()).await else { return };
            has_finished = step.is_some();
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

    /// Begins what is to be built, unless it is being built.
    fn begin(&self, builds: &mut Builds, built: &HashMap<ServerName, Entry>) {
        let catalog = self.catalog();
        for upstream in &self.upstreams {
            let name = upstream.name();
            if builds.holds(name) {
                continue;
            }
            let shown = built.get(name).cloned().or_else(|| catalog.entry(name.as_str()));
            let list = upstream.tools();
            let revision = list.as_ref().map_or(0, |list| list.revision);
            let is_current = |entry: &Entry| {
                entry.server.revision == revision && Arc::ptr_eq(&entry.sections.wording, &self.wording)
            };
            if !shown.as_ref().is_some_and(is_current) {
                builds.add(Build::new(upstream.clone(), list, self.wording.clone(), shown));
            }
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
            let reached = self.catalog().entry(server.as_str()).is_none_or(|entry| {
                entry.server.revision >= revision && Arc::ptr_eq(&entry.sections.wording, &self.wording)
            });
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

    /// The snapshot that a new configuration begins with. An unchanged server keeps its entry, and with it the compiled
    /// schemas of its tools; the gateway's own tools are made anew, since their rules may be others.
    fn first(&self, before: Option<&Catalog>) -> Catalog {
        let is_named_so =
            before.is_some_and(|before| Arc::ptr_eq(before.prefixed().namespace(), self.namespace()));
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
                        Entry { names: Arc::new(names), ..known }
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

    fn entry(&self, server: CatalogServer, sections: Arc<Sections>) -> Entry {
        let names = Arc::new(ServerNames::new(&server, self.namespace()));
        Entry { server: Arc::new(server), names, sections }
    }

    /// The snapshot with what was `built` in the places of the servers before.
    fn with(&self, mut built: HashMap<ServerName, Entry>) -> Catalog {
        let old = self.catalog();
        let entries = old.servers.iter().enumerate();
        let entries =
            entries.map(|(index, server)| built.remove(&server.name).unwrap_or_else(|| old.entry_at(index)));
        Catalog::new(entries.collect(), self.namespace().clone(), self.settings.clone(), self.scope_count)
    }
}
