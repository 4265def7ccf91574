//! Making a call of a tool that was found: its arguments checked, and sent to the server or to a tool of the gateway.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arc_swap::Guard;
use bytes::Bytes;
use memchr::memmem::Finder;

use super::builtin;
use super::context::CallContext;
use super::error::CallError;
use super::limits::Permit;
use super::outgoing::Outgoing;
use super::send::Operation;
use super::state::Gateway;
use super::target::Target;
use crate::catalog::arguments::{Checked, Limit};
use crate::catalog::{Caller, ServerSource};
use crate::config::ServerConfig;
use crate::json::{self, Members, one_line};
use crate::protocol::Era;
use crate::upstream::oauth::users::user_of;
use crate::upstream::{CloseReason, Reply, RequestError, SIGN_IN_TOOL, Unavailable, Upstream};

/// The answer to a user that is signed in.
pub const SIGNED_IN: &str = "You are signed in. List the tools again to see those of the server.";

/// A request other than a call.
#[derive(Debug, Clone)]
pub struct PassThrough<'a> {
    pub method: &'a str,
    /// The members of its `params` but `_meta`, as JSON text without braces.
    pub members: Bytes,
    /// The name or URI that it asks for.
    pub name: Option<&'a str>,
}

/// Leads the caller to sign in to `upstream`, or says that this is done.
fn sign_in(context: &CallContext, upstream: &Upstream) -> Result<Reply, CallError> {
    let link = upstream.users().and_then(|users| users.sign_in_link(&user_of(&context.caller.principal)));
    match link {
        None => Ok(Reply::Result(builtin::text_result(SIGNED_IN))),
        Some(link) => {
            let reason = Some(Arc::new(CloseReason::UserSignIn { link }));
            Err(CallError::Unavailable(Unavailable { reason, retry_after: Duration::ZERO }))
        }
    }
}

impl Gateway {
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

    /// As [`Gateway::call`], with the additions of an MCP client, which may be asked for input.
    pub(super) async fn call_checked(
        &self,
        context: &CallContext,
        target: &Target,
        arguments: Bytes,
        outgoing: Option<&Outgoing>,
        permit: Option<Permit>,
    ) -> Result<Reply, CallError> {
        let owner = context.caller.owner(target.server.name.as_str());
        let checked = target.tool.check(owner, arguments).await;
        let Checked { arguments, unvalidated } = checked.map_err(CallError::Arguments)?;
        if let Some(limit) = unvalidated {
            self.log_unvalidated(target, limit);
        }
        match &target.server.source {
            ServerSource::Gateway => {
                let tool = &target.tool.name;
                let (permit, _held) = match target.is_relay() {
                    true => (permit, None),
                    false => {
                        let permit = self.admitted(context, &target.server.name, permit).await;
                        (None, Some(permit.map_err(CallError::Limited)?))
                    }
                };
                let answer = builtin::call(self, context, tool, arguments, outgoing, permit);
                Box::pin(answer).await.map(Reply::Result)
            }
            ServerSource::Upstream(upstream) if target.is_sign_in() => sign_in(context, upstream),
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
    /// For clients that speak the server's own protocol and understand its refusals; `outgoing` has their additions.
    ///
    /// # Errors
    ///
    /// As [`Gateway::call`]; [`CallError::Arguments`] for the gateway's own tools, and for arguments that do not fit into a
    /// header where the server requires one.
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
            ServerSource::Upstream(upstream) if target.is_sign_in() => sign_in(context, upstream),
            ServerSource::Upstream(upstream) => {
                let arguments = one_line(arguments);
                let what = Operation::Call { tool: &target.tool, arguments: &arguments };
                self.send(context, upstream, what, outgoing, permit).await
            }
        }
    }

    /// Whether `name` is the tool that led the caller to sign in to `server`, which is done.
    ///
    /// Among the tools of all servers it `is_exposed` under a name of its own.
    pub fn has_signed_in(&self, caller: &Caller, server: &str, name: &str, is_exposed: bool) -> bool {
        let catalog = self.catalog_builder.catalog();
        let Some(server) = catalog.visible_server(&caller.scope, server) else { return false };
        let exposed = || self.catalog_builder.namespace().exposed_names(&server.name, [SIGN_IN_TOOL]);
        let is_it = if is_exposed { exposed() == [name] } else { name == SIGN_IN_TOOL };
        let users = server.upstream().and_then(|upstream| upstream.users()).filter(|_| is_it);
        users.is_some_and(|users| users.is_signed_in(&user_of(&caller.principal)))
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
            ServerSource::Upstream(upstream) => {
                let config = upstream.config();
                let wants_any = config.forwarding.is_some() || config.exchanges_tokens();
                if wants_any { vec![of(upstream)] } else { Vec::new() }
            }
            ServerSource::Gateway => {
                let catalog = self.catalog_builder.catalog();
                catalog.servers.iter().filter_map(|server| server.upstream()).map(of).collect()
            }
        }
    }

    /// Logs, once for each tool and limit, that the server alone checks the arguments.
    fn log_unvalidated(&self, target: &Target, limit: Limit) {
        let (server, tool) = (target.server.name.as_str(), &*target.tool.name);
        self.metrics().server(server).passed_on_unvalidated(limit.code());
        tracing::warn!(
            mcp_server = server,
            mcp_tool = tool,
            limit = limit.code(),
            "{server}/{} is called without local validation, and its server alone judges the arguments: {}",
            tool.escape_debug(),
            limit.reason()
        );
    }
}

/// Whether the result is an interim `input_required` (2026-07-28, "Multi Round-Trip Requests").
pub fn asks_for_input(result: &[u8]) -> bool {
    // Hardly any result needs to be looked through.
    static KIND: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"input_required\""));
    KIND.find(result).is_some()
        && json::read::<Members<'_>>(result)
            .is_ok_and(|members| members.read::<String>("resultType").as_deref() == Some("input_required"))
}
