//! The composition root: puts the floors together, opens the port, and takes everything down again.
//!
//! Order matters. Keys are resolved and the port is bound before any server is started, so that a gateway
//! that cannot serve starts nothing; the port is served at once, whatever the servers do.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Keeper;
use crate::config::{Config, TransportConfig};
use crate::gateway::{Gateway, builtin};
use crate::http::host::HostRuleError;
use crate::http::{Edge, Keys, KeysError, ListenError, Listener, ServeOptions, serve};
use crate::metrics::Metrics;
use crate::rest::{self, Rest};
use crate::shutdown::{Shutdown, Signals};
use crate::telemetry;
use crate::upstream::supervisor::{Surroundings, supervise};
use crate::upstream::{KeptTools, Upstream};

/// How long servers may take to end after the last call.
const SERVERS_END: std::time::Duration = std::time::Duration::from_secs(10);

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Hosts(#[from] HostRuleError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("signals cannot be caught: {0}")]
    Signals(#[source] std::io::Error),
}

/// Serves `config` until a signal asks for the end, then drains.
///
/// # Errors
///
/// [`AppError`] when the gateway's own key cannot be read or the port cannot be opened. A server that
/// cannot be started is no error: it is tried again, for ever.
pub async fn run(config: Config) -> Result<(), AppError> {
    let config = Arc::new(config);
    let keys = Arc::new(Keys::new(&config.auth)?);
    let listener = Listener::bind(&config.listen).await?;
    let signals = Signals::catch().map_err(AppError::Signals)?;
    greet(&config, &listener);

    let changes = Arc::new(watch::Sender::new(0));
    let upstreams: Vec<Arc<Upstream>> = config
        .servers
        .iter()
        .filter(|server| !matches!(server.transport, TransportConfig::Gateway))
        .map(|server| Upstream::new(server.clone(), changes.clone()))
        .collect();
    let keeper = Arc::new(Keeper::new(
        config.clone(),
        upstreams.clone(),
        changes,
        builtin::tools(),
        keys.scopes().to_vec(),
    ));
    let metrics = Arc::new(Metrics::new(telemetry::dropped_lines));
    metrics.http().limit_connections(config.limits.connections);
    let gateway = Arc::new(Gateway::new(keeper.clone(), config.limits.call_timeout, metrics.clone()));
    let keyless = keys.is_empty();
    let router = rest::router(Arc::new(Rest::new(gateway, keys, config.clone())));
    let edge = Arc::new(Edge::new(router, &config.listen, keyless)?.counted_with(metrics.http().clone()));

    let servers_stop = CancellationToken::new();
    let surroundings = Arc::new(Surroundings {
        clients: Default::default(),
        start_timeout: config.limits.start_timeout,
        result_limit: config.limits.result_bytes,
        stop: servers_stop.clone(),
        metrics,
    });
    let tasks = TaskTracker::new();
    let turn = Arc::default();
    for upstream in upstreams {
        let directory = config.state_dir.as_deref();
        let kept = directory.map(|directory| KeptTools::new(directory, upstream.config(), Arc::clone(&turn)));
        tasks.spawn(supervise(upstream, surroundings.clone(), kept));
    }
    tasks.spawn(keeper.run(servers_stop.clone()));

    let shutdown = Shutdown::new();
    let options = ServeOptions {
        connections: config.limits.connections,
        header_timeout: config.limits.header_timeout,
        drain: config.limits.drain,
    };
    let catching = tokio::spawn(signals.forward(shutdown.clone()));
    serve(listener, edge, options, shutdown).await;
    catching.abort();

    tracing::info!("all calls are done; the servers are ended");
    servers_stop.cancel();
    tasks.close();
    if tokio::time::timeout(SERVERS_END, tasks.wait()).await.is_err() {
        tracing::warn!("some servers did not end in time; their processes are killed with the gateway");
    }
    Ok(())
}

fn greet(config: &Config, listener: &Listener) {
    let scheme = if config.listen.tls.is_some() { "https" } else { "http" };
    let Ok(address) = listener.local_address() else { return };
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!("mcpo {version} listens on {scheme}://{address}; its page is {scheme}://{address}/docs");
    if config.auth.keys.is_empty() && !address.ip().is_loopback() {
        tracing::warn!(
            "ANYBODY who reaches {address} can call every tool: no API key is configured. Set --api-key (or \
             `apiKeys` in the file), or listen on 127.0.0.1"
        );
    }
}
