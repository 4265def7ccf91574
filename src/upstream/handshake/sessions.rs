//! The handshake of the era of sessions and everything that is no call: rmcp speaks it, over our [`Link`].

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rmcp::ClientHandler;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientJsonRpcMessage, ClientNotification, ClientRequest,
    Implementation, JsonRpcMessage, ProtocolVersion, ServerJsonRpcMessage,
};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService, serve_client};
use rmcp::transport::Transport;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Greeting, ServerInfo};
use crate::config::ServerName;
use crate::upstream::Freshness;
use crate::upstream::error::{EndReason, LinkError, cut_words};
use crate::upstream::hearing::{self, Hearing};
use crate::upstream::link::{ANSWER_LIMIT, ANSWERS, Link, Opened, Outgoing, Step};
use crate::upstream::messages::Receiver;

/// rmcp's running half of a connection. Dropping it ends the connection.
pub type Service = RunningService<RoleClient, Handler>;

/// Initializes the connection: offers the pinned revision (the latest one with sessions without a pin) and waits for
/// what the server says of itself.
pub async fn initialize(
    greeting: &Greeting<'_>,
    opened: Opened,
) -> Result<(super::Service, ServerInfo), EndReason> {
    let link = opened.link.clone();
    let capabilities = serde_json::from_str(greeting.capabilities).unwrap_or_default();
    let handler = Handler { protocol: offered(greeting.pin), capabilities };
    let answer = Arc::new(OnceLock::new());
    let transport = LinkTransport {
        server: greeting.server.clone(),
        link: opened.link,
        inbox: opened.inbox,
        hearing: greeting.hearing.clone(),
        answer: answer.clone(),
        answers: Arc::new(Semaphore::new(ANSWERS)),
    };
    let service = serve_client(handler, transport).await;
    let service = service.map_err(|error| why(&link, error))?;
    let agreed = service.peer_info().map(|info| info.protocol_version.to_string()).unwrap_or_default();
    let said = answer.get().and_then(|answer| serde_json::from_slice::<Answer>(answer).ok());
    Ok((super::Service::Sessions(service), info(agreed, said.map(|said| said.result).unwrap_or_default())))
}

/// The answer to `initialize` as the server wrote it; rmcp's types drop what they do not know.
#[derive(Deserialize)]
struct Answer {
    result: Said,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Said {
    server_info: Map<String, Value>,
    capabilities: Map<String, Value>,
    instructions: Option<String>,
}

fn info(protocol: String, said: Said) -> ServerInfo {
    let text = |key: &str| said.server_info.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    ServerInfo {
        name: text("name"),
        version: text("version"),
        instructions: said.instructions.filter(|text| !text.is_empty()),
        protocol,
        capabilities: said.capabilities,
        implementation: said.server_info,
        freshness: Freshness::default(),
    }
}

fn offered(pin: Option<&str>) -> ProtocolVersion {
    let pinned = pin.and_then(|pin| {
        ProtocolVersion::KNOWN_VERSIONS.iter().find(|version| version.as_str() == pin).cloned()
    });
    // rmcp's own default is a revision that has no `initialize`.
    pinned.unwrap_or(ProtocolVersion::LATEST_WITH_INITIALIZE)
}

/// The reason that the connection itself gives is better than rmcp's view of it.
fn why(link: &Arc<dyn Link>, error: ClientInitializeError) -> EndReason {
    if link.end().is_set() {
        return link.end().reason();
    }
    if let ClientInitializeError::TransportError { error: transport, .. } = &error {
        match transport.error.downcast_ref::<LinkError>() {
            Some(LinkError::NotSent(reason) | LinkError::Lost(reason)) => return reason.clone(),
            Some(LinkError::Status(reason)) => return EndReason::Status(reason.clone()),
            Some(error) => {
                let (error, stderr) = (cut_words(&error.to_string()), Arc::default());
                return EndReason::Handshake { step: "initialize", error, stderr };
            }
            None => {}
        }
    }
    let error = match error {
        ClientInitializeError::JsonRpcError(error) => cut_words(&error.message),
        other => cut_words(&other.to_string()),
    };
    EndReason::Handshake { step: "initialize", error, stderr: Arc::default() }
}

/// What rmcp answers to servers. Requests to the client behind a connection are heard before they come here
/// ([`hearing`]); those that nobody can be asked get rmcp's refusal.
#[derive(Debug, Clone)]
pub struct Handler {
    protocol: ProtocolVersion,
    capabilities: ClientCapabilities,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let implementation = Implementation::new("mcpo", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(self.capabilities.clone(), implementation)
            .with_protocol_version(self.protocol.clone())
    }
}

/// rmcp's view of a link.
struct LinkTransport {
    server: ServerName,
    link: Arc<dyn Link>,
    inbox: Receiver,
    hearing: Arc<dyn Hearing>,
    /// The first message, which answers `initialize`.
    answer: Arc<OnceLock<Bytes>>,
    answers: Arc<Semaphore>,
}

impl Transport<RoleClient> for LinkTransport {
    type Error = LinkError;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let step = match &item {
            JsonRpcMessage::Request(request) => match &request.request {
                ClientRequest::InitializeRequest(_) => Step::Initialize,
                _ => Step::Other,
            },
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ClientNotification::InitializedNotification(_) => Step::Initialized,
                _ => Step::Other,
            },
            _ => Step::Other,
        };
        let link = self.link.clone();
        let place = self.answers.clone().try_acquire_owned();
        let server = self.server.clone();
        async move {
            let Ok(_place) = place else {
                tracing::debug!(mcp_server = %server, "{server}: an answer to a request of its own was dropped: too many are waiting");
                return Ok(());
            };
            let message = serde_json::to_vec(&item).map_err(|error| {
                LinkError::Malformed(format!("our own message cannot be written: {error}"))
            })?;
            let sending = link.send(Outgoing { message: message.into(), step });
            if step != Step::Other {
                return sending.await;
            }
            timeout(ANSWER_LIMIT, sending).await.unwrap_or_else(|_| {
                tracing::debug!(mcp_server = %server, "{server}: an answer to a request of its own was dropped: it was not taken in time");
                Ok(())
            })
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let message = tokio::select! {
                message = self.inbox.recv() => message,
                _ = self.link.end().wait() => return None,
            };
            let Some(message) = message else {
                // The connection's task is gone; what it found out comes with the end.
                self.link.end().wait().await;
                return None;
            };
            if hearing::hear(&*self.hearing, &self.link, &message) {
                continue;
            }
            match serde_json::from_slice(&message) {
                Ok(parsed) => {
                    if matches!(parsed, JsonRpcMessage::Response(_)) {
                        self.answer.get_or_init(|| message.clone());
                    }
                    return Some(parsed);
                }
                // The error's own text quotes what it stumbles over.
                Err(error) => {
                    let (server, bytes) = (&self.server, message.len());
                    let why = error.classify();
                    tracing::debug!(mcp_server = %server, bytes, ?why, "{server} sent what is no message; it is ignored");
                }
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.link.close().await;
        Ok(())
    }
}
