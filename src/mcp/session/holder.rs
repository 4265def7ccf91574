//! The holder of a session.

use std::sync::Arc;

use crate::catalog::Caller;
use crate::mcp::endpoint::Endpoint;
use crate::shares::Principal;

/// The key, profile and endpoint that alone may use a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub principal: Principal,
    /// The profile that the requests ask for.
    pub profile: Option<Arc<str>>,
    /// The server of the endpoint, `None` for that of all.
    pub server: Option<Box<str>>,
}

impl Holder {
    /// The holder of the sessions that `caller` opens at `endpoint`.
    pub fn of(caller: &Caller, endpoint: &Endpoint) -> Self {
        Self {
            principal: caller.principal.clone(),
            profile: caller.profile.clone(),
            server: endpoint.server().map(Box::from),
        }
    }

    /// Whether `caller` at `endpoint` is the holder.
    pub fn is(&self, caller: &Caller, endpoint: &Endpoint) -> bool {
        self.principal == caller.principal
            && self.profile == caller.profile
            && self.server.as_deref() == endpoint.server()
    }
}
