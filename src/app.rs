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

use crate::catalog::Namespace;
use crate::config::{Config, Loaded, Sources};
use crate::gateway::Configuration;
use crate::gateway::configuration::{self, LoadFailed};
use crate::http::host::HostRuleError;
use crate::http::{Keys, KeysError, ListenError, Listener, Served, serve};
use crate::shutdown::Shutdown;
use crate::systemd::InheritedSocket;
use crate::telemetry::LogOutput;
use crate::telemetry::audit::AuditWriter;
pub use audit::AuditError;
use fleet::{Fleet, SERVERS_END};
use followed_files::Seen;
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
}

/// What a signal asks for: the end, or a reload.
#[derive(Debug, Clone, Default)]
pub struct Signalled {
    pub shutdown: Shutdown,
    pub reload: Arc<Notify>,
}

/// Reads and checks what `sources` name; `None` when the end is asked for meanwhile.
pub async fn load(sources: Arc<Sources>, signalled: Signalled) -> Option<Result<Loaded, LoadFailed>> {
    signalled.shutdown.token().run_until_cancelled(configuration::load(sources)).await
}

/// Serves `config` until the end is asked for, then drains. `sources` are read again at each reload.
/// `inherited` are the sockets that a service manager opened for the gateway; without any, `config`'s host and
/// port are bound. `log` is the form of the log, in which an audit trail may go, too.
///
/// # Errors
///
/// [`AppError`] when the gateway's own key cannot be read or the port cannot be opened. A server that
/// cannot be started is no error: it is tried again, for ever.
pub async fn run(
    config: Config,
    sources: Arc<Sources>,
    inherited: Vec<InheritedSocket>,
    log: LogOutput,
    signalled: Signalled,
) -> Result<(), AppError> {
    let Signalled { shutdown, reload } = signalled;
    let configuration = Arc::new(Configuration::new(sources.clone()));
    let activated = !inherited.is_empty();
    let beginning = Begun::new(config, &sources, (inherited, log), configuration.clone(), &shutdown);
    // Files, names and disks may take their time; the end does not wait for them.
    let Some(begun) = shutdown.token().run_until_cancelled(beginning).await else { return Ok(()) };
    let Begun { fleet, audit_writer: _audit_writer, generation, served, seen, listener } = begun?;
    let certificate = listener.certificate().cloned();
    if let Some(certificate) = &certificate {
        fleet.metrics().serves_certificate(certificate.expires());
    }
    greeting::address(&generation.config, &listener, activated);

    let serving = Arc::new(ArcSwap::from_pointee(served));
    shutdown.will_drain(generation.config.limits.drain);
    generation.start(None, &fleet);
    fleet.tasks().spawn(greeting::servers(generation.upstreams.clone(), fleet.stop().clone()));

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
    let (service_manager, responder) =
        ServiceManager::start(servers, fleet.changes(), shutdown.clone(), ending);
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
    let reloading = tokio::spawn(reloader.run(reload, shutdown.clone()));
    serve(listener, serving, shutdown, responder).await;
    if let Err(error) = reloading.await {
        tracing::error!(%error, "the task that reloads failed");
    }

    tracing::info!("all calls are done; the servers are ended");
    fleet.end().await;
    service_manager.end().await;
    Ok(())
}

/// What stands before the port is served.
struct Begun {
    fleet: Arc<Fleet>,
    audit_writer: Option<AuditWriter>,
    generation: Generation,
    served: Served,
    /// The files to follow, as they were when they were read.
    seen: Vec<Seen>,
    listener: Listener,
}

impl Begun {
    async fn new(
        config: Config,
        sources: &Sources,
        (inherited, log): (Vec<InheritedSocket>, LogOutput),
        configuration: Arc<Configuration>,
        shutdown: &Shutdown,
    ) -> Result<Self, AppError> {
        let (audit, audit_writer) = audit::start(config.audit.as_ref(), log).await?;
        let namespace = Arc::new(Namespace::of(&config));
        let keys = Keys::read(&config.auth, &namespace).await?;
        let fleet = Fleet::new(&config.limits, config.state_dir.clone(), shutdown.token().clone());
        let fleet = Arc::new(fleet.audited(audit));
        let (generation, served) =
            Generation::build(config, keys, namespace, None, &fleet, configuration).await?;
        let tls = generation.config.listen.tls.as_ref();
        let seen = match sources.hot_reload {
            true => followed_files::first_look(sources, generation.config.lock_file.as_ref(), tls).await,
            false => Vec::new(),
        };
        let listener = Listener::open(&generation.config.listen, inherited).await?;
        Ok(Self { fleet, audit_writer, generation, served, seen, listener })
    }
}
