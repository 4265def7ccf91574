//! The additions of an MCP client to a forwarded request: params, `_meta`, progress, and a way to ask it.

use std::sync::Arc;

use crate::upstream::{ClientSide, MessageHandler, Progress};

/// The addition to one call or question. [`Outgoing::default`] adds nothing, as for callers that are no MCP clients.
#[derive(Clone, Default)]
pub struct Outgoing {
    /// Further members of `params`, as JSON text without braces and newlines.
    pub more: String,
    /// Members of `_meta`, in the same form.
    pub meta: String,
    /// Asked of the server, and passed on.
    pub progress: Option<Arc<Progress>>,
    /// The client that the server may ask for input.
    pub client: Option<Client>,
}

/// A client that a server may ask for input.
#[derive(Clone)]
pub struct Client {
    pub side: ClientSide,
    /// Handles the server's messages over the connection of this client alone.
    pub handler: Arc<dyn MessageHandler>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Outgoing").finish_non_exhaustive()
    }
}
