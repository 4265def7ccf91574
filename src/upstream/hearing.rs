//! Who hears what a server sends by itself: notifications, and requests to the client behind a connection.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};

use super::ToolList;
use super::changes::{Change, News, NewsFeed};
use super::link::Link;
use super::question::{Asking, Question};
use crate::config::ServerName;
use crate::protocol::{json_rpc, method, notification};

/// Hears one connection. Called on the task that reads it, so nothing here may wait.
pub trait Hearing: Send + Sync + 'static {
    /// A notification that belongs to no request of ours, whole.
    fn notification(&self, method: &str, message: &Bytes);

    /// A request of the server's.
    ///
    /// # Errors
    ///
    /// The question itself, when there is no client to ask.
    fn request(&self, question: Question) -> Result<(), Question>;

    /// The server has given up the request `id` (JSON text), which it made over `link`.
    fn withdrawn(&self, _link: &Arc<dyn Link>, _id: &str) {}
}

/// The lists that a server has said to have changed.
#[derive(Debug, Default)]
pub struct ChangedLists {
    pub tools: Notify,
    pub prompts: Notify,
    pub resources: Notify,
}

/// Hears a connection that all callers share: changes are everybody's, and nobody can be asked anything.
pub struct Shared {
    pub server: ServerName,
    pub changed: Arc<ChangedLists>,
    pub news: NewsFeed,
}

impl fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Hearing for Shared {
    fn notification(&self, method: &str, message: &Bytes) {
        let what = match method {
            notification::TOOLS_LIST_CHANGED => return self.changed.tools.notify_one(),
            notification::PROMPTS_LIST_CHANGED => return self.changed.prompts.notify_one(),
            notification::RESOURCES_LIST_CHANGED => return self.changed.resources.notify_one(),
            notification::RESOURCES_UPDATED => match updated(message) {
                Some(uri) => Change::Resource(uri),
                None => return,
            },
            _ => return,
        };
        let _nobody_follows = self.news.send(News { server: self.server.clone(), what });
    }

    fn request(&self, question: Question) -> Result<(), Question> {
        Err(question)
    }
}

fn updated(message: &[u8]) -> Option<Arc<str>> {
    #[derive(Deserialize)]
    struct Notification {
        params: Params,
    }
    #[derive(Deserialize)]
    struct Params {
        uri: Arc<str>,
    }
    serde_json::from_slice::<Notification>(message).ok().map(|notification| notification.params.uri)
}

/// Hears a connection of one client, for whoever speaks for that client at the moment.
#[derive(Default)]
pub struct Relay {
    hearing: ArcSwapOption<Arc<dyn Hearing>>,
    tools_changed: Notify,
    own_tools: ArcSwapOption<ToolList>,
    asking: watch::Sender<Asking>,
}

impl Relay {
    /// `hearing` hears the connection from now on.
    pub fn attach(&self, hearing: Arc<dyn Hearing>) {
        self.hearing.store(Some(Arc::new(hearing)));
    }

    /// What the client is asked over the connection.
    pub fn asking(&self) -> watch::Receiver<Asking> {
        self.asking.subscribe()
    }

    /// Told when the server says that its tools for this client are others now.
    pub(super) fn tools_changed(&self) -> &Notify {
        &self.tools_changed
    }

    /// What the client is offered in the place of what everybody is.
    pub fn own_tools(&self) -> Option<Arc<ToolList>> {
        self.own_tools.load_full()
    }

    pub(super) fn keep_own_tools(&self, list: Option<Arc<ToolList>>) {
        self.own_tools.store(list);
    }

    /// Tells the client that it is offered other tools now.
    pub(super) fn tell_tools_changed(&self) {
        if let Some(hearing) = &*self.hearing.load() {
            let method = notification::TOOLS_LIST_CHANGED;
            hearing.notification(method, &json_rpc::notification(method).into());
        }
    }
}

impl Hearing for Relay {
    fn notification(&self, method: &str, message: &Bytes) {
        // The client is told once it is known what has changed.
        if method == notification::TOOLS_LIST_CHANGED {
            self.tools_changed.notify_one();
        } else if let Some(hearing) = &*self.hearing.load() {
            hearing.notification(method, message);
        }
    }

    fn request(&self, question: Question) -> Result<(), Question> {
        match &*self.hearing.load() {
            Some(hearing) => hearing.request(question.counted(&self.asking)),
            None => Err(question),
        }
    }

    fn withdrawn(&self, link: &Arc<dyn Link>, id: &str) {
        if let Some(hearing) = &*self.hearing.load() {
            hearing.withdrawn(link, id);
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Relay").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// What is left to do about a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Whole,
    /// It answers something, or is no message at all.
    Answer,
    /// A request that no client can be asked wants an answer. The id is JSON text.
    Request { id: Box<str>, method: Box<str> },
}

/// Lets `hearing` hear one message that answers none of our own requests.
pub fn hear(hearing: &dyn Hearing, link: &Arc<dyn Link>, message: &Bytes) -> Heard {
    let Ok(Head { id, method: Some(method), params }) = serde_json::from_slice::<Head<'_>>(message) else {
        return Heard::Answer;
    };
    let Some(id) = id else {
        match params
            .filter(|_| method == notification::CANCELLED)
            .map(|params| serde_json::from_str(params.get()))
        {
            Some(Ok(notification::Cancelled { request_id })) => hearing.withdrawn(link, request_id.get()),
            Some(Err(_)) | None => hearing.notification(&method, message),
        }
        return Heard::Whole;
    };
    let request = || Heard::Request { id: id.get().into(), method: (&*method).into() };
    // Everything else that a server asks is between it and the gateway.
    if !method::OF_SERVERS.contains(&&*method) {
        return request();
    }
    let params = params.map_or("{}", RawValue::get);
    match hearing.request(Question::new(link.clone(), id.get(), &method, params)) {
        Ok(()) => Heard::Whole,
        Err(question) => {
            question.pass_over();
            request()
        }
    }
}
