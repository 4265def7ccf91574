//! The way out to a server: its turn, its connection, the deadline, and whether to try again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{CallContext, CallError, Gateway};
use crate::catalog::CatalogTool;
use crate::trace::TraceContext;
use crate::upstream::{Link, LinkError, NoConnection, Progress, Reply, Request, Upstream};

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// A call; `arguments` is the JSON text of an object without raw newlines, `meta` that of further members of
    /// `_meta`. A `progress` is asked for, and passed on.
    Call { tool: &'a CatalogTool, arguments: &'a [u8], meta: &'a str, progress: Option<&'a Arc<Progress>> },
    /// A request that changes nothing, such as `resources/read`; `params` as `arguments` above.
    Other { method: &'a str, params: &'a [u8] },
}

impl What<'_> {
    /// Whether doing it twice is harmless.
    fn is_idempotent(self) -> bool {
        match self {
            Self::Call { tool, .. } => tool.is_idempotent(),
            Self::Other { .. } => true,
        }
    }
}

impl Gateway {
    /// Sends `what` to `upstream` and waits for the answer. Dropping the future cancels it upstream.
    pub(super) async fn send(
        &self,
        context: &CallContext,
        upstream: &Upstream,
        what: What<'_>,
    ) -> Result<Reply, CallError> {
        let identity = upstream.identity(&context.forwarded);
        let identity = identity.as_ref();
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
            let error = match within(&*connection, what, trace.as_ref(), deadline, after).await {
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(error)) => error,
                None => return Err(late()),
            };
            // Nothing was done yet, or doing it twice is harmless: one more time, on a new connection.
            let may_repeat = match &error {
                LinkError::NotSent(_) | LinkError::SessionLost => true,
                LinkError::Lost(_) => what.is_idempotent(),
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
}

/// Makes one call; `None` when `deadline` has passed, or `after` since the last progress.
async fn within(
    link: &dyn Link,
    what: What<'_>,
    trace: Option<&TraceContext>,
    mut deadline: Instant,
    after: Duration,
) -> Option<Result<Reply, LinkError>> {
    let began = Instant::now();
    let (request, progress) = match what {
        What::Call { tool, arguments, meta, progress } => {
            let ask_progress = progress.is_some() || tool.progress.is_asked();
            let progress = ask_progress.then(|| progress.cloned().unwrap_or_default());
            (Request::CallTool { name: &tool.name, arguments, meta, ask_progress, trace }, progress)
        }
        What::Other { method, params } => (Request::Other { method, params }, None),
    };
    let mut reply = link.request(request, progress.clone());
    let mut told = false;
    let reply = loop {
        let progressed = async {
            match &progress {
                Some(progress) => progress.told().await,
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
    if let What::Call { tool, .. } = what {
        tool.progress.learn(began.elapsed(), told);
    }
    reply
}
