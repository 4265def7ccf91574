//! One call of a tool that was found, as every surface serves it: recorded, made, and its result classified.

use bytes::Bytes;

use super::context::CallContext;
use super::error::CallError;
use super::outcome::{CallFailure, Outcome};
use super::record::{CallRecord, GivenUp};
use super::state::Gateway;
use super::target::Target;
use crate::compute;
use crate::upstream::{Reply, RpcError};

/// A call whose tool was found.
#[derive(Debug)]
pub struct FoundCall<'a> {
    pub context: &'a CallContext,
    pub target: &'a Target,
    /// As the caller sent them: the audit trail may keep a digest.
    pub arguments: Bytes,
    /// Says why the call was dropped, where something else knows.
    pub given_up: Option<&'a GivenUp>,
    /// Results below this size, in bytes, are classified on the calling thread.
    pub at_once: usize,
}

/// Why a call has no result.
#[derive(Debug)]
pub enum NoResult<E = CallError> {
    /// The server answered with a JSON-RPC error.
    Rpc(RpcError),
    Failed(E),
}

impl<'a> FoundCall<'a> {
    pub fn new(context: &'a CallContext, target: &'a Target, arguments: Bytes) -> Self {
        Self { context, target, arguments, given_up: None, at_once: compute::LARGE }
    }
}

impl Gateway {
    /// Serves one call: `send` makes it, `classify` gives its outcome and the surface's answer.
    ///
    /// Every call has one record, also when this future is dropped.
    ///
    /// # Errors
    ///
    /// [`NoResult`].
    pub async fn serve_call<T, E, Sending>(
        &self,
        call: FoundCall<'_>,
        send: impl FnOnce(Bytes) -> Sending,
        classify: impl FnOnce(Bytes) -> (Outcome, T) + Send + 'static,
    ) -> Result<T, NoResult<E>>
    where
        T: Send + 'static,
        E: CallFailure,
        Sending: Future<Output = Result<Reply, E>>,
    {
        let FoundCall { context, target, arguments, given_up, at_once } = call;
        let record = CallRecord::new(self, context, target, &arguments, given_up).await;
        match send(arguments).await {
            Ok(Reply::Result(result)) => {
                let size = result.len();
                let work = move || classify(result);
                let (outcome, answer) = if size < at_once {
                    work()
                } else {
                    compute::run(context.caller.owner(target.server.name.as_str()), work).await
                };
                record.answered(outcome, Some(size));
                Ok(answer)
            }
            Ok(Reply::Error(error)) => {
                record.answered(Outcome::RPC_ERROR, None);
                Err(NoResult::Rpc(error))
            }
            Err(error) => {
                record.failed(error.outcome(), &error.reason());
                Err(NoResult::Failed(error))
            }
        }
    }

    /// Records a call of `target` that failed before its arguments were read.
    pub fn failed_unread(&self, context: &CallContext, target: &Target, error: &CallError) {
        CallRecord::unread(self, context, target).failed(error.outcome(), &error.full());
    }
}
