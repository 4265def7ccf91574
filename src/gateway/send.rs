//! Sends one request to a server: permit, connection, deadline, and whether to try again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::OptionFuture;
use http::{HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::context::CallContext;
use super::deadline::Deadline;
use super::error::CallError;
use super::limits::Permit;
use super::outgoing::Outgoing;
use super::state::Gateway;
use crate::catalog::CatalogTool;
use crate::catalog::arguments::headers::headers;
use crate::compute::{self, Owner};
use crate::protocol::error_code::HEADER_MISMATCH;
use crate::shares::Principal;
use crate::trace::TraceContext;
use crate::upstream::request::{Request, RequestKind as Asked, RequestMeta};
use crate::upstream::tools::header_params::HeaderParam;
use crate::upstream::{Asking, CallConnection, Connection, NoConnection, Reply, RequestError, Upstream};

/// The request to send.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation<'a> {
    /// A call; `arguments` is the JSON text of an object without raw newlines.
    Call { tool: &'a CatalogTool, arguments: &'a Bytes },
    /// A request that changes nothing, such as `resources/read`; `members` are those of its `params`.
    Other { method: &'a str, members: &'a [u8], name: Option<&'a str> },
}

impl Operation<'_> {
    /// Whether a second try is harmless.
    fn is_idempotent(self) -> bool {
        match self {
            Self::Call { tool, .. } => tool.is_idempotent(),
            Self::Other { .. } => true,
        }
    }

    /// The headers in which its server wants to see arguments, too.
    async fn headers(
        self,
        owner: Owner<'_>,
        link: &dyn Connection,
        params: &Arc<[HeaderParam]>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, CallError> {
        match self {
            Self::Call { arguments, .. } if !params.is_empty() && link.mirrors_arguments() => {
                let size = arguments.len();
                let (params, arguments) = (params.clone(), arguments.clone());
                let said = move || headers(&params, &arguments);
                compute::run_sized(owner, size, said).await.map_err(CallError::Arguments)
            }
            Self::Call { .. } | Self::Other { .. } => Ok(Vec::new()),
        }
    }
}

impl Gateway {
    /// Sends `what` to `upstream` and waits for the answer. Dropping the future cancels it upstream.
    pub(super) async fn send(
        &self,
        context: &CallContext,
        upstream: &Upstream,
        what: Operation<'_>,
        outgoing: &Outgoing,
        permit: Option<Permit>,
    ) -> Result<Reply, CallError> {
        let _permit = self.admitted(context, upstream.name(), permit).await.map_err(CallError::Limited)?;
        let principal = context.caller.principal.clone();
        let identity = context.identity_at(upstream);
        let identity = identity.as_ref();
        let client = outgoing.client.as_ref().map(|client| &client.side);
        let after = self.timeout_of(upstream);
        let deadline = Instant::now() + after;
        let late = || CallError::Deadline { after };
        let slots = upstream.slots();
        let _slot = timeout_at(deadline, slots.take(&principal)).await.map_err(|_| late())?;
        let owner = context.caller.owner(upstream.name().as_str());
        let trace = context.origin.trace.as_ref().map(TraceContext::child);
        let mut repeated = false;
        let mut params = match what {
            Operation::Call { tool, .. } => tool.header_params.clone(),
            Operation::Other { .. } => Arc::default(),
        };
        loop {
            let connection = match timeout_at(deadline, upstream.connection(identity, client)).await {
                Ok(Ok(connection)) => connection,
                Ok(Err(NoConnection::Unavailable(unavailable))) => {
                    return Err(CallError::Unavailable(unavailable));
                }
                Ok(Err(NoConnection::Refused(status))) => {
                    return Err(CallError::Link(RequestError::Status(status)));
                }
                Err(_) => return Err(late()),
            };
            let mut asking = None;
            if let (CallConnection::Dedicated(lease), Some(client)) = (&connection, &outgoing.client) {
                lease.relay().attach(client.handler.clone());
                asking = Some(lease.relay().asking());
            }
            let headers = what.headers(owner, &*connection, &params).await?;
            let (trace, owner) = (trace.as_ref(), &context.caller.principal);
            let sending = Sending { what, outgoing, headers: &headers, trace, after, owner };
            let error = match sending.within(&*connection, deadline, asking).await {
                Some(Ok(Reply::Error(error))) if error.code == HEADER_MISMATCH && !repeated => {
                    // The tool may have changed since its list was read; nothing was done yet.
                    let Operation::Call { tool, .. } = what else { return Ok(Reply::Error(error)) };
                    let again = Box::pin(upstream.header_params_again(&tool.name));
                    let now = timeout_at(deadline, again).await;
                    match now.map_err(|_| late())? {
                        Some(now) if *now != *params => params = now.into(),
                        _ => return Ok(Reply::Error(error)),
                    }
                    repeated = true;
                    continue;
                }
                Some(Ok(reply)) => return Ok(reply),
                Some(Err(error)) => error,
                None => return Err(late()),
            };
            // The request was not executed, or a second try is harmless: once more, on a new connection.
            let may_repeat = match &error {
                RequestError::NotSent(_) | RequestError::SessionLost { ran_nothing: true } => true,
                RequestError::Lost(_) | RequestError::SessionLost { ran_nothing: false } => {
                    what.is_idempotent()
                }
                RequestError::Status(_)
                | RequestError::TooLarge { .. }
                | RequestError::OverBudget { .. }
                | RequestError::Garbled(_)
                | RequestError::WrongAnswer(_)
                | RequestError::Malformed(_) => false,
            };
            if repeated || !may_repeat {
                return Err(CallError::Link(error));
            }
            repeated = true;
        }
    }
}

/// One request, however often it is sent.
#[derive(Clone, Copy)]
struct Sending<'a> {
    what: Operation<'a>,
    outgoing: &'a Outgoing,
    headers: &'a [(HeaderName, HeaderValue)],
    trace: Option<&'a TraceContext>,
    after: Duration,
    owner: &'a Principal,
}

impl Sending<'_> {
    /// Sends it once; `None` when it is late: after `deadline`, or its time since the last progress. The time of
    /// questions to the client (`asking`) does not count.
    async fn within(
        &self,
        link: &dyn Connection,
        deadline: Instant,
        mut asking: Option<watch::Receiver<Asking>>,
    ) -> Option<Result<Reply, RequestError>> {
        let began = Instant::now();
        let Self { what, outgoing, headers, trace, after, owner } = *self;
        let habit = matches!(what, Operation::Call { tool, .. } if tool.progress.is_asked());
        let ask_progress = habit || outgoing.progress.as_ref().is_some_and(|progress| progress.is_asked());
        let progress = outgoing.progress.clone().or_else(|| ask_progress.then(Arc::default));
        let meta = RequestMeta {
            ask_progress,
            trace,
            more: &outgoing.meta,
            capabilities: outgoing.client.as_ref().map_or("{}", |client| &client.side.capabilities),
            headers,
            quiet: false,
            owner,
        };
        let mut joined = Vec::new();
        let what = match what {
            Operation::Call { tool, arguments } => {
                Asked::CallTool { name: &tool.name, arguments, more: &outgoing.more }
            }
            Operation::Other { method, members, name } => {
                if !outgoing.more.is_empty() {
                    joined = [members, outgoing.more.as_bytes()].join(&b',');
                }
                let members = if joined.is_empty() { members } else { &joined };
                Asked::Other { method, members, name }
            }
        };
        let mut reply = link.request(Request { what, meta }, progress.clone());
        let mut has_progress = false;
        let asked_before = asking.as_ref().map(|asking| *asking.borrow()).unwrap_or_default();
        let mut deadline = Deadline::new(deadline, after, asked_before);
        let reply = loop {
            tokio::select! {
                biased;
                reply = &mut reply => break Some(reply),
                Some(()) = OptionFuture::from(progress.as_ref().map(|progress| progress.reported())) => {
                    has_progress = true;
                    deadline.extend();
                }
                Some(Ok(())) = OptionFuture::from(asking.as_mut().map(watch::Receiver::changed)) => {
                    let now = asking.as_mut().map(|asking| *asking.borrow_and_update());
                    deadline.update(now.unwrap_or_default());
                }
                () = deadline.passed() => break None,
            }
        };
        if let Operation::Call { tool, .. } = self.what {
            tool.progress.learn(began.elapsed(), has_progress);
        }
        reply
    }
}
