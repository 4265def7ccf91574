//! Newline-delimited JSON-RPC over a pair of byte streams: the framing of stdio, also used on Unix sockets.
//!
//! One task owns a connection whole: the write buffer, what waits for it, the read buffer and the table of open requests. So
//! the call path takes no lock, small messages that are waiting leave in one write, and a server that does
//! not read never stops us from reading it.

pub mod driver;
pub mod frames;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::config::ServerName;
use crate::upstream::connection::{
    self, CloseSignal, Connection, HandshakeStep, Opened, OutgoingMessage, RequestIds,
};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::{CloseReason, RequestError};
use crate::upstream::malformed::FirstMalformed;
use crate::upstream::message::Reply;
use crate::upstream::progress::Progress;
use crate::upstream::request::Request;
use crate::upstream::transport::intake::MessageBounds;
use crate::upstream::transport::ndjson::driver::{LineDriver, Outbound, PendingRequest, QUEUE};

/// The near end of a connection.
struct NdjsonConnection {
    commands: mpsc::Sender<Outbound>,
    cancels: mpsc::UnboundedSender<u32>,
    ids: RequestIds,
    era: EraCache,
    malformed: FirstMalformed,
    end: Arc<CloseSignal>,
    /// Serves the connection; joined by `close`, so that no process outlives its connection.
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Opens a connection to `server`, with `bounds` on its messages; `serve` is the task of its far end.
pub fn open<R, W, F: Future<Output = ()> + Send + 'static>(
    server: &ServerName,
    (reader, writer): (R, W),
    bounds: &MessageBounds,
    serve: impl FnOnce(LineDriver<R, W>, Arc<CloseSignal>) -> F,
) -> Opened {
    let (commands, commands_in) = mpsc::channel(QUEUE);
    let (cancels, cancels_in) = mpsc::unbounded_channel();
    let (inbox, inbox_out) = connection::inbox();
    let end = Arc::new(CloseSignal::default());
    let driver =
        LineDriver::new(server, (reader, writer), (commands_in, cancels_in), inbox, end.clone(), bounds);
    let connection = NdjsonConnection {
        commands,
        cancels,
        ids: RequestIds::default(),
        era: EraCache::default(),
        malformed: driver.first_malformed(),
        end: end.clone(),
        task: Mutex::new(Some(tokio::spawn(serve(driver, end)))),
    };
    Opened { connection: Arc::new(connection), inbox: inbox_out }
}

/// Cancels the request when its caller goes away before the answer.
struct CancelGuard<'a> {
    cancels: &'a mpsc::UnboundedSender<u32>,
    id: u32,
    answered: bool,
}

impl Drop for CancelGuard<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let _connection_ended = self.cancels.send(self.id);
        }
    }
}

impl Connection for NdjsonConnection {
    fn send(&self, outgoing: OutgoingMessage) -> BoxFuture<'static, Result<(), RequestError>> {
        let commands = self.commands.clone();
        let end = self.end.clone();
        Box::pin(async move {
            let sent = commands.send(Outbound::Send(outgoing)).await;
            sent.map_err(|_| RequestError::NotSent(end.reason()))
        })
    }

    fn respond(&self, answer: Bytes) {
        let answer = OutgoingMessage { message: answer, step: HandshakeStep::Other };
        if self.commands.try_send(Outbound::Send(answer)).is_err() {
            tracing::debug!("an answer to a request of a server's own was dropped: the server does not read");
        }
    }

    fn request<'a>(
        &'a self,
        request: Request<'a>,
        progress: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, RequestError>> {
        Box::pin(async move {
            let id = self.ids.next();
            let (reply, answer) = oneshot::channel();
            let line = request.encode(id, self.era.current());
            let command = Outbound::Request {
                id,
                line,
                pending: PendingRequest { reply, progress, owner: request.meta.owner.clone() },
            };
            if self.commands.send(command).await.is_err() {
                return Err(RequestError::NotSent(self.end.wait().await));
            }
            let mut open = CancelGuard { cancels: &self.cancels, id, answered: request.meta.quiet };
            let reply = answer.await;
            open.answered = true;
            match reply {
                Ok(reply) => reply,
                Err(_connection_gone) => Err(RequestError::Lost(self.end.wait().await)),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.end.set(CloseReason::Stopping);
            if let Some(task) = self.task.lock().await.take()
                && let Err(error) = task.await
            {
                tracing::error!(%error, "the task of a connection failed");
            }
        })
    }

    fn end(&self) -> &CloseSignal {
        &self.end
    }

    fn era(&self) -> &EraCache {
        &self.era
    }

    fn first_malformed_line(&self) -> Option<String> {
        self.malformed.get().cloned()
    }
}
