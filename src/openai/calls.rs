//! Makes a model's calls, side by side, and puts the answers into their order.
//!
//! A call that fails is answered by a message with the reason, for the model; the others go on.

use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::request::Parts;

use super::OpenAi;
use super::tool_calls::{self, ToolCall};
use super::tool_messages::{ToolMessage, ToolOutput, read};
use crate::catalog::{Caller, Catalog, Scope};
use crate::compute;
use crate::config::nearest;
use crate::gateway::{CallContext, FindError, FoundCall, NamedCall, NoResult, Outcome, Permit};
use crate::http::answer::json_text;
use crate::http::{Problem, correlation, forwarded, json_answer, until_taken};
use crate::json::clip;
use crate::memory_budget::{Reservation, SMALL};
use crate::upstream::error_text::{NO_TOOL_RESULT, of_wrong_result};

/// Calls of one request that run at one time; the others wait. Results are held until all are there, so this and the
/// limit of what they take together bound the memory.
const SIDE_BY_SIDE: usize = 8;
/// A name is repeated to the model up to here, in bytes.
const NAME_LENGTH: usize = 128;
/// The owner of computations for callers without a key: a request is not of one server.
pub(super) const KEYLESS_OWNER: &str = "/v1";

impl OpenAi {
    /// Makes the calls in `body`, the first in its `permit`.
    pub(super) async fn calls(
        &self,
        head: &Parts,
        caller: &Caller,
        body: Bytes,
        permit: Permit,
    ) -> Result<Response, Problem> {
        let owner = caller.owner(KEYLESS_OWNER);
        let asked = compute::run_sized(owner, body.len(), move || tool_calls::calls(&body)).await;
        let asked = asked
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad_tool_calls", error.to_string()))?;
        let context = CallContext::new(caller.clone(), correlation::origin(head));
        let taken = AtomicUsize::new(0);
        // All are named at once, so that those that never get their permit are written down, too.
        let mut answering = Vec::with_capacity(asked.len());
        let permits = iter::once(permit).map(Some).chain(iter::repeat_with(|| None));
        for (call, permit) in asked.iter().zip(permits) {
            let named = NamedCall::new(&self.gateway, &context, ("-", &call.name), Instant::now());
            answering.push(self.answered(head, &context, call, (named, permit), &taken));
        }
        let answers: Vec<(ToolMessage, Option<Reservation>)> =
            stream::iter(answering).buffered(SIDE_BY_SIDE).collect().await;
        let (answers, _shares): (Vec<ToolMessage>, Vec<_>) = answers.into_iter().unzip();
        let size = taken.load(Ordering::Relaxed);
        let text = compute::run_sized(owner, size, move || json_text(&answers)).await?;
        let answer = json_answer(StatusCode::OK, text);
        Ok(until_taken(answer, self.gateway.results(), &caller.principal).await)
    }

    async fn answered(
        &self,
        head: &Parts,
        context: &CallContext,
        call: &ToolCall,
        (named, permit): (NamedCall<'_>, Option<Permit>),
        taken: &AtomicUsize,
    ) -> (ToolMessage, Option<Reservation>) {
        let (id, interface) = (call.id.clone(), call.interface);
        let mut output = self.output(head, context, call, (named, permit)).await;
        let limit = self.config.limits.result_bytes;
        let size = output.size();
        let fits = |taken: usize| taken.checked_add(size).filter(|sum| *sum <= limit);
        if taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            output = ToolOutput::error(format!(
                "the results of the calls of this turn are larger than {limit} bytes together, so this one is left \
                 out; ask for less, or make fewer calls at once"
            ));
        }
        // The output of a large result keeps its memory reserved until all results are there.
        let size = output.size();
        let share =
            (size > SMALL).then(|| self.gateway.results().reserve_now(&context.caller.principal, size));
        (ToolMessage { id, interface, output }, share)
    }

    async fn output(
        &self,
        head: &Parts,
        context: &CallContext,
        call: &ToolCall,
        (named, permit): (NamedCall<'_>, Option<Permit>),
    ) -> ToolOutput {
        let caller = &context.caller;
        if !call.is_function {
            named.not_found(&FindError::Tool);
            return ToolOutput::error(
                "there are no custom tools here; call one of the functions that were given".to_owned(),
            );
        }
        let target = match named.found(self.gateway.find_exposed(caller, &call.name).await) {
            Ok(target) => target,
            Err(error) => return ToolOutput::error(self.not_found(caller, &call.name, &error).await),
        };
        let entries = self.gateway.forwarding_entries(&target);
        let forwarded = forwarded(&self.keys, caller, &head.headers, &entries);
        let context = CallContext { forwarded, ..context.clone() };
        let classify = |result: Bytes| match read(&result) {
            Some(output) if output.is_error => (Outcome::TOOL_ERROR, Ok(output)),
            Some(output) => (Outcome::OK, Ok(output)),
            None => (Outcome::UNRENDERABLE, Err(of_wrong_result(NO_TOOL_RESULT, &result))),
        };
        let send = |arguments| self.gateway.call(&context, &target, arguments, permit);
        let found = FoundCall::new(&context, &target, call.arguments.clone());
        let wrong = match self.gateway.serve_call(found, send, classify).await {
            Ok(Ok(output)) => return output,
            Ok(Err(wrong)) => wrong,
            Err(NoResult::Rpc(error)) => error.message,
            Err(NoResult::Failed(error)) => error.for_models(),
        };
        ToolOutput::error(format!("{}: {wrong}", target.server.name))
    }

    async fn not_found(&self, caller: &Caller, name: &str, error: &FindError) -> String {
        let shown = clip(name, NAME_LENGTH);
        if !matches!(error, FindError::Server | FindError::Tool) {
            return format!("{shown}: {}", error.for_callers());
        }
        let catalog = self.gateway.catalog_builder().catalog().clone();
        let (scope, word) = (caller.scope.clone(), shown.to_owned());
        // Thousands of names are looked at.
        let like = compute::run(caller.owner(KEYLESS_OWNER), move || likest(&catalog, &scope, &word)).await;
        match like {
            Some(like) => format!("there is no tool `{shown}`; did you mean `{like}`?"),
            None => format!("there is no tool `{shown}`; use one of the tools that were given"),
        }
    }
}

/// The name most like `word` of a tool that `scope` shows.
fn likest(catalog: &Catalog, scope: &Scope, word: &str) -> Option<String> {
    let names = catalog.exposed_names();
    let visible = catalog.servers.iter().enumerate().flat_map(|(index, server)| {
        let tools = server.tools.iter().zip(names.of_server(index));
        tools.filter_map(move |(tool, name)| scope.allows(server, tool).then_some(&**name))
    });
    nearest(word, visible).map(str::to_owned)
}
