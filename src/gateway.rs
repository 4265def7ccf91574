//! The one call path of all faces: find the tool, check the arguments, wait for the server, call, and
//! write one line about it.
//!
//! Knows neither HTTP nor JSON-RPC faces of ours: failures are [`CallError`], and each face says what they
//! mean in its own terms.

pub mod builtin;
pub mod configuration;
pub mod context;
pub mod error;
mod find;
mod metrics;
pub mod record;
mod send;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use bytes::Bytes;
use tokio::sync::Semaphore;

pub use configuration::Configuration;
pub use context::CallContext;
pub use error::{CallError, FindError};
pub use record::{CallRecord, Outcome};

use crate::catalog::{CatalogServer, CatalogTool, Keeper, ServerSource};
use crate::config::ServerConfig;
use crate::metrics::Metrics;
use crate::upstream::{Progress, Reply, Upstream};
use send::What;

/// The gateway proper. One for each configuration at work, shared by the faces.
#[derive(Debug)]
pub struct Gateway {
    keeper: Arc<Keeper>,
    call_timeout: Duration,
    configuration: Arc<Configuration>,
    metrics: Arc<Metrics>,
    /// One text of metrics is written at a time.
    scrape: Semaphore,
}

/// A tool that was found and that the caller may call. Cheap to make: two reference counts.
#[derive(Debug, Clone)]
pub struct Target {
    pub server: Arc<CatalogServer>,
    pub tool: Arc<CatalogTool>,
}

impl Gateway {
    /// `call_timeout` bounds calls to servers whose entry has no `timeout` of its own.
    pub fn new(
        keeper: Arc<Keeper>,
        call_timeout: Duration,
        configuration: Arc<Configuration>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { keeper, call_timeout, configuration, metrics, scrape: Semaphore::new(1) }
    }

    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Calls `target` with the JSON text in `arguments`. Dropping the future cancels the call upstream.
    ///
    /// # Errors
    ///
    /// [`CallError`] for everything but an answer; a tool's own failure (`isError`) is an answer.
    pub async fn call(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
    ) -> Result<Reply, CallError> {
        let checker = target.tool.checker();
        let arguments = apart_if_large(arguments.len(), || checker.check(arguments))?;
        match &target.server.source {
            ServerSource::Gateway => {
                let answer = builtin::call(self, context, &target.tool.name, arguments);
                Box::pin(answer).await.map(Reply::Result)
            }
            ServerSource::Upstream(upstream) => {
                let what = What::Call { tool: &target.tool, arguments: &arguments, meta: "", progress: None };
                self.send(context, upstream, what).await
            }
        }
    }

    /// The same with the arguments as the caller sent them, which the server itself is to check: for callers that
    /// speak the server's own protocol and understand its own refusals. `meta` are members of `_meta` that go along, as
    /// JSON text without braces and newlines; a `progress` is asked of the server.
    ///
    /// # Errors
    ///
    /// As [`Gateway::call`]; [`CallError::Arguments`] for the gateway's own tools alone.
    pub async fn call_unchecked(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
        meta: &str,
        progress: Option<&Arc<Progress>>,
    ) -> Result<Reply, CallError> {
        match &target.server.source {
            ServerSource::Gateway => self.call(context, target, arguments).await,
            ServerSource::Upstream(upstream) => {
                let arguments = one_line(arguments);
                self.send(
                    context,
                    upstream,
                    What::Call { tool: &target.tool, arguments: &arguments, meta, progress },
                )
                .await
            }
        }
    }

    /// Asks `upstream` something that changes nothing, such as `resources/read`; `params` is the JSON text of an
    /// object.
    ///
    /// # Errors
    ///
    /// [`CallError`] for everything but an answer.
    pub async fn ask(
        &self,
        context: &CallContext,
        upstream: &Upstream,
        method: &str,
        params: Bytes,
    ) -> Result<Reply, CallError> {
        self.send(context, upstream, What::Other { method, params: &one_line(params) }).await
    }

    /// The entries whose rules say which headers go along with a call of `target`: that of its server, or for the
    /// gateway's own tools, which may call any server for the caller, those of all.
    pub fn forwarding_entries(&self, target: &Target) -> Vec<Arc<ServerConfig>> {
        let of = |upstream: &Arc<Upstream>| Guard::into_inner(upstream.config());
        match &target.server.source {
            ServerSource::Upstream(upstream) if upstream.config().forwarding.is_none() => Vec::new(),
            ServerSource::Upstream(upstream) => vec![of(upstream)],
            ServerSource::Gateway => {
                let catalog = self.keeper.catalog();
                catalog.servers.iter().filter_map(|server| server.upstream()).map(of).collect()
            }
        }
    }

    fn timeout_of(&self, upstream: &Upstream) -> Duration {
        upstream.config().timeout.unwrap_or(self.call_timeout)
    }
}

/// JSON text without raw newlines, which end a message over stdio. Where JSON allows them they mean nothing.
fn one_line(text: Bytes) -> Bytes {
    if memchr::memchr2(b'\n', b'\r', &text).is_none() {
        return text;
    }
    text.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

/// Runs `work` over `size` bytes: at once when they are few, else while other tasks go on on another thread,
/// so that a megabyte of one caller does not delay the small calls of others.
pub fn apart_if_large<T>(size: usize, work: impl FnOnce() -> T) -> T {
    const LARGE: usize = 64 << 10;
    if size < LARGE { work() } else { tokio::task::block_in_place(work) }
}
