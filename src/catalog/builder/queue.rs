//! The servers that are being built, in short steps, so that no server waits for the tools of another. The next step
//! is for the server that had the least time.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::catalog::exposed_names::ServerNames;
use crate::catalog::openapi::section::{Wording, Writing};
use crate::catalog::server::CatalogServer;
use crate::catalog::snapshot::CatalogEntry;
use crate::catalog::tool_list::write_lists;
use crate::compute;
use crate::config::ServerName;
use crate::upstream::{ToolList, Upstream};

/// How long one step takes, unless a single tool takes longer.
const STEP: Duration = Duration::from_millis(10);
/// After which time half of what a server has had counts no more.
const HALF_LIFE: Duration = Duration::from_secs(1);

/// All that is being built.
#[derive(Debug, Default)]
pub struct BuildQueue {
    waiting: Vec<ServerBuild>,
    /// Servers that are waiting.
    names: HashSet<ServerName>,
    had: StepTimes,
    /// Revisions that could not be built.
    failed: HashMap<ServerName, u64>,
}

/// One server in the making.
#[derive(Debug)]
pub struct ServerBuild {
    upstream: Arc<Upstream>,
    list: Option<Arc<ToolList>>,
    wording: Arc<Wording>,
    before: Option<CatalogEntry>,
    written: Option<(Arc<CatalogServer>, Arc<ServerNames>, Writing)>,
}

impl BuildQueue {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the server called `name` is being built.
    pub fn holds(&self, name: &ServerName) -> bool {
        self.names.contains(name)
    }

    /// Adds a build, unless the same could not be built before.
    pub fn add(&mut self, build: ServerBuild) {
        if self.failed.get(build.upstream.name()) != Some(&build.revision()) {
            self.push(build);
        }
    }

    fn push(&mut self, build: ServerBuild) {
        self.names.insert(build.upstream.name().clone());
        self.waiting.push(build);
    }

    /// Takes one step, and returns the build that it finishes. Dropping the future drops the build of that step.
    pub async fn step(&mut self) -> Option<CatalogEntry> {
        let mut build = self.next()?;
        let (name, revision) = (build.upstream.name().clone(), build.revision());
        let step = move || {
            let began = Instant::now();
            // A panic leaves nothing half done: a build is swapped in whole.
            let outcome = catch_unwind(AssertUnwindSafe(|| (build.step(), build)));
            (outcome, began.elapsed())
        };
        let (outcome, took) = compute::run(name.as_str(), step).await;
        self.had.add(&name, took, Instant::now());
        match outcome {
            Ok((Some(built), _)) => Some(built),
            Ok((None, unfinished)) => {
                self.push(unfinished);
                None
            }
            Err(_) => {
                tracing::error!(mcp_server = %name, "{name}: its tools could not be taken into the catalog (a panic); the old ones stay");
                self.failed.insert(name, revision);
                None
            }
        }
    }

    fn next(&mut self) -> Option<ServerBuild> {
        let names = self.waiting.iter().map(|build| build.upstream.name());
        let index = self.had.least(names, Instant::now())?;
        let build = self.waiting.swap_remove(index);
        self.names.remove(build.upstream.name());
        Some(build)
    }
}

/// Seconds that the steps of each server took lately, and when that was counted.
#[derive(Debug, Default)]
struct StepTimes(HashMap<ServerName, (f64, Instant)>);

impl StepTimes {
    fn add(&mut self, name: &ServerName, took: Duration, now: Instant) {
        self.0.retain(|_, had| left_of(*had, now) > STEP.as_secs_f64());
        let had = self.of(name, now).unwrap_or_default();
        self.0.insert(name.clone(), (had + took.as_secs_f64(), now));
    }

    fn of(&self, name: &ServerName, now: Instant) -> Option<f64> {
        self.0.get(name).map(|had| left_of(*had, now))
    }

    /// Which of `names` has had the least.
    fn least<'a>(&self, names: impl Iterator<Item = &'a ServerName> + Clone, now: Instant) -> Option<usize> {
        let nothing = || names.clone().position(|name| !self.0.contains_key(name));
        let least = || {
            let had = names.clone().map(|name| self.of(name, now).unwrap_or_default()).enumerate();
            had.min_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(index, _)| index)
        };
        nothing().or_else(least)
    }
}

fn left_of((had, at): (f64, Instant), now: Instant) -> f64 {
    had * 0.5_f64.powf(now.duration_since(at).as_secs_f64() / HALF_LIFE.as_secs_f64())
}

impl ServerBuild {
    /// Begins to build `upstream` with the tools of `list`. Unchanged parts of `before` are taken over.
    pub fn new(
        upstream: Arc<Upstream>,
        list: Option<Arc<ToolList>>,
        wording: Arc<Wording>,
        before: Option<CatalogEntry>,
    ) -> Self {
        Self { upstream, list, wording, before, written: None }
    }

    fn revision(&self) -> u64 {
        self.list.as_ref().map_or(0, |list| list.revision)
    }

    fn step(&mut self) -> Option<CatalogEntry> {
        let deadline = Instant::now() + STEP;
        let (server, names, mut writing) = self.written.take().unwrap_or_else(|| self.begun());
        if !writing.write_until(deadline) {
            self.written = Some((server, names, writing));
            return None;
        }
        Some(CatalogEntry { server, names, sections: Arc::new(writing.finish()) })
    }

    fn begun(&mut self) -> (Arc<CatalogServer>, Arc<ServerNames>, Writing) {
        let before = self.before.take();
        let (server, names) = match &before {
            // Only its texts for documents are written anew.
            Some(before) if before.server.revision == self.revision() => {
                (before.server.clone(), before.names.clone())
            }
            before => {
                let mut server = CatalogServer::of_upstream(&self.upstream, self.list.as_deref());
                if let Some(before) = before {
                    server = server.keeping(&before.server);
                }
                let names = ServerNames::new(&server, &self.wording.namespace);
                if let Some(before) = before {
                    write_lists(&server, &names, (&before.server, &before.names));
                }
                (Arc::new(server), Arc::new(names))
            }
        };
        let (name, tools) = (server.name.clone(), server.tools.clone());
        let sections = before.map(|before| before.sections);
        (server, names, Writing::new(name, tools, self.wording.clone(), sections))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_step_is_of_the_server_that_has_had_the_least_lately() {
        let names = ["large", "restless", "quiet"].map(|name| ServerName::new(name).unwrap());
        let (mut had, mut now) = (StepTimes::default(), Instant::now());
        let next = |had: &StepTimes, now| &names[had.least(names.iter(), now).unwrap()];
        let mut turns = HashMap::new();
        for _ in 0..100 {
            let name = next(&had, now);
            let took = STEP * if name.as_str() == "large" { 20 } else { 2 };
            now += took;
            had.add(name, took, now);
            *turns.entry(name.as_str()).or_insert(0) += 1;
        }
        assert!(turns["quiet"] > 30 && turns["restless"] > 30 && turns["large"] > 2, "{turns:?}");
        let name = ServerName::new("new").unwrap();
        let all = || names.iter().chain([&name]);
        assert_eq!(had.least(all(), now), Some(3), "one that had nothing is next");
        // Old entries do not count.
        let later = now + 60 * HALF_LIFE;
        had.add(&names[2], STEP * 5, later);
        assert_ne!(next(&had, later).as_str(), "quiet");
        assert_eq!(had.0.len(), 1);
    }
}
