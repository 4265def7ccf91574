//! The one call path of all faces: find the tool, check the arguments, wait for the server, call, and
//! write one line about it.
//!
//! Knows neither HTTP nor JSON-RPC faces of ours: failures are [`CallError`], and each face says what they
//! mean in its own terms.

pub mod builtin;
pub mod configuration;
pub mod context;
pub mod error;
mod metrics;
pub mod record;
pub mod status;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

pub use configuration::Configuration;
pub use context::CallContext;
pub use error::{CallError, FindError};
pub use record::{CallRecord, Outcome};

use crate::catalog::{Caller, CatalogServer, CatalogTool, Keeper, ServerSource};
use crate::metrics::Metrics;
use crate::trace::TraceContext;
use crate::upstream::{Identity, Link, LinkError, NoConnection, Reply, Request, Upstream};

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

    /// The tool that `server` exposes as `tool`, if `caller` may see it. When the tool is not known and the
    /// server is not settled, waits for the server like a call does.
    ///
    /// # Errors
    ///
    /// [`FindError`]: no such server or tool for this caller, or the server cannot be asked now.
    pub async fn find(&self, caller: &Caller, server: &str, tool: &str) -> Result<Target, FindError> {
        let entry = self.keeper.catalog().server(server).cloned();
        let entry = entry.filter(|entry| caller.scope.allows_server(&entry.name)).ok_or(FindError::Server)?;
        if let Some(tool) = entry.tool(tool) {
            return visible(caller, &entry, tool);
        }
        let Some(upstream) = entry.upstream() else { return Err(FindError::Tool) };
        let known = entry.revision != 0;
        if known && upstream.state().is_ready() && self.is_current(upstream) {
            return Err(FindError::Tool);
        }
        let deadline = Instant::now() + self.timeout_of(upstream);
        match timeout_at(deadline, upstream.ready()).await {
            Ok(Ok(_link)) => {}
            // What its tools were is known, and this was none of them.
            Ok(Err(_)) if known => return Err(FindError::Tool),
            Ok(Err(unavailable)) => return Err(FindError::Unavailable(unavailable)),
            Err(_) => return Err(FindError::Deadline { after: self.timeout_of(upstream) }),
        }
        if let Some(list) = upstream.tools() {
            let reached = timeout_at(deadline, self.keeper.reach(upstream.name(), list.revision)).await;
            reached.map_err(|_| FindError::Deadline { after: self.timeout_of(upstream) })?;
        }
        let entry = self.keeper.catalog().server(server).cloned().ok_or(FindError::Server)?;
        let tool = entry.tool(tool).ok_or(FindError::Tool)?;
        visible(caller, &entry, tool)
    }

    fn is_current(&self, upstream: &Upstream) -> bool {
        let catalog = self.keeper.catalog();
        let built = catalog.server(upstream.name().as_str()).map_or(0, |entry| entry.revision);
        built == upstream.tools().map_or(0, |list| list.revision)
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
                let identity = upstream.identity(&context.forwarded);
                self.call_upstream(context, upstream, identity.as_ref(), &target.tool, &arguments).await
            }
        }
    }

    async fn call_upstream(
        &self,
        context: &CallContext,
        upstream: &Upstream,
        identity: Option<&Identity>,
        tool: &CatalogTool,
        arguments: &Bytes,
    ) -> Result<Reply, CallError> {
        let after = self.timeout_of(upstream);
        let deadline = Instant::now() + after;
        let late = || CallError::Deadline { after };
        let permit = timeout_at(deadline, upstream.permits().acquire_owned()).await.map_err(|_| late())?;
        let _permit = permit.expect("the semaphore is never closed");
        let trace = context.trace.as_ref().map(TraceContext::child);
        let mut repeated = false;
        loop {
            let connection = match timeout_at(deadline, upstream.connection(identity)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(NoConnection::Unavailable(unavailable))) => {
                    return Err(CallError::Unavailable(unavailable));
                }
                Ok(Err(NoConnection::Refused(status))) => {
                    return Err(CallError::Link(LinkError::Status(status)));
                }
                Err(_) => return Err(late()),
            };
            let error = match within(&*connection, tool, arguments, trace.as_ref(), deadline, after).await {
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(error)) => error,
                None => return Err(late()),
            };
            // Nothing was done yet, or doing it twice is harmless: one more time, on a new connection.
            let may_repeat = match &error {
                LinkError::NotSent(_) | LinkError::SessionLost => true,
                LinkError::Lost(_) => tool.is_idempotent(),
                LinkError::Status(_)
                | LinkError::Refused { .. }
                | LinkError::TooLarge { .. }
                | LinkError::Malformed(_) => false,
            };
            if repeated || !may_repeat {
                return Err(CallError::Link(error));
            }
            repeated = true;
        }
    }

    fn timeout_of(&self, upstream: &Upstream) -> Duration {
        upstream.config().timeout.unwrap_or(self.call_timeout)
    }
}

/// Runs `work` over `size` bytes: at once when they are few, else while other tasks go on on another thread,
/// so that a megabyte of one caller does not delay the small calls of others.
pub fn apart_if_large<T>(size: usize, work: impl FnOnce() -> T) -> T {
    const LARGE: usize = 64 << 10;
    if size < LARGE { work() } else { tokio::task::block_in_place(work) }
}

/// Makes one call; `None` when `deadline` has passed, or `after` since the last progress.
async fn within(
    link: &dyn Link,
    tool: &CatalogTool,
    arguments: &[u8],
    trace: Option<&TraceContext>,
    mut deadline: Instant,
    after: Duration,
) -> Option<Result<Reply, LinkError>> {
    let began = Instant::now();
    let ask_progress = tool.progress.is_asked();
    let progress = ask_progress.then(|| Arc::new(Notify::new()));
    let request = Request::CallTool { name: &tool.name, arguments, ask_progress, trace };
    let mut reply = link.request(request, progress.clone());
    let mut told = false;
    let reply = loop {
        let progressed = async {
            match &progress {
                Some(progress) => progress.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            reply = &mut reply => break Some(reply),
            () = progressed => {
                told = true;
                deadline = Instant::now() + after;
            }
            () = sleep_until(deadline) => break None,
        }
    };
    tool.progress.learn(began.elapsed(), told);
    reply
}

fn visible(
    caller: &Caller,
    server: &Arc<CatalogServer>,
    tool: &Arc<CatalogTool>,
) -> Result<Target, FindError> {
    match caller.scope.allows_tool(tool.read_only) {
        true => Ok(Target { server: server.clone(), tool: tool.clone() }),
        false => Err(FindError::Tool),
    }
}
