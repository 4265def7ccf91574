//! The context of one call, beside its tool and its arguments.

use crate::catalog::Caller;
use crate::trace::Origin;
use crate::upstream::{CallerHeaders, CallerSession, Identity, Upstream};

/// The caller of a request, its trace and its forwarded headers. Each surface makes one per request.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub caller: Caller,
    /// The server gets the trace of it with a span of its own.
    pub origin: Origin,
    /// The MCP session of the request; known where a server keeps sessions apart.
    pub session: Option<CallerSession>,
    /// Headers of the caller that may go along. Each server that is called for this request, the inner one of
    /// `call_tool` too, gets those that its own entry names.
    pub forwarded: CallerHeaders,
}

impl CallContext {
    /// Without headers that go along.
    pub fn new(caller: Caller, origin: Origin) -> Self {
        Self { caller, origin, session: None, forwarded: CallerHeaders::default() }
    }

    /// The identity of the call at `upstream`.
    pub fn identity_at(&self, upstream: &Upstream) -> Option<Identity> {
        upstream.identity(&self.caller.principal, self.session.as_ref(), &self.forwarded)
    }
}
