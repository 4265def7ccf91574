//! Reload: read the configuration again, check it, say what changes, and change just that.
//!
//! A configuration that has errors changes nothing: the running one stays, and the reason stands in the log,
//! in the service manager's status and in `/servers`. A certificate that cannot be used leaves the one from before,
//! and holds up nothing else.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::error::AppError;
use super::generation::Generation;
use super::service_manager::Reloads;
use super::upstream_set::UpstreamSet;
use crate::catalog::Namespace;
use crate::config::{Config, ConfigProblem, Loaded, Plan};
use crate::gateway::configuration::Configuration;
use crate::http::{Certificate, Keys, Serving};
use crate::shutdown::Shutdown;

/// The one task that changes what is served.
pub struct Reloader {
    pub upstream_set: Arc<UpstreamSet>,
    pub certificate: Option<Arc<Certificate>>,
    pub configuration: Arc<Configuration>,
    pub serving: Serving,
    pub current: Generation,
    /// Earlier generations that may still have a request in flight.
    pub earlier: Vec<CancellationToken>,
    /// The lock that the running configuration names.
    pub lock_file: Arc<ArcSwapOption<PathBuf>>,
    /// Notifies the service manager of each reload.
    pub reloads: Reloads,
}

impl Reloader {
    /// Reloads at each notification of `wanted`, until the `shutdown`.
    pub async fn run(mut self, wanted: Arc<Notify>, shutdown: Shutdown) {
        let stop = shutdown.token().clone();
        while stop.run_until_cancelled(wanted.notified()).await.is_some() {
            tracing::info!("reloading the configuration");
            self.reloads.begun();
            if let Some(audit) = &self.upstream_set.audit {
                audit.reopen();
            }
            // Files may take their time, and the end does not wait for them.
            let reloading = async { (self.reload().await, self.renew_certificate().await) };
            let Some((reloaded, renewed)) = stop.run_until_cancelled(reloading).await else { return };
            self.upstream_set.shared.metrics.reloaded(reloaded.is_ok() && renewed.is_ok());
            if let Err(problem) = &renewed {
                tracing::error!("{problem}; the certificate from before is served");
            }
            match reloaded {
                Ok(()) => {
                    let limits = &self.current.config.limits;
                    shutdown.will_take(limits.leave, limits.drain);
                    self.configuration.loaded();
                    self.reloads.ended(renewed.err().as_deref());
                    tracing::info!("the new configuration is served");
                }
                Err(problems) => {
                    for line in problems.iter().flat_map(|problem| problem.lines()) {
                        tracing::error!("{line}");
                    }
                    tracing::error!("the running configuration stays: nothing was changed");
                    self.reloads.ended(problems.first().map(|problem| one_line(problem)).as_deref());
                    self.configuration.rejected(problems);
                }
            }
        }
    }

    /// One reload; each error is a block of lines.
    async fn reload(&mut self) -> Result<(), Vec<String>> {
        let planning =
            self.configuration.plan(self.current.config.clone(), self.current.upstreams.clone()).await;
        let (Loaded { config: wanted, warnings }, plan) = planning.map_err(|failed| failed.texts())?;
        for line in warnings.iter().flat_map(ConfigProblem::lines) {
            tracing::warn!("{line}");
        }
        for line in plan.to_string().lines() {
            tracing::info!("reload: {line}");
        }
        if let Some(why) = plan.refused {
            return Err(vec![format!("the reload is refused: {why}")]);
        }
        let wanted = wanted.without_restart(&self.current.config);
        let namespace = Arc::new(Namespace::of(&wanted));
        let keys = Keys::read(&wanted, &namespace).await.map_err(|error| vec![error.to_string()])?;
        self.swap(wanted, keys, namespace, &plan).await.map_err(|error| vec![error.to_string()])
    }

    /// Reads the certificate again, from the files that the running configuration names.
    async fn renew_certificate(&self) -> Result<(), String> {
        let (Some(certificate), Some(files)) = (&self.certificate, &self.current.config.listen.tls) else {
            return Ok(());
        };
        if certificate.renew(files).await.map_err(|error| error.to_string())? {
            self.upstream_set.shared.metrics.serves_certificate(certificate.expires());
            tracing::info!("new connections get the new TLS certificate");
        }
        Ok(())
    }

    /// Serves `config` from now on. Servers that it does not use end after their last call.
    async fn swap(
        &mut self,
        config: Config,
        keys: Keys,
        namespace: Arc<Namespace>,
        plan: &Plan,
    ) -> Result<(), AppError> {
        let before = Some((&self.current, plan));
        let built = Generation::build(
            config,
            keys,
            namespace,
            before,
            &self.upstream_set,
            self.configuration.clone(),
        );
        let (next, served) = built.await?;
        next.start(Some(&self.current), &self.upstream_set);
        self.serving.store(Arc::new(served));
        let before = std::mem::replace(&mut self.current, next);
        self.lock_file.store(self.current.config.lock_file.clone().map(Arc::new));
        self.earlier.retain(|ended| !ended.is_cancelled());
        self.earlier.push(before.ended);
        let gone: Vec<_> =
            before.upstreams.into_iter().filter(|upstream| !self.current.uses(upstream)).collect();
        if !gone.is_empty() {
            self.upstream_set.retire(gone, self.earlier.clone(), self.current.config.limits.drain);
        }
        Ok(())
    }
}

fn one_line(problem: &str) -> String {
    problem.split_whitespace().collect::<Vec<_>>().join(" ")
}
