//! The one call path of all faces: find the tool, check the arguments, wait for the server, call, and
//! write one line about it.
//!
//! Knows neither HTTP nor JSON-RPC faces of ours: failures are [`CallError`], and each face says what they
//! mean in its own terms.

pub mod builtin;
pub mod configuration;
pub mod context;
mod deadline;
pub mod error;
mod find;
pub mod limits;
mod metrics;
mod offered;
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
pub use limits::{EarlyTurn, Limited, Limits, Turn};
pub use outcome::Outcome;
pub use outgoing::{Client, Outgoing};
pub use record::{GivenUp, NamedCall};
pub use serve::{CallFailure, FoundCall, NoResult};

use crate::catalog::arguments::{Checked, Limit};
use crate::catalog::{Caller, CatalogServer, CatalogTool, Keeper, ServerSource};
use crate::config::{ServerConfig, ServerName};
use crate::json::one_line;
use crate::metrics::Metrics;
use crate::protocol::Era;
use crate::room::Room;
use crate::telemetry::audit::Audit;
use crate::upstream::{Reply, RequestError, Upstream};
use send::What;

/// The gateway proper. One for each configuration at work, shared by the faces.
#[derive(Debug)]
pub struct Gateway {
    keeper: Arc<Keeper>,
    call_timeout: Duration,
    configuration: Arc<Configuration>,
    metrics: Arc<Metrics>,
    limits: Arc<Limits>,
    audit: Option<Arc<Audit>>,
    /// Cancelled when the gateway begins to stop.
    closing: Arc<CancellationToken>,
    results: Room,
    /// One text of metrics is written at a time.
    scrape: Semaphore,
}

/// What a gateway has in common with the one before it: it goes on when the configuration changes.
#[derive(Debug)]
pub struct Lasting {
    pub metrics: Arc<Metrics>,
    pub audit: Option<Arc<Audit>>,
    /// Cancelled when the gateway begins to stop.
    pub closing: Arc<CancellationToken>,
    /// What large results take together, until their clients have them.
    pub results: Room,
}

/// A tool that was found and that the caller may call. Cheap to make: two reference counts.
#[derive(Debug, Clone)]
pub struct Target {
    pub server: Arc<CatalogServer>,
    pub tool: Arc<CatalogTool>,
}

impl Target {
    /// Whether it only passes calls on, which are counted by themselves.
    pub fn is_relay(&self) -> bool {
        matches!(self.server.source, ServerSource::Gateway) && builtin::is_relay(&self.tool.name)
    }
}

/// A request other than a call.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    pub method: &'a str,
    /// The members of its `params` but `_meta`, as JSON text without braces.
    pub members: Bytes,
    /// What it asks for by name or URI.
    pub name: Option<&'a str>,
}

impl Gateway {
    /// `call_timeout` bounds calls to servers whose entry has no `timeout` of its own.
    pub fn new(
        keeper: Arc<Keeper>,
        call_timeout: Duration,
        configuration: Arc<Configuration>,
        limits: Arc<Limits>,
        lasting: Lasting,
    ) -> Self {
        let Lasting { metrics, audit, closing, results } = lasting;
        let scrape = Semaphore::new(1);
        Self { keeper, call_timeout, configuration, metrics, limits, audit, closing, results, scrape }
    }

    /// What large results take together, until their clients have them.
    pub fn results(&self) -> &Room {
        &self.results
    }

    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The caller's turn to call, which a call holds for as long as it takes. To be asked before its arguments are read.
    ///
    /// # Errors
    ///
    /// [`Limited`].
    pub fn admit(&self, caller: &Caller) -> Result<Turn, Limited> {
        self.counted(self.limits.admit(caller.key_name.as_deref()))
    }

    /// Calls `target` with the JSON text in `arguments`. Dropping the future cancels the call upstream. Without a `turn`
    /// the caller's is taken when the call is made.
    ///
    /// # Errors
    ///
    /// [`CallError`] for everything but an answer; a tool's own failure (`isError`) is an answer.
    pub async fn call(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
        turn: Option<Turn>,
    ) -> Result<Reply, CallError> {
        let reply = self.call_checked(context, target, arguments, None, turn).await?;
        // Nobody was said to be there to ask.
        match &reply {
            Reply::Result(result) if asks_for_input(result) => {
                let why = "it asks for input that this caller cannot give".to_owned();
                Err(CallError::Link(RequestError::Malformed(why)))
            }
            _ => Ok(reply),
        }
    }

    /// The same with what a caller of MCP adds, if it is one; such a caller may be asked for input.
    async fn call_checked(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
        outgoing: Option<&Outgoing>,
        turn: Option<Turn>,
    ) -> Result<Reply, CallError> {
        let owner = context.caller.owner(target.server.name.as_str());
        let Checked { arguments, unvalidated } = target.tool.check(owner, arguments).await?;
        if let Some(limit) = unvalidated {
            self.tell_unvalidated(target, limit);
        }
        match &target.server.source {
            ServerSource::Gateway => {
                let tool = &target.tool.name;
                let (turn, _held) = match target.is_relay() {
                    true => (turn, None),
                    false => {
                        let turn = self.admitted(context, &target.server.name, turn);
                        (None, Some(turn.map_err(CallError::Limited)?))
                    }
                };
                let answer = builtin::call(self, context, tool, arguments, outgoing, turn);
                Box::pin(answer).await.map(Reply::Result)
            }
            ServerSource::Upstream(upstream) => {
                let what = What::Call { tool: &target.tool, arguments: &arguments };
                let nothing = Outgoing::default();
                self.send(context, upstream, what, outgoing.unwrap_or(&nothing), turn).await
            }
        }
    }

    /// The era of the server that a call of `target` with these `arguments` reaches in the end.
    pub fn era_behind(&self, target: &Target, arguments: &[u8]) -> Era {
        let inner = || {
            let server = builtin::relayed_to(&target.tool.name, arguments)?;
            self.keeper.catalog().server(&server)?.upstream().cloned()
        };
        match &target.server.source {
            ServerSource::Upstream(upstream) => upstream.era(),
            ServerSource::Gateway => inner().map_or(Era::Sessions, |upstream| upstream.era()),
        }
    }

    /// The same with the arguments as the caller sent them, which the server itself is to check: for callers that
    /// speak the server's own protocol and understand its own refusals, with what they add.
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
        turn: Option<Turn>,
    ) -> Result<Reply, CallError> {
        match &target.server.source {
            ServerSource::Gateway => {
                Box::pin(self.call_checked(context, target, arguments, Some(outgoing), turn)).await
            }
            ServerSource::Upstream(upstream) => {
                let arguments = one_line(arguments);
                let what = What::Call { tool: &target.tool, arguments: &arguments };
                self.send(context, upstream, what, outgoing, turn).await
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
        question: &Ask<'_>,
        outgoing: &Outgoing,
        turn: Option<Turn>,
    ) -> Result<Reply, CallError> {
        let members = one_line(question.members.clone());
        let what = What::Other { method: question.method, members: &members, name: question.name };
        self.send(context, upstream, what, outgoing, turn).await
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

    /// Says once for each tool and limit that its server alone judges its arguments.
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

    /// The caller's turn with `server`, held for as long as the call takes: `turn`, if it has one already.
    fn admitted(
        &self,
        context: &CallContext,
        server: &ServerName,
        turn: Option<Turn>,
    ) -> Result<Turn, Limited> {
        let turn = turn.map_or_else(|| self.admit(&context.caller), Ok)?;
        self.counted(self.limits.admit_to(server.as_str()))?;
        Ok(turn)
    }

    fn counted<T>(&self, admitted: Result<T, Limited>) -> Result<T, Limited> {
        admitted.inspect_err(|limited| self.metrics.http().refused(limited.code()))
    }

    fn timeout_of(&self, upstream: &Upstream) -> Duration {
        upstream.config().timeout.unwrap_or(self.call_timeout)
    }
}

/// Whether a result is none yet (2026-07-28, "Multi Round-Trip Requests").
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
