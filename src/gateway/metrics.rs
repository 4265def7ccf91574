//! The metrics of servers at a scrape, and the meters of their calls.

use std::sync::Arc;

use super::state::Gateway;
use super::target::Target;
use crate::catalog::CatalogServer;
use crate::metrics::{CallMeter, Metrics, ServerSnapshot, Snapshot};

impl Gateway {
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.lasting.metrics
    }

    /// The text of one scrape.
    ///
    /// It names every server and tool that was called: for callers that may see all.
    ///
    /// # Errors
    ///
    /// A sentence for the log when the text cannot be written.
    pub async fn scrape(&self) -> Result<String, String> {
        let _permit = self.scrape.acquire().await.expect("the semaphore is never closed");
        let snapshot = Snapshot {
            servers: self.catalog_builder().catalog().servers.iter().map(|server| snapshot(server)).collect(),
            store_is_there: self.lasting.store.as_ref().map(|store| store.is_there()),
            runtime_tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        };
        let metrics = self.lasting.metrics.clone();
        let rendering = tokio::task::spawn_blocking(move || metrics.render(&snapshot)).await;
        rendering.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }

    /// The meter for the calls of `target`. Takes a lock for the first call of a tool only.
    pub(super) fn meter<'a>(&self, target: &'a Target) -> &'a CallMeter {
        let Target { server, tool } = target;
        tool.meter.get_or_init(|| self.metrics().server(server.name.as_str()).tool(&tool.name))
    }
}

fn snapshot(server: &CatalogServer) -> ServerSnapshot {
    let (name, tools) = (server.name.to_string(), server.tools.len());
    let Some(upstream) = server.upstream() else {
        return ServerSnapshot { name, state: "ready", tools, ..ServerSnapshot::default() };
    };
    let (state, config) = (upstream.state(), upstream.config());
    ServerSnapshot {
        name,
        state: state.name(),
        error_type: state.reason().map(|reason| reason.error_type()),
        required: config.required,
        tools,
        drifted: config.lock.is_some().then_some(server.drift.len()),
        failures: state.failures,
        concurrency: Some(config.concurrency),
        isolated: config
            .isolation
            .is_on()
            .then(|| upstream.holders().iter().map(|holding| holding.connections).sum()),
        token_expires: upstream.authorizer().and_then(|authorizer| authorizer.token_ends()),
    }
}
