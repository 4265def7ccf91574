//! Who hears what a server sends by itself: notifications, and requests to the client behind a connection.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{Notify, watch};

use super::changes::{Change, News, NewsFeed};
use super::link::Link;
use super::question::{Asking, Question};
use crate::config::ServerName;

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
const RESOURCE_UPDATED: &str = "notifications/resources/updated";
const CANCELLED: &str = "notifications/cancelled";

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

/// Hears a connection that all callers share: changes are everybody's, and nobody can be asked anything.
pub struct Shared {
    pub server: ServerName,
    pub tools_changed: Arc<Notify>,
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
            TOOLS_CHANGED => return self.tools_changed.notify_one(),
            PROMPTS_CHANGED => Change::Prompts,
            RESOURCES_CHANGED => Change::Resources,
            RESOURCE_UPDATED => match updated(message) {
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
    tools_changed: AtomicBool,
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

    /// Whether the server has ever said that its tools for this client are others now.
    pub fn has_other_tools(&self) -> bool {
        self.tools_changed.load(Ordering::Relaxed)
    }
}

impl Hearing for Relay {
    fn notification(&self, method: &str, message: &Bytes) {
        if method == TOOLS_CHANGED {
            self.tools_changed.store(true, Ordering::Relaxed);
        }
        if let Some(hearing) = &*self.hearing.load() {
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

/// Requests that a client can be asked. Everything else that a server asks is between it and the gateway.
const ASKED: [&str; 3] = ["sampling/createMessage", "elicitation/create", "roots/list"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled<'a> {
    #[serde(borrow)]
    request_id: &'a RawValue,
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

/// Lets `hearing` hear one message that answers none of our own requests. Returns whether that was all there is to it.
pub fn hear(hearing: &dyn Hearing, link: &Arc<dyn Link>, message: &Bytes) -> bool {
    let Ok(Head { id, method: Some(method), params }) = serde_json::from_slice::<Head<'_>>(message) else {
        return false;
    };
    let Some(id) = id else {
        match params.filter(|_| method == CANCELLED).map(|params| serde_json::from_str(params.get())) {
            Some(Ok(Cancelled { request_id })) => hearing.withdrawn(link, request_id.get()),
            Some(Err(_)) | None => hearing.notification(&method, message),
        }
        return false;
    };
    if !ASKED.contains(&&*method) {
        return false;
    }
    let params = params.map_or("{}", RawValue::get);
    let heard = hearing.request(Question::new(link.clone(), id.get(), &method, params));
    // rmcp has a refusal for it.
    heard.map_err(Question::pass_over).is_ok()
}
