//! Who hears what a server sends by itself: notifications, and requests to the client behind a connection.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Notify;

use super::changes::{Change, News, NewsFeed};
use super::link::{Link, Outgoing, Step};
use crate::config::ServerName;

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const PROMPTS_CHANGED: &str = "notifications/prompts/list_changed";
const RESOURCES_CHANGED: &str = "notifications/resources/list_changed";
const RESOURCE_UPDATED: &str = "notifications/resources/updated";

/// Hears one connection. Called on the task that reads it, so nothing here may wait.
pub trait Hearing: Send + Sync + 'static {
    /// A notification that belongs to no request of ours, whole.
    fn notification(&self, method: &str, message: &Bytes);

    /// A request of the server's; `false` when there is nobody to ask, so that it is refused.
    fn request(&self, question: Question) -> bool;
}

/// A request that a server makes of the client behind its connection: sampling, elicitation, roots.
pub struct Question {
    /// The connection that the answer goes to.
    pub link: Arc<dyn Link>,
    /// The server's own id, as JSON text.
    pub id: Box<str>,
    pub method: Box<str>,
    /// The JSON text of an object.
    pub params: Bytes,
}

impl Question {
    /// Answers with `outcome`: the member `"result":...` or `"error":...`, as JSON text.
    pub async fn answer(&self, outcome: &str) {
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":{},{}}}"#, self.id, outcome.replace(['\n', '\r'], " "));
        let outgoing = Outgoing { message: message.into(), step: Step::Other };
        if let Err(error) = self.link.send(outgoing).await {
            tracing::debug!(%error, "an answer did not reach the server that asked");
        }
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Question").field("method", &self.method).finish_non_exhaustive()
    }
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

    fn request(&self, _: Question) -> bool {
        false
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
}

impl Relay {
    /// `hearing` hears the connection from now on.
    pub fn attach(&self, hearing: Arc<dyn Hearing>) {
        self.hearing.store(Some(Arc::new(hearing)));
    }

    /// Nobody hears it until the next one is attached.
    pub fn detach(&self) {
        self.hearing.store(None);
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

    fn request(&self, question: Question) -> bool {
        self.hearing.load().as_ref().is_some_and(|hearing| hearing.request(question))
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
        hearing.notification(&method, message);
        return false;
    };
    if !ASKED.contains(&&*method) {
        return false;
    }
    let params = params.map_or("{}", RawValue::get);
    hearing.request(Question {
        link: link.clone(),
        id: id.get().into(),
        method: method.as_ref().into(),
        params: Bytes::copy_from_slice(params.as_bytes()),
    })
}
