//! The handshake and everything that is no call: rmcp speaks it, over our [`Link`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rmcp::model::{
    ClientConfig, ClientJsonRpcMessage, ClientNotification, ClientRequest, Implementation, JsonRpcMessage,
    ProtocolVersion, ServerJsonRpcMessage,
};
use rmcp::service::{ClientInitializeError, NotificationContext, RoleClient, RunningService, serve_client};
use rmcp::transport::Transport;
use rmcp::{ClientHandler, model::ClientCapabilities};
use serde_json::{Map, Value};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::timeout;

use super::ServerInfo;
use super::error::{EndReason, LinkError, cut_words};
use super::link::{Link, Opened, Outgoing, Step};
use crate::config::ServerName;

/// Our answers to a server's own requests (pings, for instance) that may wait at one time; further ones are
/// dropped. Without this a server that asks and does not read would fill the memory with tasks.
const ANSWERS: usize = 64;
/// How long such an answer may wait for a server that does not take it.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// rmcp's running half of a connection. Dropping it ends the connection.
pub type Service = RunningService<RoleClient, Handler>;

/// Initializes the connection: offers `protocol` (the latest revision with sessions when `None`) and waits
/// for what the server says of itself. `changed` is told of each `tools/list_changed`.
pub async fn initialize(
    server: &ServerName,
    opened: Opened,
    protocol: Option<&str>,
    changed: Arc<Notify>,
) -> Result<(Service, ServerInfo), EndReason> {
    let link = opened.link.clone();
    let handler = Handler { server: server.clone(), protocol: offered(protocol), changed };
    let transport = LinkTransport {
        server: server.clone(),
        link: opened.link,
        inbox: opened.inbox,
        answers: Arc::new(Semaphore::new(ANSWERS)),
    };
    let service = serve_client(handler, transport).await;
    let service = service.map_err(|error| why(&link, error))?;
    let info = service.peer_info().map(|info| ServerInfo {
        name: info.server_info.as_ref().map(|server| server.name.clone()).unwrap_or_default(),
        version: info.server_info.as_ref().map(|server| server.version.clone()).unwrap_or_default(),
        instructions: info.instructions.clone().filter(|text| !text.is_empty()),
        protocol: info.protocol_version.to_string(),
        implementation: object(&info.server_info),
        capabilities: object(&info.capabilities),
    });
    Ok((service, info.unwrap_or_default()))
}

/// What rmcp's types keep of an object of the server's answer.
fn object(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
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
            _ => {}
        }
    }
    let error = match error {
        ClientInitializeError::JsonRpcError(error) => cut_words(&error.message),
        other => cut_words(&other.to_string()),
    };
    EndReason::Handshake { step: "initialize", error, stderr: Arc::default() }
}

/// What we answer to servers. Requests of theirs (sampling, roots, elicitation) get rmcp's refusal, since
/// we declare none of these capabilities.
#[derive(Debug, Clone)]
pub struct Handler {
    server: ServerName,
    protocol: ProtocolVersion,
    changed: Arc<Notify>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let implementation = Implementation::new("mcpo", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), implementation)
            .with_protocol_version(self.protocol.clone())
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.changed.notify_one();
    }

    #[expect(deprecated, reason = "servers of the revisions with sessions still log this way")]
    async fn on_logging_message(
        &self,
        params: rmcp::model::LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        // Its data is left out: it may hold arguments and results of anybody's call.
        let server = &self.server;
        tracing::debug!(mcp_server = %server, level = ?params.level, "{server} sent a log message");
    }
}

/// rmcp's view of a link.
struct LinkTransport {
    server: ServerName,
    link: Arc<dyn Link>,
    inbox: mpsc::Receiver<Bytes>,
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
            match serde_json::from_slice(&message) {
                Ok(message) => return Some(message),
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
