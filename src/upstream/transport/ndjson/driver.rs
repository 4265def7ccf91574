//! The task of a connection over lines, with all that it owns.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::OptionFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use crate::config::ServerName;
use crate::memory_budget::SMALL;
use crate::shares::Principal;
use crate::upstream::connection::{self, CloseSignal, HandshakeStep, INITIALIZE_ID, OutgoingMessage};
use crate::upstream::error::RequestError;
use crate::upstream::malformed::{FirstMalformed, Garbled, MalformedLines};
use crate::upstream::message::{self, Reply, Sorted};
use crate::upstream::message_queue::Sender;
use crate::upstream::progress::Progress;
use crate::upstream::request;
use crate::upstream::transport::intake::{Intake, MessageBounds, PATIENCE};
use crate::upstream::transport::ndjson::frames::{Frame, Frames};

/// Requests that may wait for their turn to be written.
pub(super) const QUEUE: usize = 256;

pub(super) enum Outbound {
    Send(OutgoingMessage),
    Request { id: u32, line: Vec<u8>, pending: PendingRequest },
}

pub(super) struct PendingRequest {
    pub(super) reply: oneshot::Sender<Result<Reply, RequestError>>,
    pub(super) progress: Option<Arc<Progress>>,
    pub(super) owner: Principal,
}

/// While more than this waits to be written, nothing is added: the server is not reading.
const HIGH_WATER: usize = 1 << 20;

/// After a read of this many bytes the task yields to others.
const LARGE_READ: usize = 16 << 10;

/// How long a server that has closed its input may go on answering.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long the answer may come after what seems to be the same answer, garbled: some servers log what they send.
const CORRECTED_WITHIN: Duration = Duration::from_millis(200);

/// The far end: what the connection's task owns.
pub struct LineDriver<R, W> {
    server: ServerName,
    reader: R,
    /// `None` once closed: a server reads the end of its input as the wish that it ends.
    writer: Option<W>,
    commands: mpsc::Receiver<Outbound>,
    cancels: mpsc::UnboundedReceiver<u32>,
    inbox: Sender,
    pending: BTreeMap<u32, PendingRequest>,
    /// Messages for a server that does not read. A caller that leaves takes its message with it.
    waiting: VecDeque<Outbound>,
    frames: Frames,
    intake: Intake,
    malformed: MalformedLines,
    /// Answers that were garbled, and when their requests are given up; the oldest first.
    garbled: VecDeque<(Instant, u32, Garbled)>,
    /// Whether the server was sent `initialize`, whose answer is awaited beside those of `pending`.
    is_initializing: bool,
    outgoing: BytesMut,
    /// Set when the server has closed its input: until then its last answers are awaited.
    input_refused: Option<Instant>,
    end: Arc<CloseSignal>,
}

impl<R, W> LineDriver<R, W> {
    pub(super) fn new(
        server: &ServerName,
        (reader, writer): (R, W),
        (commands, cancels): (mpsc::Receiver<Outbound>, mpsc::UnboundedReceiver<u32>),
        inbox: Sender,
        end: Arc<CloseSignal>,
        bounds: &MessageBounds,
    ) -> Self {
        Self {
            server: server.clone(),
            reader,
            writer: Some(writer),
            commands,
            cancels,
            inbox,
            pending: BTreeMap::new(),
            waiting: VecDeque::new(),
            frames: Frames::new(bounds.limit),
            intake: Intake::new(bounds),
            malformed: MalformedLines::default(),
            garbled: VecDeque::new(),
            is_initializing: false,
            outgoing: BytesMut::new(),
            input_refused: None,
            end,
        }
    }

    /// The first line of the server that was not a message.
    pub fn first_malformed(&self) -> FirstMalformed {
        self.malformed.first()
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> LineDriver<R, W> {
    /// Serves the connection until the server closes its output or an error occurs. Can be dropped and
    /// called again: what was read and not yet used stays in the connection.
    pub async fn serve(&mut self) -> io::Result<()> {
        loop {
            self.make_room().await;
            let may_take_more = self.waiting.len() < QUEUE && self.writer.is_some();
            let due = self.due();
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
                    self.take_framed();
                    // A server that floods us must not keep the worker from the other servers.
                    if read < LARGE_READ {
                        consume_budget().await;
                    } else {
                        yield_now().await;
                    }
                }
                Some(()) = OptionFuture::from(due.map(sleep_until)) => {
                    // It takes no more requests, so it is of no more use.
                    if self.input_refused.is_some_and(|until| until <= Instant::now()) {
                        return Ok(());
                    }
                    self.give_up_garbled();
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
            if let Outbound::Request { pending, .. } = command {
                let _caller_left = pending.reply.send(Err(RequestError::NotSent(reason.clone())));
            }
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            let _caller_left = pending.reply.send(Err(RequestError::Lost(reason.clone())));
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
            let is_it = |command: &Outbound| matches!(command, Outbound::Request { id: of, .. } if *of == id);
            // The server never gets it.
            self.waiting.retain(|command| !is_it(command));
        } else if self.writer.is_some() {
            self.outgoing.extend_from_slice(&request::cancelled(id));
        }
    }

    fn queue(&mut self, command: Outbound) {
        match command {
            Outbound::Send(OutgoingMessage { message, step }) => {
                self.is_initializing |= step == HandshakeStep::Initialize;
                self.outgoing.extend_from_slice(&message);
                self.outgoing.extend_from_slice(b"\n");
            }
            // The caller may have left while its request waited here; then the server never gets it.
            Outbound::Request { pending, .. } if pending.reply.is_closed() => {}
            Outbound::Request { id, line, pending } => {
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
        let owner = id.and_then(|id| Some(self.pending.get(&id)?.owner.clone())).unwrap_or_default();
        if let Err(error) = self.intake.reach(&owner, length).await {
            self.frames.give_up();
            if let Some(id) = id {
                self.answer(id, Err(error));
            }
        }
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Message(message) => match self.sorted(&message) {
                Sorted::Result { id, range } => {
                    if let Some(pending) = self.pending.remove(&id) {
                        let message = self.intake.whole(&pending.owner, message);
                        let _caller_left = pending.reply.send(Ok(Reply::Result(message.slice(range))));
                    }
                }
                Sorted::Error { id, error } => self.answer(id, Ok(Reply::Error(error))),
                Sorted::Progress { id } => {
                    if let Some(PendingRequest { progress: Some(progress), .. }) = self.pending.get(&id) {
                        progress.report(&message);
                    }
                }
                Sorted::ExitNotice(notice) => self.end.set(notice.into()),
                Sorted::Echo { id } if self.pending.contains_key(&id) => self.malformed.note_echo(),
                Sorted::NotJson => {
                    if let Some((id, garbled)) = self.malformed.take(&message) {
                        self.suspect(id, garbled);
                    }
                }
                Sorted::Other | Sorted::Echo { .. } => {
                    let open = self.pending.iter();
                    let open = open.filter_map(|(id, pending)| Some((*id, pending.progress.as_deref()?)));
                    if !Progress::beside_newest(open, &message) {
                        connection::offer(&self.server, &self.inbox, message);
                    }
                }
            },
            Frame::TooLong { ids, limit } => {
                for id in ids {
                    self.answer(id, Err(RequestError::TooLarge { limit }));
                }
            }
            Frame::OverBudget { id } => self.answer(id, Err(RequestError::OverBudget { after: PATIENCE })),
        }
        self.intake.forget();
    }

    fn sorted(&mut self, message: &[u8]) -> Sorted {
        let sorted = message::sort(message);
        if !matches!(sorted, Sorted::NotJson) {
            self.malformed.interrupt();
        }
        sorted
    }

    /// Takes a message that is framed as language servers do, which ends without a newline.
    fn take_framed(&mut self) {
        let Some((message, garbled)) = self.malformed.framed(self.frames.rest()) else { return };
        if let Some(id) = Reply::id(message) {
            self.suspect(id, garbled);
        }
    }

    /// Notes that an answer was garbled, unless nothing waits for it.
    fn suspect(&mut self, id: u32, garbled: Garbled) {
        let is_open = self.pending.contains_key(&id) || self.is_initializing && id == INITIALIZE_ID;
        if is_open && self.garbled.iter().all(|(_, other, _)| *other != id) {
            self.garbled.push_back((Instant::now() + CORRECTED_WITHIN, id, garbled));
        }
    }

    /// Fails the requests whose answers were garbled, and came in no other form.
    fn give_up_garbled(&mut self) {
        while let Some((_, id, garbled)) = self.garbled.pop_front_if(|(until, ..)| *until <= Instant::now()) {
            if id == INITIALIZE_ID {
                connection::offer(&self.server, &self.inbox, Reply::refusal(id, &garbled.to_string()));
            }
            self.answer(id, Err(RequestError::Garbled(garbled)));
        }
    }

    /// The next time at which the connection has to act by itself.
    fn due(&self) -> Option<Instant> {
        let garbled = self.garbled.front().map(|(until, ..)| *until);
        self.input_refused.into_iter().chain(garbled).min()
    }

    fn answer(&mut self, id: u32, reply: Result<Reply, RequestError>) {
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
