//! One request, as every method sees it.

use std::sync::Arc;
use std::time::Instant;

use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::message::Message;
use super::response::fault::Fault;
use super::session::state::Session;
use super::state::Mcp;
use crate::catalog::Caller;
use crate::config::{CallerIsolation, ServerConfig, ServerName};
use crate::gateway::{CallContext, EarlyPermit, NamedCall};
use crate::http::{correlation, forwarded};
use crate::json::member;
use crate::memory_budget::{Reservation, SMALL};
use crate::protocol::header::SESSION_ID;
use crate::protocol::method;
use crate::upstream::transport::intake;

/// A request and the configuration that it is served under.
#[derive(Debug)]
pub struct RequestContext {
    pub mcp: Arc<Mcp>,
    pub head: Parts,
    /// The message, once it was read.
    pub body: Bytes,
    pub caller: Caller,
    pub endpoint: Endpoint,
    /// The permit to call of a large body, taken before it was read.
    pub permit: EarlyPermit,
    /// The share of a large body in the memory for all, held until all work on the request is over.
    pub _share: Option<Reservation>,
}

impl RequestContext {
    /// `text` as bytes: without a copy where it is a part of the body.
    pub fn slice(&self, text: &str) -> Bytes {
        match self.body.as_ptr_range().contains(&text.as_ptr()) {
            true => self.body.slice_ref(text.as_bytes()),
            false => Bytes::copy_from_slice(text.as_bytes()),
        }
    }

    /// The session that the request names, if it is the caller's own at this endpoint.
    pub fn session(&self) -> Option<Arc<Session>> {
        let id = self.head.headers.get(SESSION_ID)?;
        let (shares, idle) = (self.mcp.shares.sessions(), self.mcp.config.limits.session_idle);
        self.mcp.shared.sessions.find(id.as_bytes(), &self.caller, &self.endpoint, shares, idle)
    }

    /// The request as the gateway and the log know it.
    pub fn call_context(&self) -> CallContext {
        let context = CallContext::new(self.caller.clone(), correlation::origin(&self.head));
        let by_session = |server: &ServerConfig| server.isolation == CallerIsolation::Session;
        if !self.mcp.config.servers.iter().any(by_session) {
            return context;
        }
        CallContext { session: self.session().map(|session| session.client.as_caller()), ..context }
    }

    /// [`Self::call_context`] with the caller's headers for any server of the endpoint.
    ///
    /// So all requests to a server go over the connection of the caller's calls. Each server gets the headers that its entry
    /// names.
    pub fn forwarding_context(&self) -> CallContext {
        let catalog = self.mcp.gateway.catalog_builder().catalog();
        let servers = self.endpoint.servers(&catalog, &self.caller);
        let entries: Vec<_> =
            servers.filter_map(|server| Some(Arc::clone(&server.upstream()?.config()))).collect();
        let forwarded = forwarded(&self.mcp.keys, &self.caller, &self.head.headers, &entries);
        CallContext { forwarded, ..self.call_context() }
    }

    /// Waits, for a few seconds at most, for the first outcome of each server of the endpoint.
    pub async fn first_outcomes(&self) {
        let concerns = |name: &ServerName| match &self.endpoint {
            Endpoint::All => self.caller.scope.allows_server(name),
            Endpoint::One(server) => name.as_str() == server,
        };
        self.mcp.gateway.catalog_builder().first_outcomes(concerns).await;
    }

    /// Reserves memory for a list among the results of all callers; a small list needs none.
    ///
    /// # Errors
    ///
    /// When there is too little memory in time.
    pub async fn reserve_for_list(&self, bytes: usize) -> Result<Option<Arc<Reservation>>, Fault> {
        if bytes <= SMALL {
            return Ok(None);
        }
        let share = self.mcp.gateway.results().reserve(&self.caller.principal, bytes);
        let share = timeout(intake::PATIENCE, share).await;
        share.map(|share| Some(Arc::new(share))).map_err(|_| Fault::no_room(intake::PATIENCE))
    }

    /// Refuses a message before it is looked at any further.
    pub fn refuse(&self, message: &Message<'_>, fault: &Fault) -> Response {
        if let Message::Request { method, params, .. } = message {
            self.note_refusal(method, params, fault);
        }
        fault.response(message.id())
    }

    /// Records the refusal of a call that names its tool, before it is looked at.
    pub fn note_refusal(&self, method: &str, params: &str, fault: &Fault) {
        if method == method::TOOLS_CALL
            && let Some(name) = member::<String>(params, "name")
        {
            let (context, outcome) = (self.call_context(), fault.outcome().name());
            let names = (self.endpoint.server().unwrap_or("-"), &*name);
            let named = NamedCall::new(&self.mcp.gateway, &context, names, Instant::now());
            named.not_made(outcome, fault.message());
        }
    }
}

/// `list`, which gives its share back when it is dropped.
pub fn kept(room: Option<Arc<Reservation>>, list: Bytes) -> Bytes {
    match room {
        Some(room) => room.held_by(list),
        None => list,
    }
}
