//! The state that calls under one configuration share, and the permits to make them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::configuration::Configuration;
use super::context::CallContext;
use super::limits::{Limited, Limits, Permit};
use super::replicas::Replicas;
use crate::catalog::{Caller, CatalogBuilder};
use crate::config::{Replica, ServerName};
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::shared_store::SharedStore;
use crate::telemetry::audit::Audit;
use crate::upstream::Upstream;

/// The gateway under one configuration, shared by the surfaces.
#[derive(Debug)]
pub struct Gateway {
    pub(super) catalog_builder: Arc<CatalogBuilder>,
    pub(super) call_timeout: Duration,
    pub(super) configuration: Arc<Configuration>,
    pub(super) limits: Arc<Limits>,
    pub(super) lasting: Lasting,
    /// One text of metrics is written at a time.
    pub(super) scrape: Semaphore,
}

/// The parts of a gateway that outlive a reload.
#[derive(Debug)]
pub struct Lasting {
    pub metrics: Arc<Metrics>,
    pub audit: Option<Arc<Audit>>,
    /// Cancelled when the gateway begins to stop.
    pub closing: Arc<CancellationToken>,
    /// Cancelled when the end is announced, a while before.
    pub leaving: CancellationToken,
    /// The memory that large results take together, until their clients have them.
    pub results: MemoryBudget,
    /// What replicas share.
    pub store: Option<Arc<SharedStore>>,
    /// The gateway itself among them.
    pub replica: Arc<Replica>,
    /// What they say of themselves.
    pub replicas: Option<Arc<Replicas>>,
}

impl Gateway {
    /// `call_timeout` bounds calls to servers whose entry has no `timeout` of its own.
    pub fn new(
        catalog_builder: Arc<CatalogBuilder>,
        call_timeout: Duration,
        configuration: Arc<Configuration>,
        limits: Arc<Limits>,
        lasting: Lasting,
    ) -> Self {
        let scrape = Semaphore::new(1);
        Self { catalog_builder, call_timeout, configuration, limits, lasting, scrape }
    }

    /// The memory of large results, until their clients have them.
    pub fn results(&self) -> &MemoryBudget {
        &self.lasting.results
    }

    pub fn catalog_builder(&self) -> &Arc<CatalogBuilder> {
        &self.catalog_builder
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// A permit for a call of `caller`, held until the call ends. Surfaces take it before they read the arguments, and name
    /// the `server` of the call where they know it.
    ///
    /// # Errors
    ///
    /// [`Limited`].
    pub async fn admit(&self, caller: &Caller, server: Option<&str>) -> Result<Permit, Limited> {
        self.counted(self.limits.admit(caller, server).await)
    }

    /// Permits a call to `server`, with `permit` if the caller has one already.
    pub(super) async fn admitted(
        &self,
        context: &CallContext,
        server: &ServerName,
        permit: Option<Permit>,
    ) -> Result<Permit, Limited> {
        let mut permit = match permit {
            Some(permit) => permit,
            None => self.admit(&context.caller, Some(server.as_str())).await?,
        };
        self.counted(self.limits.admit_to(server.as_str(), &mut permit).await)?;
        Ok(permit)
    }

    pub(super) fn counted<T>(&self, admitted: Result<T, Limited>) -> Result<T, Limited> {
        admitted.inspect_err(|limited| self.metrics().http().refused(limited.code()))
    }

    pub(super) fn timeout_of(&self, upstream: &Upstream) -> Duration {
        upstream.config().timeout.unwrap_or(self.call_timeout)
    }
}
