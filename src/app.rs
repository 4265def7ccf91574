//! The composition root: puts the modules together, opens the port, and takes everything down again.
//!
//! Order matters. Keys are resolved and the port is bound before any server is started, so that a gateway
//! that cannot serve starts nothing; the port is served at once, whatever the servers do.

mod audit;
mod config_watcher;
mod error;
mod generation;
pub mod in_process;
mod reload;
mod router;
pub mod run_server;
mod sealing;
pub mod service_manager;
mod shared;
mod startup_log;
pub mod status_line;
mod upstream_set;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;

use crate::catalog::Namespace;
use crate::config::{Config, Loaded, Replica, Sources, environment};
use crate::gateway::Configuration;
use crate::gateway::configuration::{self, LoadFailed};
use crate::http::{Keys, Listener, Served, serve};
use crate::shutdown::Shutdown;
use crate::systemd::{InheritedSocket, Notifier};
use crate::telemetry::LogOutput;
use crate::telemetry::audit::AuditWriter;
pub use audit::AuditError;
use config_watcher::Seen;
pub use error::AppError;
use generation::Generation;
use reload::Reloader;
use service_manager::ServiceManager;
use upstream_set::{SERVERS_END, UpstreamSet};

/// The requests of signals: the end, or a reload.
#[derive(Debug, Clone, Default)]
pub struct Signalled {
    pub shutdown: Shutdown,
    pub reload: Arc<Notify>,
}

/// Reads and checks the configuration of `sources`; `None` when the end is requested meanwhile.
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
    let starting = Startup::new(config, &sources, (inherited, log), configuration.clone(), &shutdown);
    // Files, names and disks may take their time; the end does not wait for them.
    let Some(started) = shutdown.token().run_until_cancelled(starting).await else { return Ok(()) };
    let Startup { upstream_set, audit_writer: _audit_writer, generation, served, seen, listener } = started?;
    let certificate = listener.certificate().cloned();
    if let Some(certificate) = &certificate {
        upstream_set.shared.metrics.serves_certificate(certificate.expires());
    }
    startup_log::address(&generation.config, &listener, activated);

    let serving = Arc::new(ArcSwap::from_pointee(served));
    let limits = &generation.config.limits;
    shutdown.will_take(limits.leave, limits.drain);
    generation.start(None, &upstream_set);
    upstream_set.tasks.spawn(upstream_set.mcp.clone().keep(upstream_set.stop.clone()));
    upstream_set.tasks.spawn(startup_log::servers(generation.upstreams.clone(), upstream_set.stop.clone()));

    let lock_file = Arc::new(ArcSwapOption::new(generation.config.lock_file.clone().map(Arc::new)));
    if sources.hot_reload {
        let following = config_watcher::follow(
            sources,
            config_watcher::WatchedFiles { lock: lock_file.clone(), certificate: certificate.clone() },
            seen,
            reload.clone(),
            shutdown.token().clone(),
        );
        upstream_set.tasks.spawn(following);
    }
    let ending = generation.config.limits.leave + generation.config.limits.drain + SERVERS_END;
    let known = upstream_set.clone();
    let servers = move || known.servers().to_vec();
    if let Some(replicas) = upstream_set.replicas.clone() {
        upstream_set.tasks.spawn(replicas.keep(servers.clone(), upstream_set.stop.clone()));
    }
    let notifier = Notifier::new(environment::notify_socket());
    let (service_manager, responder) =
        ServiceManager::start(notifier, servers, &upstream_set.changes, shutdown.clone(), ending);
    let reloader = Reloader {
        upstream_set: upstream_set.clone(),
        certificate,
        configuration,
        serving: serving.clone(),
        current: generation,
        earlier: Vec::new(),
        lock_file,
        reloads: service_manager.reloads.clone(),
    };
    let reloading = tokio::spawn(reloader.run(reload, shutdown.clone()));
    serve(listener, serving, shutdown, responder).await;
    if let Err(error) = reloading.await {
        tracing::error!(%error, "the task that reloads failed");
    }

    tracing::info!("all calls are done; the servers are ended");
    upstream_set.end().await;
    service_manager.end().await;
    Ok(())
}

/// The gateway just before the port is served.
struct Startup {
    upstream_set: Arc<UpstreamSet>,
    audit_writer: Option<AuditWriter>,
    generation: Generation,
    served: Served,
    /// The files to follow, as they were when they were read.
    seen: Vec<Seen>,
    listener: Listener,
}

impl Startup {
    async fn new(
        config: Config,
        sources: &Sources,
        (inherited, log): (Vec<InheritedSocket>, LogOutput),
        configuration: Arc<Configuration>,
        shutdown: &Shutdown,
    ) -> Result<Self, AppError> {
        let (audit, audit_writer) = audit::start(config.audit.as_ref(), log).await?;
        let namespace = Arc::new(Namespace::of(&config));
        let keys = Keys::read(&config, &namespace).await?;
        let (secrets, state_dir) = (sealing::secrets(&config).await?, config.state_dir.clone());
        let seen = match sources.hot_reload {
            true => {
                let (lock_file, tls) = (config.lock_file.as_ref(), config.listen.tls.as_ref());
                config_watcher::first_look(sources, lock_file, tls).await
            }
            false => Vec::new(),
        };
        let listener = Listener::open(&config.listen, inherited).await?;
        let replica = replica(&config, &listener);
        let mut upstream_set =
            UpstreamSet::new(&config.limits, state_dir, &secrets, audit, replica, shutdown);
        let (tasks, stop) = (&upstream_set.tasks, upstream_set.stop.clone());
        if let Some(store) = shared::open(config.shared.as_ref(), tasks, stop).await? {
            upstream_set.share(store);
        }
        let upstream_set = Arc::new(upstream_set);
        upstream_set.mcp.restore(config.limits.session_idle).await;
        let (generation, served) =
            Generation::build(config, keys, namespace, None, &upstream_set, configuration).await?;
        Ok(Self { upstream_set, audit_writer, generation, served, seen, listener })
    }
}

/// This gateway, as its replicas know it.
fn replica(config: &Config, listener: &Listener) -> Replica {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let given = (config.replica.name.as_deref(), config.replica.url.as_deref());
    Replica::new(given, &host, listener.tcp_addresses().first().copied(), listener.is_tls())
}
