//! The running half of a connection without sessions: reads what the server sends by itself, and keeps a subscription
//! open for it (specification 2026-07-28, "Subscriptions").

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::ServerName;
use crate::protocol::notification::LIST_CHANGED;
use crate::protocol::{json_rpc, method};
use crate::upstream::connection::Connection;
use crate::upstream::handshake::reader::{HandshakeParams, ReaderTask, ServerReader};
use crate::upstream::info::ServerInfo;
use crate::upstream::message::Reply;
use crate::upstream::request::Request;
use crate::upstream::server_messages::MessageHandler;
use crate::upstream::subscriptions::Subscriptions;

/// Waits between tries to subscribe again after a subscription has ended.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_LONGEST: Duration = Duration::from_secs(30);
/// One that held this long was in order.
const PROVEN: Duration = Duration::from_secs(10);

/// Starts to read.
pub fn start_reader(
    params: HandshakeParams<'_>,
    reader: ServerReader,
    info: ServerInfo,
) -> (ReaderTask, ServerInfo) {
    let listener = SubscriptionListener {
        server: params.server.clone(),
        connection: reader.connection.clone(),
        handler: params.handler.clone(),
        capabilities: info.capabilities.clone(),
        subscriptions: params.subscriptions,
    };
    (ReaderTask::start(reader, async move { listener.listen().await }), info)
}

struct SubscriptionListener {
    server: ServerName,
    connection: Arc<dyn Connection>,
    handler: Arc<dyn MessageHandler>,
    capabilities: Map<String, Value>,
    subscriptions: Arc<Subscriptions>,
}

impl SubscriptionListener {
    /// Keeps a subscription to all changes that the server announces.
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
                // Changes without a subscription were missed.
                for method in LIST_CHANGED {
                    self.handler.notification(method, &json_rpc::notification(method).into());
                }
            }
            is_first = false;
            let began = tokio::time::Instant::now();
            let members = format!("\"notifications\":{}", Value::Object(filter));
            let subscribed = self
                .connection
                .request(Request::other(method::SUBSCRIPTIONS_LISTEN, members.as_bytes()), None);
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
                // The subscribed resources changed: a new subscription takes the place of this one.
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
        let announces = |kind: &str, what: &str| {
            self.capabilities.get(kind).and_then(|kind| kind.get(what)).and_then(Value::as_bool) == Some(true)
        };
        let mut filter = Map::new();
        for (kind, wish) in [
            ("tools", "toolsListChanged"),
            ("prompts", "promptsListChanged"),
            ("resources", "resourcesListChanged"),
        ] {
            if announces(kind, "listChanged") {
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
