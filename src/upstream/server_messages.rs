//! Handles messages that a server sends by itself: notifications, and requests to the client behind a connection.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};

use crate::config::ServerName;
use crate::protocol::{json_rpc, method, notification};
use crate::upstream::changes::{ChangeKind, Changes};
use crate::upstream::connection::Connection;
use crate::upstream::info::ToolList;
use crate::upstream::question::{Asking, Question};

/// Handles one connection. Called on the task that reads it, so nothing here may wait.
pub trait MessageHandler: Send + Sync + 'static {
    /// A notification that belongs to no request of ours, whole.
    fn notification(&self, method: &str, message: &Bytes);

    /// A request of the server's.
    ///
    /// # Errors
    ///
    /// The question itself, when no client can answer it.
    fn request(&self, question: Question) -> Result<(), Question>;

    /// The server has given up the request `id` (JSON text), which it made over `connection`.
    fn withdrawn(&self, _connection: &Arc<dyn Connection>, _id: &str) {}
}

/// The lists that a server has said to have changed.
#[derive(Debug, Default)]
pub struct ChangedLists {
    pub tools: Notify,
    pub prompts: Notify,
    pub resources: Notify,
}

/// Handles a connection that all callers share. Changes concern all of them, and there is no client to ask.
pub struct SharedHandler {
    pub server: ServerName,
    pub changed: Arc<ChangedLists>,
    pub changes: Arc<Changes>,
}

impl MessageHandler for SharedHandler {
    fn notification(&self, method: &str, message: &Bytes) {
        let change = match method {
            notification::TOOLS_LIST_CHANGED => return self.changed.tools.notify_one(),
            notification::PROMPTS_LIST_CHANGED => return self.changed.prompts.notify_one(),
            notification::RESOURCES_LIST_CHANGED => return self.changed.resources.notify_one(),
            notification::RESOURCES_UPDATED => match updated(message) {
                Some(uri) => ChangeKind::Resource(uri),
                None => return,
            },
            _ => return,
        };
        self.changes.announce(&self.server, change);
    }

    fn request(&self, question: Question) -> Result<(), Question> {
        Err(question)
    }
}

fn updated(message: &[u8]) -> Option<Arc<str>> {
    let message: Value = serde_json::from_slice(message).ok()?;
    message.pointer("/params/uri")?.as_str().map(Arc::from)
}

/// Handles a connection of one client, and relays to the request of that client that is open now.
#[derive(Default)]
pub struct Relay {
    handler: ArcSwapOption<Arc<dyn MessageHandler>>,
    /// Notified when the server announces other tools for this client.
    pub(super) tools_changed: Notify,
    /// The tools of this client, where they differ from the shared list.
    pub(super) own_tools: ArcSwapOption<ToolList>,
    asking: watch::Sender<Asking>,
}

impl Relay {
    /// `handler` handles the messages of the connection from now on.
    pub fn attach(&self, handler: Arc<dyn MessageHandler>) {
        self.handler.store(Some(Arc::new(handler)));
    }

    /// The questions to the client over the connection.
    pub fn asking(&self) -> watch::Receiver<Asking> {
        self.asking.subscribe()
    }

    /// The tools of this client, where they differ from the shared list.
    pub fn own_tools(&self) -> Option<Arc<ToolList>> {
        self.own_tools.load_full()
    }

    /// Notifies the client that its tools changed.
    pub(super) fn notify_tools_changed(&self) {
        if let Some(handler) = &*self.handler.load() {
            let method = notification::TOOLS_LIST_CHANGED;
            handler.notification(method, &json_rpc::notification(method).into());
        }
    }
}

impl MessageHandler for Relay {
    fn notification(&self, method: &str, message: &Bytes) {
        // The client is notified once the change is read.
        if method == notification::TOOLS_LIST_CHANGED {
            self.tools_changed.notify_one();
        } else if let Some(handler) = &*self.handler.load() {
            handler.notification(method, message);
        }
    }

    fn request(&self, question: Question) -> Result<(), Question> {
        match &*self.handler.load() {
            Some(handler) => handler.request(question.counted(&self.asking)),
            None => Err(question),
        }
    }

    fn withdrawn(&self, connection: &Arc<dyn Connection>, id: &str) {
        if let Some(handler) = &*self.handler.load() {
            handler.withdrawn(connection, id);
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Relay").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct MessageHead<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// The remaining work on a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Handled {
    /// Nothing.
    Whole,
    /// It is a response, or not a message.
    Answer,
    /// A request that no client can be asked wants an answer. The id is JSON text.
    Request { id: Box<str>, method: Box<str> },
}

/// Gives `handler` one message that answers none of our requests.
pub fn handle(handler: &dyn MessageHandler, connection: &Arc<dyn Connection>, message: &Bytes) -> Handled {
    let Ok(MessageHead { id, method: Some(method), params }) =
        serde_json::from_slice::<MessageHead<'_>>(message)
    else {
        return Handled::Answer;
    };
    let Some(id) = id else {
        match params
            .filter(|_| method == notification::CANCELLED)
            .map(|params| serde_json::from_str(params.get()))
        {
            Some(Ok(notification::Cancelled { request_id })) => {
                handler.withdrawn(connection, request_id.get())
            }
            Some(Err(_)) | None => handler.notification(&method, message),
        }
        return Handled::Whole;
    };
    let request = || Handled::Request { id: id.get().into(), method: (&*method).into() };
    // Everything else that a server asks is between it and the gateway.
    if !method::OF_SERVERS.contains(&&*method) {
        return request();
    }
    let params = params.map_or("{}", RawValue::get);
    match handler.request(Question::new(connection.clone(), id.get(), &method, params)) {
        Ok(()) => Handled::Whole,
        Err(question) => {
            question.pass_over();
            request()
        }
    }
}
