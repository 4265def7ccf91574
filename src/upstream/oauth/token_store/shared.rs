//! The place of one sign-in in the store that replicas share.

use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::config::ServerName;
use crate::shared_store::{HeldLock, SealedValues, StoreEvent};

/// The kind of the values, and the topic of their changes.
pub const TOKENS: &str = "tokens";

/// Whether `text` stands for a user: SHA-256 in hexadecimal. A stranger in the store could write any text.
pub(super) fn is_user(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The place of one sign-in in the store that replicas share.
pub(super) struct SharedTokens {
    pub values: Arc<SealedValues>,
    /// The server and its entry.
    pub of_server: String,
    /// The same, with the user whose sign-in it is. Names the value and its lock.
    pub name: String,
    /// The lock, while this replica holds it.
    pub held: Mutex<Option<Arc<HeldLock>>>,
}

impl SharedTokens {
    pub fn new(values: &Arc<SealedValues>, server: &ServerName, entry: &str, user: Option<&str>) -> Self {
        let of_server = format!("{server}:{entry}");
        let name = match user {
            Some(user) => format!("{of_server}:{user}"),
            None => of_server.clone(),
        };
        Self { values: values.clone(), of_server, name, held: Mutex::default() }
    }

    pub fn told(&self) -> ToldTokens {
        ToldTokens { events: self.values.store.subscribe(), of_server: self.of_server.clone() }
    }
}

/// Follows the sign-ins to one server at all replicas.
pub struct ToldTokens {
    events: broadcast::Receiver<StoreEvent>,
    of_server: String,
}

/// Which sign-in to the server may have changed.
#[derive(Debug, PartialEq, Eq)]
pub enum ToldSignIn {
    /// Any: messages may have been missed.
    Any,
    /// The one that serves all callers.
    OfAll,
    OfUser(Arc<str>),
}

impl ToldTokens {
    /// Waits for a change. Does not end once the store is closed.
    pub async fn next(&mut self) -> ToldSignIn {
        loop {
            match self.events.recv().await {
                Ok(StoreEvent::Connected) | Err(RecvError::Lagged(_)) => return ToldSignIn::Any,
                Ok(StoreEvent::Told { topic, message }) if &*topic == TOKENS => {
                    let name = String::from_utf8_lossy(&message);
                    match name.strip_prefix(&self.of_server) {
                        Some("") => return ToldSignIn::OfAll,
                        Some(rest) if rest.starts_with(':') && is_user(&rest[1..]) => {
                            return ToldSignIn::OfUser(rest[1..].into());
                        }
                        _ => {}
                    }
                }
                Ok(StoreEvent::Told { .. }) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
