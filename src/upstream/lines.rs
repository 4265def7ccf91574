//! Newline-delimited JSON-RPC over a pair of byte streams: the framing of stdio, also used on Unix sockets.
//!
//! One task owns a connection whole: the write buffer, what waits for it, the read buffer and the table of open requests. So
//! the call path takes no lock, small messages that are waiting leave in one write, and a server that does
//! not read never stops us from reading it.

mod connection;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::era_cache::EraCache;
use super::error::{EndReason, LinkError};
use super::intake::Bounds;
use super::link::{self, End, Ids, Link, Outgoing, Step};
use super::message::Reply;
use super::messages::Receiver;
use super::progress::Progress;
use super::request::Request;
use super::stray::FirstStray;
use crate::config::ServerName;
use crate::room::Owner;
pub use connection::Connection;

/// Requests that may wait for their turn to be written.
const QUEUE: usize = 256;

/// The near end of a connection.
pub struct Lines {
    commands: mpsc::Sender<Command>,
    cancels: mpsc::UnboundedSender<u32>,
    ids: Ids,
    era: EraCache,
    stray: FirstStray,
    end: Arc<End>,
}

enum Command {
    Send(Outgoing),
    Request { id: u32, line: Vec<u8>, pending: Pending },
}

struct Pending {
    reply: oneshot::Sender<Result<Reply, LinkError>>,
    progress: Option<Arc<Progress>>,
    owner: Owner,
}

/// What the near end wants of the far one.
struct Wishes {
    commands: mpsc::Receiver<Command>,
    cancels: mpsc::UnboundedReceiver<u32>,
}

/// Makes both ends of a connection to `server`, whose messages have these `bounds`.
pub fn connect<R, W>(
    server: &ServerName,
    reader: R,
    writer: W,
    bounds: &Bounds,
) -> (Lines, Connection<R, W>, Receiver) {
    let (commands, commands_in) = mpsc::channel(QUEUE);
    let (cancels, cancels_in) = mpsc::unbounded_channel();
    let (inbox, inbox_out) = link::inbox();
    let end = Arc::new(End::default());
    let wishes = Wishes { commands: commands_in, cancels: cancels_in };
    let connection = Connection::new(server, (reader, writer), wishes, inbox, end.clone(), bounds);
    let stray = connection.first_stray();
    let lines = Lines { commands, cancels, ids: Ids::default(), era: EraCache::default(), stray, end };
    (lines, connection, inbox_out)
}

/// Cancels the request when its caller goes away before the answer.
struct Open<'a> {
    cancels: &'a mpsc::UnboundedSender<u32>,
    id: u32,
    answered: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let _connection_ended = self.cancels.send(self.id);
        }
    }
}

impl Lines {
    /// The end of this connection, for the task that serves it.
    pub fn end_handle(&self) -> Arc<End> {
        self.end.clone()
    }
}

impl Link for Lines {
    fn send(&self, outgoing: Outgoing) -> BoxFuture<'static, Result<(), LinkError>> {
        let commands = self.commands.clone();
        let end = self.end.clone();
        Box::pin(async move {
            let sent = commands.send(Command::Send(outgoing)).await;
            sent.map_err(|_| LinkError::NotSent(end.reason()))
        })
    }

    fn tell(&self, answer: Bytes) {
        let answer = Outgoing { message: answer, step: Step::Other };
        if self.commands.try_send(Command::Send(answer)).is_err() {
            tracing::debug!("an answer to a request of a server's own was dropped: the server does not read");
        }
    }

    fn request<'a>(
        &'a self,
        request: Request<'a>,
        progress: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, LinkError>> {
        Box::pin(async move {
            let id = self.ids.next();
            let (reply, answer) = oneshot::channel();
            let line = request.encode(id, self.era.current());
            let command = Command::Request {
                id,
                line,
                pending: Pending { reply, progress, owner: request.meta.owner.cloned() },
            };
            if self.commands.send(command).await.is_err() {
                return Err(LinkError::NotSent(self.end.wait().await));
            }
            let mut open = Open { cancels: &self.cancels, id, answered: request.meta.quiet };
            let reply = answer.await;
            open.answered = true;
            match reply {
                Ok(reply) => reply,
                Err(_connection_gone) => Err(LinkError::Lost(self.end.wait().await)),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.end.set(EndReason::Stopping);
        Box::pin(async {})
    }

    fn end(&self) -> &End {
        &self.end
    }

    fn era(&self) -> &EraCache {
        &self.era
    }

    fn stray_words(&self) -> Option<String> {
        self.stray.words()
    }
}
