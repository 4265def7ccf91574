//! The running half of a connection without sessions: reads what the server sends by itself, and keeps a subscription
//! open for it (specification 2026-07-28, "Subscriptions").

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::incoming::Incoming;
use super::{Greeting, ServerInfo, Service};
use crate::config::ServerName;
use crate::protocol::notification::LIST_CHANGED;
use crate::protocol::{json_rpc, method};
use crate::upstream::hearing::Hearing;
use crate::upstream::link::Link;
use crate::upstream::message::Reply;
use crate::upstream::request::Request;
use crate::upstream::subscriptions::Subscriptions;

/// Waits between tries to subscribe again after a subscription has ended.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);
/// One that held this long was in order.
const PROVEN: Duration = Duration::from_secs(10);

/// Starts to read.
pub fn attend(greeting: Greeting<'_>, incoming: Incoming, info: ServerInfo) -> (Service, ServerInfo) {
    let listener = Listener {
        server: greeting.server.clone(),
        link: incoming.link().clone(),
        hearing: greeting.hearing.clone(),
        capabilities: info.capabilities.clone(),
        subscriptions: greeting.subscriptions,
    };
    (Service::start(incoming, async move { listener.listen().await }), info)
}

struct Listener {
    server: ServerName,
    link: Arc<dyn Link>,
    hearing: Arc<dyn Hearing>,
    capabilities: Map<String, Value>,
    subscriptions: Arc<Subscriptions>,
}

impl Listener {
    /// Keeps a subscription for everything that the server offers to tell.
    async fn listen(&self) -> std::convert::Infallible {
        let mut changed = self.subscriptions.changed();
        let mut wait = AGAIN;
        let mut is_first = true;
        loop {
            let filter = self.filter();
            if filter.is_empty() {
                changed_or_never(&mut changed).await;
                continue;
            }
            if !is_first {
                // Whatever was missed while there was no subscription.
                for method in LIST_CHANGED {
                    self.hearing.notification(method, &json_rpc::notification(method).into());
                }
            }
            is_first = false;
            let began = tokio::time::Instant::now();
            let members = format!("\"notifications\":{}", Value::Object(filter));
            let subscribed =
                self.link.request(Request::other(method::SUBSCRIPTIONS_LISTEN, members.as_bytes()), None);
            tokio::select! {
                ended = subscribed => {
                    let server = &self.server;
                    match ended {
                        Ok(Reply::Result(_)) => tracing::debug!(mcp_server = %server, "{server} ended a subscription"),
                        Ok(Reply::Error(error)) => {
                            tracing::debug!(mcp_server = %server, code = error.code, "{server} refuses subscriptions");
                            changed_or_never(&mut changed).await;
                            continue;
                        }
                        Err(error) => tracing::debug!(mcp_server = %server, %error, "{server}: a subscription broke"),
                    }
                }
                // Other resources are followed now: a new subscription takes the place of this one.
                () = changed_or_never(&mut changed) => {
                    is_first = true;
                    continue;
                }
            }
            wait = if began.elapsed() >= PROVEN { AGAIN } else { (wait * 2).min(AGAIN_LONGEST) };
            tokio::time::sleep(wait).await;
        }
    }

    fn filter(&self) -> Map<String, Value> {
        let offers = |kind: &str, what: &str| {
            self.capabilities.get(kind).and_then(|kind| kind.get(what)).and_then(Value::as_bool) == Some(true)
        };
        let mut filter = Map::new();
        for (kind, wish) in [
            ("tools", "toolsListChanged"),
            ("prompts", "promptsListChanged"),
            ("resources", "resourcesListChanged"),
        ] {
            if offers(kind, "listChanged") {
                filter.insert(wish.into(), true.into());
            }
        }
        let followed = self.subscriptions.uris();
        if !followed.is_empty() {
            filter.insert("resourceSubscriptions".into(), json!(followed));
        }
        filter
    }
}

async fn changed_or_never(changed: &mut tokio::sync::watch::Receiver<u64>) {
    if changed.changed().await.is_err() {
        std::future::pending().await
    }
}
