//! The one call path of all faces: find the tool, check the arguments, wait for the server, call, and
//! write one line about it.
//!
//! Knows neither HTTP nor JSON-RPC faces of ours: failures are [`CallError`], and each face says what they
//! mean in its own terms.

pub mod builtin;
mod client_catalog;
pub mod configuration;
pub mod context;
mod deadline;
pub mod error;
mod find;
pub mod limits;
mod metrics;
mod outcome;
pub mod outgoing;
pub mod record;
mod send;
mod serve;
pub mod status;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::Guard;
use bytes::Bytes;
use memchr::memmem::Finder;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use configuration::Configuration;
pub use context::CallContext;
pub use error::{CallError, FindError};
pub use limits::{EarlyPermit, Limited, Limits, Permit};
pub use outcome::Outcome;
pub use outgoing::{Client, Outgoing};
pub use record::{GivenUp, NamedCall};
pub use serve::{CallFailure, FoundCall, NoResult};

use crate::catalog::arguments::{Checked, Limit};
use crate::catalog::{Caller, CatalogBuilder, CatalogServer, CatalogTool, ServerSource};
use crate::config::{ServerConfig, ServerName};
use crate::json::one_line;
use crate::memory_budget::MemoryBudget;
use crate::metrics::Metrics;
use crate::protocol::Era;
use crate::telemetry::audit::Audit;
use crate::upstream::{Reply, RequestError, Upstream};
use send::Operation;

/// The gateway proper. One for each configuration at work, shared by the faces.
#[derive(Debug)]
pub struct Gateway {
    catalog_builder: Arc<CatalogBuilder>,
    call_timeout: Duration,
    configuration: Arc<Configuration>,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
    audit: Option<Arc<Audit>>,
    /// Cancelled when the gateway begins to stop.
    closing: Arc<CancellationToken>,
    results: MemoryBudget,
    /// One text of metrics is written at a time.
    scrape: Semaphore,
}

/// The parts of a gateway that outlive a reload.
#[derive(Debug)]
pub struct Lasting {
    pub metrics: Arc<Metrics>,
    pub audit: Option<Arc<Audit>>,
    /// Cancelled when the gateway begins to stop.
    pub closing: Arc<CancellationToken>,
    /// The memory that large results take together, until their clients have them.
    pub results: MemoryBudget,
}

/// A tool that was found and that the caller may call. Cheap to make: two reference counts.
#[derive(Debug, Clone)]
pub struct Target {
    pub server: Arc<CatalogServer>,
    pub tool: Arc<CatalogTool>,
}

impl Target {
    /// Whether the tool only relays calls, which are counted by themselves.
    pub fn is_relay(&self) -> bool {
        matches!(self.server.source, ServerSource::Gateway) && builtin::is_relay(&self.tool.name)
    }
}

/// A request other than a call.
#[derive(Debug, Clone)]
pub struct PassThrough<'a> {
    pub method: &'a str,
    /// The members of its `params` but `_meta`, as JSON text without braces.
    pub members: Bytes,
    /// The name or URI that it asks for.
    pub name: Option<&'a str>,
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
        let Lasting { metrics, audit, closing, results } = lasting;
        let scrape = Semaphore::new(1);
        Self {
            catalog_builder,
            call_timeout,
            configuration,
            metrics,
            limits,
            audit,
            closing,
            results,
            scrape,
        }
    }

    /// What large results take together, until their clients have them.
    pub fn results(&self) -> &MemoryBudget {
        &self.results
    }

    pub fn catalog_builder(&self) -> &Arc<CatalogBuilder> {
        &self.catalog_builder
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// A permit for a call of `caller`, held until the call ends. To be asked before the arguments are read.
    ///
    /// # Errors
    ///
    /// [`Limited`].
    pub fn admit(&self, caller: &Caller) -> Result<Permit, Limited> {
        self.counted(self.limits.admit(caller.key_name.as_deref()))
    }

    /// Calls `target` with the JSON text in `arguments`. Dropping the future cancels the call upstream. Without a `permit`
    /// one is taken when the call is made.
    ///
    /// # Errors
    ///
    /// [`CallError`] for everything but an answer; a tool's own failure (`isError`) is an answer.
    pub async fn call(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
        permit: Option<Permit>,
    ) -> Result<Reply, CallError> {
        let reply = self.call_checked(context, target, arguments, None, permit).await?;
        // This call declared no client capabilities, so the server must not ask for input.
        match &reply {
            Reply::Result(result) if asks_for_input(result) => {
                let why = "it asks for input that this caller cannot give".to_owned();
                Err(CallError::Link(RequestError::Malformed(why)))
            }
            _ => Ok(reply),
        }
    }

    /// As [`Gateway::call`], with what an MCP client adds; such a client may be asked for input.
    async fn call_checked(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
        outgoing: Option<&Outgoing>,
        permit: Option<Permit>,
    ) -> Result<Reply, CallError> {
        let owner = context.caller.owner(target.server.name.as_str());
        let Checked { arguments, unvalidated } = target.tool.check(owner, arguments).await?;
        if let Some(limit) = unvalidated {
            self.tell_unvalidated(target, limit);
        }
        match &target.server.source {
            ServerSource::Gateway => {
                let tool = &target.tool.name;
                let (permit, _held) = match target.is_relay() {
                    true => (permit, None),
                    false => {
                        let permit = self.admitted(context, &target.server.name, permit);
                        (None, Some(permit.map_err(CallError::Limited)?))
                    }
                };
                let answer = builtin::call(self, context, tool, arguments, outgoing, permit);
                Box::pin(answer).await.map(Reply::Result)
            }
            ServerSource::Upstream(upstream) => {
                let what = Operation::Call { tool: &target.tool, arguments: &arguments };
                let nothing = Outgoing::default();
                self.send(context, upstream, what, outgoing.unwrap_or(&nothing), permit).await
            }
        }
    }

    /// The era of the server that a call of `target` with these `arguments` reaches in the end.
    pub fn era_behind(&self, target: &Target, arguments: &[u8]) -> Era {
        let inner = || {
            let server = builtin::relayed_to(&target.tool.name, arguments)?;
            self.catalog_builder.catalog().server(&server)?.upstream().cloned()
        };
        match &target.server.source {
            ServerSource::Upstream(upstream) => upstream.era(),
            ServerSource::Gateway => inner().map_or(Era::Sessions, |upstream| upstream.era()),
        }
    }

    /// Calls `target` with arguments that only the server checks.
    ///
    /// For clients that speak the server's own protocol and understand its refusals; `outgoing` is what they add.
    ///
    /// # Errors
    ///
    /// As [`Gateway::call`]; [`CallError::Arguments`] for the gateway's own tools, and for what no header can say where the
    /// server wants to see it in one.
    pub async fn call_unchecked(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
        outgoing: &Outgoing,
        permit: Option<Permit>,
    ) -> Result<Reply, CallError> {
        match &target.server.source {
            ServerSource::Gateway => {
                Box::pin(self.call_checked(context, target, arguments, Some(outgoing), permit)).await
            }
            ServerSource::Upstream(upstream) => {
                let arguments = one_line(arguments);
                let what = Operation::Call { tool: &target.tool, arguments: &arguments };
                self.send(context, upstream, what, outgoing, permit).await
            }
        }
    }

    /// Asks `upstream` something that changes nothing, such as `resources/read`.
    ///
    /// # Errors
    ///
    /// [`CallError`] for everything but an answer.
    pub async fn ask(
        &self,
        context: &CallContext,
        upstream: &Upstream,
        question: &PassThrough<'_>,
        outgoing: &Outgoing,
        permit: Option<Permit>,
    ) -> Result<Reply, CallError> {
        let members = one_line(question.members.clone());
        let what = Operation::Other { method: question.method, members: &members, name: question.name };
        self.send(context, upstream, what, outgoing, permit).await
    }

    /// The server entries whose rules select the headers that go along with a call of `target`.
    ///
    /// That is the entry of its server; for the gateway's own tools, which may call any server, all entries.
    pub fn forwarding_entries(&self, target: &Target) -> Vec<Arc<ServerConfig>> {
        let of = |upstream: &Arc<Upstream>| Guard::into_inner(upstream.config());
        match &target.server.source {
            ServerSource::Upstream(upstream) if upstream.config().forwarding.is_none() => Vec::new(),
            ServerSource::Upstream(upstream) => vec![of(upstream)],
            ServerSource::Gateway => {
                let catalog = self.catalog_builder.catalog();
                catalog.servers.iter().filter_map(|server| server.upstream()).map(of).collect()
            }
        }
    }

    /// Logs, once for each tool and limit, that the server alone checks the arguments.
    fn tell_unvalidated(&self, target: &Target, limit: Limit) {
        let (server, tool) = (target.server.name.as_str(), &*target.tool.name);
        self.metrics.server(server).passed_on_unvalidated(limit.code());
        tracing::warn!(
            mcp_server = server,
            mcp_tool = tool,
            limit = limit.code(),
            "{server}/{} is called without local validation, and its server alone judges the arguments: {}",
            tool.escape_debug(),
            limit.reason()
        );
    }

    /// Permits a call to `server`, with `permit` if the caller has one already.
    fn admitted(
        &self,
        context: &CallContext,
        server: &ServerName,
        permit: Option<Permit>,
    ) -> Result<Permit, Limited> {
        let permit = permit.map_or_else(|| self.admit(&context.caller), Ok)?;
        self.counted(self.limits.admit_to(server.as_str()))?;
        Ok(permit)
    }

    fn counted<T>(&self, admitted: Result<T, Limited>) -> Result<T, Limited> {
        admitted.inspect_err(|limited| self.metrics.http().refused(limited.code()))
    }

    fn timeout_of(&self, upstream: &Upstream) -> Duration {
        upstream.config().timeout.unwrap_or(self.call_timeout)
    }
}

/// Whether the result is an interim `input_required` (2026-07-28, "Multi Round-Trip Requests").
pub fn asks_for_input(result: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Claims<'a> {
        #[serde(borrow)]
        result_type: Option<std::borrow::Cow<'a, str>>,
    }
    // Hardly any result needs to be looked through.
    static KIND: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"input_required\""));
    KIND.find(result).is_some()
        && serde_json::from_slice::<Claims<'_>>(result)
            .is_ok_and(|claims| claims.result_type.as_deref() == Some("input_required"))
}
