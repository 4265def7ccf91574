//! Newline-delimited JSON-RPC over a pair of byte streams: the framing of stdio, also used on Unix sockets.
//!
//! One task owns a connection whole: the write buffer, what waits for it, the read buffer and the table of open requests. So
//! the call path takes no lock, small messages that are waiting leave in one write, and a server that does
//! not read never stops us from reading it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::error::{EndReason, LinkError};
use super::frames::{Frame, Frames};
use super::intake::{Bounds, Intake, PATIENCE};
use super::link::{self, End, Ids, Link, Outgoing, Speech};
use super::message::{self, Reply, Sorted};
use super::messages::{Receiver, Sender};
use super::progress::Progress;
use super::request::{self, Request};
use crate::config::ServerName;
use crate::room::{Owner, SMALL};

/// Requests that may wait for their turn to be written.
const QUEUE: usize = 256;
/// While more than this waits to be written, nothing is added: the server is not reading.
const HIGH_WATER: usize = 1 << 20;

/// After a read of so many bytes it is the turn of others.
const LARGE_READ: usize = 16 << 10;

/// How long a server that has closed its input may go on answering.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// The near end of a connection.
pub struct Lines {
    commands: mpsc::Sender<Command>,
    cancels: mpsc::UnboundedSender<u32>,
    ids: Ids,
    speech: Speech,
    end: Arc<End>,
}

enum Command {
    Send(Bytes),
    Request { id: u32, line: Vec<u8>, pending: Pending },
}

struct Pending {
    reply: oneshot::Sender<Result<Reply, LinkError>>,
    progress: Option<Arc<Progress>>,
    owner: Owner,
}

/// The far end: what the connection's task owns.
pub struct Connection<R, W> {
    server: ServerName,
    reader: R,
    /// `None` once closed: a server reads the end of its input as the wish that it ends.
    writer: Option<W>,
    commands: mpsc::Receiver<Command>,
    cancels: mpsc::UnboundedReceiver<u32>,
    inbox: Sender,
    pending: BTreeMap<u32, Pending>,
    /// What a server that does not read leaves waiting. A caller that leaves takes its message with it.
    waiting: VecDeque<Command>,
    frames: Frames,
    intake: Intake,
    outgoing: BytesMut,
    /// Set when the server has closed its input: until then its last answers are awaited.
    input_refused: Option<Instant>,
    end: Arc<End>,
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
    let connection = Connection {
        server: server.clone(),
        reader,
        writer: Some(writer),
        commands: commands_in,
        cancels: cancels_in,
        inbox,
        pending: BTreeMap::new(),
        waiting: VecDeque::new(),
        frames: Frames::new(bounds.limit),
        intake: Intake::new(bounds),
        outgoing: BytesMut::new(),
        input_refused: None,
        end: end.clone(),
    };
    let lines = Lines { commands, cancels, ids: Ids::default(), speech: Speech::default(), end };
    (lines, connection, inbox_out)
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Connection<R, W> {
    /// Serves the connection until the server closes its output or an error occurs. Can be dropped and
    /// called again: what was read and not yet used stays in the connection.
    pub async fn serve(&mut self) -> io::Result<()> {
        loop {
            self.make_room().await;
            let may_take_more = self.waiting.len() < QUEUE && self.writer.is_some();
            let input_refused = self.input_refused;
            tokio::select! {
                written = write(&mut self.writer, &mut self.outgoing), if !self.outgoing.is_empty() => {
                    // A server that closes its input may still have answers under way: keep reading.
                    if written.is_err() {
                        self.close_writer();
                        self.input_refused.get_or_insert(Instant::now() + LAST_ANSWERS);
                    }
                    self.queue_what_waits();
                }
                read = self.reader.read_buf(self.frames.space()) => {
                    let read = read?;
                    if read == 0 {
                        return Ok(());
                    }
                    while let Some(frame) = self.frames.next_frame() {
                        self.take(frame);
                    }
                    // A server that floods us must not keep the worker from the other servers.
                    if read < LARGE_READ {
                        consume_budget().await;
                    } else {
                        yield_now().await;
                    }
                }
                // It takes no more requests, so it is of no more use.
                () = sleep_until(input_refused.unwrap_or_else(Instant::now)), if input_refused.is_some() => {
                    return Ok(());
                }
                Some(id) = self.cancels.recv() => {
                    self.cancel(id);
                }
                Some(command) = self.commands.recv(), if may_take_more => {
                    self.waiting.push_back(command);
                    while self.waiting.len() < QUEUE
                        && let Ok(command) = self.commands.try_recv()
                    {
                        self.waiting.push_back(command);
                    }
                    self.queue_what_waits();
                }
            }
        }
    }

    /// Writes what waits to be written, the last cancellations included. The caller bounds the wait for a server that does
    /// not read.
    pub async fn write_last(&mut self) {
        while let Ok(id) = self.cancels.try_recv() {
            self.cancel(id);
        }
        while !self.outgoing.is_empty() && write(&mut self.writer, &mut self.outgoing).await.is_ok() {}
    }

    /// Closes the server's input, which asks it to end.
    pub fn close_writer(&mut self) {
        self.writer = None;
        self.outgoing.clear();
    }

    /// Fails every open request with the reason of the end, which must be set. Later ones fail, too.
    pub fn fail_open_requests(&mut self) {
        let reason = self.end.reason();
        self.commands.close();
        while let Some(command) = self.waiting.pop_front().or_else(|| self.commands.try_recv().ok()) {
            if let Command::Request { pending, .. } = command {
                let _caller_left = pending.reply.send(Err(LinkError::NotSent(reason.clone())));
            }
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            let _caller_left = pending.reply.send(Err(LinkError::Lost(reason.clone())));
        }
    }

    fn queue_what_waits(&mut self) {
        while self.outgoing.len() < HIGH_WATER
            && self.writer.is_some()
            && let Some(command) = self.waiting.pop_front()
        {
            self.queue(command);
        }
    }

    fn cancel(&mut self, id: u32) {
        if self.pending.remove(&id).is_none() {
            let is_it = |command: &Command| matches!(command, Command::Request { id: of, .. } if *of == id);
            // The server never hears of it.
            self.waiting.retain(|command| !is_it(command));
        } else if self.writer.is_some() {
            self.outgoing.extend_from_slice(&request::cancelled(id));
        }
    }

    fn queue(&mut self, command: Command) {
        match command {
            Command::Send(message) => {
                self.outgoing.extend_from_slice(&message);
                self.outgoing.extend_from_slice(b"\n");
            }
            // The caller may have left while its request waited here; then the server never hears of it.
            Command::Request { pending, .. } if pending.reply.is_closed() => {}
            Command::Request { id, line, pending } => {
                self.outgoing.extend_from_slice(&line);
                self.pending.insert(id, pending);
            }
        }
    }

    /// Sees to it that there is room for the line that is being read, or gives it up.
    async fn make_room(&mut self) {
        let Some((length, id)) = self.frames.unfinished().filter(|(length, _)| *length > SMALL) else {
            return;
        };
        let owner = id.and_then(|id| self.pending.get(&id)?.owner.clone());
        if let Err(error) = self.intake.reach(&owner, length).await {
            self.frames.give_up();
            if let Some(id) = id {
                self.answer(id, Err(error));
            }
        }
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Message(message) => match message::sort(&message) {
                Sorted::Result { id, range } => {
                    if let Some(pending) = self.pending.remove(&id) {
                        let message = self.intake.whole(&pending.owner, message);
                        let _caller_left = pending.reply.send(Ok(Reply::Result(message.slice(range))));
                    }
                }
                Sorted::Error { id, error } => self.answer(id, Ok(Reply::Error(error))),
                Sorted::Progress { id } => {
                    if let Some(Pending { progress: Some(progress), .. }) = self.pending.get(&id) {
                        progress.tell(&message);
                    }
                }
                Sorted::Farewell(farewell) => self.end.set(farewell.into()),
                Sorted::Other => {
                    let open = self.pending.iter();
                    let open = open.filter_map(|(id, pending)| Some((*id, pending.progress.as_deref()?)));
                    if !Progress::beside_newest(open, &message) {
                        link::offer(&self.server, &self.inbox, message);
                    }
                }
            },
            Frame::TooLong { ids, limit } => {
                for id in ids {
                    self.answer(id, Err(LinkError::TooLarge { limit }));
                }
            }
            Frame::NoRoom { id } => self.answer(id, Err(LinkError::NoRoom { after: PATIENCE })),
        }
        self.intake.forget();
    }

    fn answer(&mut self, id: u32, reply: Result<Reply, LinkError>) {
        if let Some(pending) = self.pending.remove(&id) {
            let _caller_left = pending.reply.send(reply);
        }
    }
}

async fn write<W: AsyncWrite + Unpin>(writer: &mut Option<W>, outgoing: &mut BytesMut) -> io::Result<()> {
    match writer {
        Some(writer) => {
            writer.write_buf(outgoing).await?;
            if outgoing.is_empty() {
                writer.flush().await?;
            }
            Ok(())
        }
        None => Err(io::ErrorKind::BrokenPipe.into()),
    }
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
            let sent = commands.send(Command::Send(outgoing.message)).await;
            sent.map_err(|_| LinkError::NotSent(end.reason()))
        })
    }

    fn tell(&self, answer: Bytes) {
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
            let line = request.encode(id, self.speech.manner());
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

    fn speech(&self) -> &Speech {
        &self.speech
    }
}
