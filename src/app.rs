//! The composition root: puts the floors together, opens the port, and takes everything down again.
//!
//! Order matters. Keys are resolved and the port is bound before any server is started, so that a gateway
//! that cannot serve starts nothing; the port is served at once, whatever the servers do.

mod audit;
mod faces;
mod fleet;
mod followed_files;
mod generation;
mod greeting;
pub mod local;
mod reload;
pub mod run_server;
pub mod service_manager;
pub mod status_line;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;

use crate::config::{Config, Sources};
use crate::gateway::Configuration;
use crate::http::host::HostRuleError;
use crate::http::{KeysError, ListenError, Listener, serve};
use crate::shutdown::{Shutdown, Signals};
use crate::systemd::InheritedSocket;
pub use audit::AuditError;
use fleet::{Fleet, SERVERS_END};
use generation::Generation;
use reload::Reloader;
use service_manager::ServiceManager;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Hosts(#[from] HostRuleError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("signals cannot be caught: {0}")]
    Signals(#[source] std::io::Error),
}

/// Serves `config` until a signal asks for the end, then drains. `sources` are read again at each reload.
/// `inherited` are the sockets that a service manager opened for the gateway; without any, `config`'s host and
/// port are bound.
///
/// # Errors
///
/// [`AppError`] when the gateway's own key cannot be read or the port cannot be opened. A server that
/// cannot be started is no error: it is tried again, for ever.
pub async fn run(config: Config, sources: Sources, inherited: Vec<InheritedSocket>) -> Result<(), AppError> {
    let sources = Arc::new(sources);
    let configuration = Arc::new(Configuration::new(sources.clone()));
    let shutdown = Shutdown::new();
    let (audit, _audit_writer) = audit::start(config.audit.as_ref())?;
    let fleet = Fleet::new(&config.limits, config.state_dir.clone(), shutdown.token().clone());
    let fleet = Arc::new(fleet.audited(audit));
    let (generation, served) = Generation::build(config, None, &fleet, configuration.clone())?;
    let activated = !inherited.is_empty();
    let tls = generation.config.listen.tls.as_ref();
    let seen = match sources.hot_reload {
        true => followed_files::first_look(&sources, generation.config.lock_file.as_ref(), tls).await,
        false => Vec::new(),
    };
    let listener = Listener::open(&generation.config.listen, inherited).await?;
    let signals = Signals::catch().map_err(AppError::Signals)?;
    let certificate = listener.certificate().cloned();
    if let Some(certificate) = &certificate {
        fleet.metrics().serves_certificate(certificate.expires());
    }
    greeting::address(&generation.config, &listener, activated);

    let serving = Arc::new(ArcSwap::from_pointee(served));
    generation.start(None, &fleet);
    fleet.tasks().spawn(greeting::servers(generation.upstreams.clone(), fleet.stop().clone()));

    let reload = Arc::new(Notify::new());
    let lock_file = Arc::new(ArcSwapOption::new(generation.config.lock_file.clone().map(Arc::new)));
    if sources.hot_reload {
        let following = followed_files::follow(
            sources,
            followed_files::Named { lock: lock_file.clone(), certificate: certificate.clone() },
            seen,
            reload.clone(),
            shutdown.token().clone(),
        );
        fleet.tasks().spawn(following);
    }
    let ending = generation.config.limits.drain + SERVERS_END;
    let known = fleet.clone();
    let servers = move || known.servers().to_vec();
    let (service_manager, pulse) = ServiceManager::start(servers, fleet.changes(), shutdown.clone(), ending);
    let reloader = Reloader {
        fleet: fleet.clone(),
        certificate,
        configuration,
        serving: serving.clone(),
        current: generation,
        earlier: Vec::new(),
        lock_file,
        told: service_manager.reloads().clone(),
    };
    let reloading = tokio::spawn(reloader.run(reload.clone(), shutdown.token().clone()));
    let catching = tokio::spawn(signals.forward(shutdown.clone(), reload));
    serve(listener, serving, shutdown, pulse).await;
    catching.abort();
    if let Err(error) = reloading.await {
        tracing::error!(%error, "the task that reloads failed");
    }

    tracing::info!("all calls are done; the servers are ended");
    fleet.end().await;
    service_manager.end().await;
    Ok(())
}
