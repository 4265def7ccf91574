//! The composition root: puts the floors together, opens the port, and takes everything down again.
//!
//! Order matters. Keys are resolved and the port is bound before any server is started, so that a gateway
//! that cannot serve starts nothing; the port is served at once, whatever the servers do.

pub mod service_manager;
pub mod status_line;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::catalog::Keeper;
use crate::config::{Config, TransportConfig};
use crate::gateway::{Gateway, builtin};
use crate::http::host::HostRuleError;
use crate::http::{Edge, Keys, KeysError, ListenError, Listener, ServeOptions, serve};
use crate::rest::{self, Rest};
use crate::shutdown::{Shutdown, Signals};
use crate::systemd::InheritedSocket;
use crate::upstream::supervisor::{Surroundings, supervise};
use crate::upstream::{KeptTools, Upstream};
use service_manager::ServiceManager;

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

/// Serves `config` until a signal asks for the end, then drains. `inherited` are the sockets that a service manager
/// opened for the gateway; without any, `config`'s host and port are bound.
///
/// # Errors
///
/// [`AppError`] when the gateway's own key cannot be read or the port cannot be opened. A server that
/// cannot be started is no error: it is tried again, for ever.
pub async fn run(config: Config, inherited: Vec<InheritedSocket>) -> Result<(), AppError> {
    let config = Arc::new(config);
    let keys = Arc::new(Keys::new(&config.auth)?);
    let activated = !inherited.is_empty();
    let listener = Listener::open(&config.listen, inherited).await?;
    let signals = Signals::catch().map_err(AppError::Signals)?;
    greet(&config, &listener, activated);

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
        changes.clone(),
        builtin::tools(),
        keys.scopes().to_vec(),
    ));
    let gateway = Arc::new(Gateway::new(keeper.clone(), config.limits.call_timeout));
    let keyless = keys.is_empty();
    let router = rest::router(Arc::new(Rest::new(gateway, keys, config.clone())));
    let edge = Arc::new(Edge::new(router, &config.listen, keyless)?);

    let servers_stop = CancellationToken::new();
    let surroundings = Arc::new(Surroundings {
        clients: Default::default(),
        start_timeout: config.limits.start_timeout,
        result_limit: config.limits.result_bytes,
        stop: servers_stop.clone(),
    });
    let tasks = TaskTracker::new();
    let turn = Arc::default();
    for upstream in upstreams {
        let directory = config.state_dir.as_deref();
        let kept = directory.map(|directory| KeptTools::new(directory, upstream.config(), Arc::clone(&turn)));
        tasks.spawn(supervise(upstream, surroundings.clone(), kept));
    }
    let known = keeper.clone();
    tasks.spawn(keeper.run(servers_stop.clone()));

    let shutdown = Shutdown::new();
    let options = ServeOptions {
        connections: config.limits.connections,
        header_timeout: config.limits.header_timeout,
        drain: config.limits.drain,
    };
    let catching = tokio::spawn(signals.forward(shutdown.clone()));
    let servers = move || known.upstreams().to_vec();
    let ending = config.limits.drain + SERVERS_END;
    let (service_manager, pulse) = ServiceManager::start(servers, &changes, shutdown.clone(), ending);
    serve(listener, edge, options, shutdown, pulse).await;
    catching.abort();

    tracing::info!("all calls are done; the servers are ended");
    servers_stop.cancel();
    tasks.close();
    if tokio::time::timeout(SERVERS_END, tasks.wait()).await.is_err() {
        tracing::warn!("some servers did not end in time; their processes are killed with the gateway");
    }
    service_manager.end().await;
    Ok(())
}

fn greet(config: &Config, listener: &Listener, activated: bool) {
    let version = env!("CARGO_PKG_VERSION");
    let places = listener.places();
    let page = places.iter().find(|place| place.starts_with("http"));
    let page = page.map(|place| format!("; its page is {place}/docs")).unwrap_or_default();
    let origin = if activated { ", as the service manager passed it" } else { "" };
    tracing::info!("mcpo {version} listens on {}{origin}{page}", places.join(" and "));
    if !config.auth.keys.is_empty() {
        return;
    }
    for address in listener.tcp_addresses().iter().filter(|address| !address.ip().is_loopback()) {
        tracing::warn!(
            "ANYBODY who reaches {address} can call every tool: no API key is configured. Set --api-key (or \
             `apiKeys` in the file), or listen on 127.0.0.1"
        );
    }
}
