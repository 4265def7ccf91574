//! Reads messages that a server sends by itself, and handles, answers or refuses each, also before the handshake
//! ends.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::config::ServerName;
use crate::protocol::error_code::{INTERNAL_ERROR, METHOD_NOT_FOUND};
use crate::protocol::{json_rpc, method};
use crate::upstream::connection::{Connection, Opened};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::CloseReason;
use crate::upstream::message::Reply;
use crate::upstream::message_queue::Receiver;
use crate::upstream::server_messages::{self, Handled, MessageHandler};
use crate::upstream::subscriptions::Subscriptions;

/// The parameters of one handshake.
pub struct HandshakeParams<'a> {
    pub server: &'a ServerName,
    /// The revision that the entry pins.
    pub pin: Option<&'a str>,
    pub era: &'a EraCache,
    /// Whether requests and answers share one channel, so that their order has a meaning.
    pub is_ordered: bool,
    pub handler: Arc<dyn MessageHandler>,
    /// The JSON text of what the client behind the connection is capable of.
    pub capabilities: &'a str,
    /// The resources that the connection's callers have subscribed to.
    pub subscriptions: Arc<Subscriptions>,
}

/// Reads the messages of one connection that answer no [`Connection::request`].
pub struct ServerReader {
    pub(super) connection: Arc<dyn Connection>,
    handler: Arc<dyn MessageHandler>,
    inbox: Receiver,
    /// Whether the client behind the connection can be asked during its requests.
    is_askable: bool,
}

impl ServerReader {
    pub fn new(params: &HandshakeParams<'_>, opened: Opened) -> Self {
        Self {
            connection: opened.connection,
            handler: params.handler.clone(),
            inbox: opened.inbox,
            is_askable: params.capabilities != "{}",
        }
    }

    /// The answer to the message `id`. An error without an id counts as the answer, too: its server could not read
    /// the request. Messages before it are handled. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// When the connection ends before.
    pub async fn answer_to(&mut self, id: u32) -> Result<Reply, CloseReason> {
        loop {
            let message = self.next_answer().await?;
            match Reply::read(&message) {
                Some((Some(of), answer)) if of == id => return Ok(answer),
                Some((None, refusal @ Reply::Error(_))) => return Ok(refusal),
                _ => {}
            }
        }
    }

    /// Waits for an error that does not say what it answers. Never ends without one.
    pub async fn refusal(&mut self) {
        while let Ok(message) = self.next_answer().await {
            if let Some((None, Reply::Error(_))) = Reply::read(&message) {
                return;
            }
        }
        std::future::pending().await
    }

    /// Deals with all that comes until the connection ends.
    pub async fn read_on(&mut self) {
        while self.next_answer().await.is_ok() {}
    }

    async fn next_answer(&mut self) -> Result<Bytes, CloseReason> {
        loop {
            let message = tokio::select! {
                message = self.inbox.recv() => message,
                reason = self.connection.end().wait() => return Err(reason),
            };
            let Some(message) = message else {
                // The connection's task is gone; what it found out comes with the end.
                return Err(self.connection.end().wait().await);
            };
            match server_messages::handle(&*self.handler, &self.connection, &message) {
                Handled::Whole => {}
                Handled::Answer => return Ok(message),
                Handled::Request { id, method } => self.answer(&id, &method),
            }
        }
    }

    /// Answers a request that no client can be asked now.
    fn answer(&self, id: &str, method: &str) {
        let outcome = match method {
            // Any result would be taken for the client's own, and kept.
            _ if self.is_askable && method::OF_SERVERS.contains(&method) => {
                json_rpc::error(INTERNAL_ERROR, "the client has no request open, so it cannot be asked now")
            }
            method::PING => r#""result":{}"#.to_owned(),
            method::ROOTS_LIST => r#""result":{"roots":[]}"#.to_owned(),
            method::ELICITATION_CREATE => r#""result":{"action":"decline"}"#.to_owned(),
            // A server that writes back what it reads: a refusal would come back, too.
            method::INITIALIZE => return,
            _ => json_rpc::error(METHOD_NOT_FOUND, &format!("Method not found: {method}")),
        };
        self.connection.respond(json_rpc::answer(id, outcome).into());
    }
}

/// The task that reads the server messages of one connection.
#[derive(Debug)]
pub struct ReaderTask(JoinHandle<()>);

impl ReaderTask {
    /// Reads on, with `beside` running beside it, until it is cancelled or the connection ends.
    pub(super) fn start(
        mut reader: ServerReader,
        beside: impl Future<Output = Infallible> + Send + 'static,
    ) -> Self {
        Self(tokio::spawn(async move {
            tokio::select! {
                () = reader.read_on() => {}
                never = beside => match never {},
            }
        }))
    }

    /// Ends the task and waits for its end. A panic of it is logged.
    pub async fn cancel(self, server: &ServerName) {
        self.0.abort();
        if let Err(error) = self.0.await
            && error.is_panic()
        {
            tracing::error!(mcp_server = %server, %error, "the task of a connection failed");
        }
    }
}
