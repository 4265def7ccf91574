//! What the answers of one session have said, so that a client whose connection broke hears the rest (2025-11-25,
//! transports, "Resumability and Redelivery").
//!
//! Each answer that is a stream has a log here. One response at a time reads it: that of the request itself, or of the
//! `GET` that goes on with it. The numbers of streams begin elsewhere in each session, so that the id of an event is
//! none in another.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderValue, header};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::session::{OpenStream, Session};
use super::stream::{BUFFERING, KEEP_ALIVE};
use crate::memory_budget::{BudgetOwner, MemoryBudget, Reservation};
use crate::protocol::media_type::EVENT_STREAM;

/// How long the work on a request goes on for nobody: the SDKs come back within about a second, twice at most.
const GRACE: Duration = Duration::from_secs(10);
/// How long an answer that is over can be heard again: longer than any client takes to come back.
const KEPT: Duration = Duration::from_secs(60);
/// When a client is to come back to a stream.
const RETRY: Duration = Duration::from_millis(500);
/// Messages of one stream that are kept; the oldest give way, mostly progress that later progress replaces.
const MOST_EVENTS: usize = 256;
/// Bytes of them. The last message is kept however long it is.
const MOST_BYTES: usize = 256 * 1024;
/// Answers of one session that are over and still kept, and the bytes of all.
const MOST_FINISHED: usize = 16;
const MOST_BYTES_OF_SESSION: usize = 1024 * 1024;

/// The logs of one session, by the numbers of their streams.
#[derive(Debug)]
pub struct Replay(Mutex<Streams>);

#[derive(Debug)]
struct Streams {
    next: u64,
    logs: BTreeMap<u64, Arc<watch::Sender<Log>>>,
}

/// What one stream has said.
#[derive(Debug, Default)]
struct Log {
    /// Numbered from `first` on; 0 is the event that says nothing.
    events: VecDeque<Arc<str>>,
    first: u64,
    bytes: usize,
    is_over: bool,
    /// The number of the response that reads, while there is one.
    reader: Option<u64>,
    readers: u64,
    /// The response is to end before the stream does: the client comes back.
    hangs_up: bool,
    /// Of a last message that is not small.
    share: Option<Reservation>,
}

/// The writing end of a stream. When it is dropped before the end, the stream is forgotten.
#[derive(Debug)]
pub struct Recording {
    session: Arc<Session>,
    number: u64,
    log: Arc<watch::Sender<Log>>,
    _open: OpenStream,
}

/// One response that reads.
#[derive(Debug)]
pub struct Reader {
    session: Arc<Session>,
    stream: u64,
    number: u64,
    next: u64,
    /// Whether the event that says nothing is still to come.
    primes: bool,
    log: Arc<watch::Sender<Log>>,
    changes: watch::Receiver<Log>,
    _open: OpenStream,
}

/// What is next for a reader.
enum Next {
    Event(u64, Arc<str>),
    Nothing,
    End,
}

impl Replay {
    /// The first stream has the number `first`.
    pub fn new(first: u64) -> Self {
        Self(Mutex::new(Streams { next: first, logs: BTreeMap::new() }))
    }

    /// Opens a stream of `session`, whose log this is, and its first response.
    pub fn open(session: &Arc<Session>) -> (Recording, Reader) {
        let log = Arc::new(watch::Sender::new(Log { first: 1, ..Log::default() }));
        let number = {
            let mut streams = session.replay().lock();
            let number = streams.next;
            streams.next += 1;
            streams.logs.insert(number, log.clone());
            number
        };
        let reader = Reader::new(session, number, 1, &log, session.is_primed());
        (Recording { session: session.clone(), number, log, _open: session.stream() }, reader)
    }

    /// Goes on after the event `id`, if it is one of this session's and still known.
    pub fn resume(session: &Arc<Session>, id: &str) -> Option<Reader> {
        let (number, event) = id.split_once('-')?;
        let (number, event): (u64, u64) = (number.parse().ok()?, event.parse().ok()?);
        let log = session.replay().lock().logs.get(&number)?.clone();
        let is_said = event < log.borrow().next();
        is_said.then(|| Reader::new(session, number, event + 1, &log, false))
    }

    fn forget(&self, number: u64) {
        self.lock().logs.remove(&number);
    }

    /// Lets go of the oldest answers that are over and that nobody reads, while there are too many; never of the newest.
    fn trim(&self) {
        let mut streams = self.lock();
        let mut bytes: usize = streams.logs.values().map(|log| log.borrow().bytes).sum();
        let sizes = streams.logs.iter().map(|(number, log)| (*number, log.borrow()));
        let over: Vec<_> =
            sizes.filter(|(_, log)| log.is_rest()).map(|(number, log)| (number, log.bytes)).collect();
        for (passed, (number, size)) in over.iter().enumerate().take(over.len().saturating_sub(1)) {
            if over.len() - passed <= MOST_FINISHED && bytes <= MOST_BYTES_OF_SESSION {
                break;
            }
            streams.logs.remove(number);
            bytes -= size;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn push(&mut self, text: Arc<str>) {
        self.bytes += text.len();
        self.events.push_back(text);
        while self.events.len() > MOST_EVENTS || (self.bytes > MOST_BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.len();
            self.first += 1;
        }
    }

    /// The number that the next message gets.
    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    /// Whether it is over and nobody reads it.
    fn is_rest(&self) -> bool {
        self.is_over && self.reader.is_none()
    }

    /// What a reader that wants the message `wanted` gets.
    fn after(&self, reader: u64, wanted: u64) -> Next {
        if self.reader != Some(reader) {
            return Next::End;
        }
        let at = wanted.max(self.first);
        let event = usize::try_from(at - self.first).ok().and_then(|index| self.events.get(index));
        match event {
            Some(text) => Next::Event(at, text.clone()),
            None if self.is_over || self.hangs_up => Next::End,
            None => Next::Nothing,
        }
    }
}

impl Recording {
    pub fn push(&self, text: String) {
        self.log.send_modify(|log| log.push(text.into()));
    }

    /// Keeps the share of the last message for as long as that is kept.
    pub fn hold(&self, share: Reservation) {
        self.log.send_modify(|log| log.share = Some(share));
    }

    /// Ends the response that reads, but not the stream.
    pub fn hang_up(&self) {
        self.log.send_modify(|log| log.hangs_up = true);
    }

    /// Waits until the client has been away for too long; once its session has ended, or the gateway is `closing`, it
    /// does not come back.
    pub async fn abandoned(&self, closing: &CancellationToken) {
        let mut changes = self.log.subscribe();
        loop {
            // The sender lives as long as this does, so that neither fails.
            let _left = changes.wait_for(|log| log.reader.is_none()).await.is_ok();
            let back = async { changes.wait_for(|log| log.reader.is_some()).await.is_ok() };
            tokio::select! {
                _is_back = back => {}
                () = tokio::time::sleep(GRACE) => return,
                () = self.session.ended().cancelled() => return,
                () = closing.cancelled() => return,
            }
        }
    }

    /// The stream ends with this message. It is kept for a while, if there is room to spare among the `results`; one without
    /// a last message has nothing to come back to.
    pub async fn finish(
        self,
        last: Option<String>,
        results: Option<&(MemoryBudget, BudgetOwner)>,
        closing: &CancellationToken,
    ) {
        let Some(last) = last else { return };
        let mut bytes = 0;
        self.log.send_modify(|log| {
            // A large last message has its share already.
            let counted = if log.share.is_some() { last.len() } else { 0 };
            log.push(last.into());
            log.is_over = true;
            bytes = log.bytes - counted;
        });
        let kept = results.map(|(room, owner)| room.reserve_spare(owner, bytes));
        if let Some(None) = kept {
            // The response that reads it has it to its end.
            return self.session.replay().forget(self.number);
        }
        self.session.replay().trim();
        let (session, ended, number) =
            (Arc::downgrade(&self.session), self.session.ended().clone(), self.number);
        drop(self);
        tokio::select! {
            () = tokio::time::sleep(KEPT) => {}
            () = ended.cancelled() => {}
            () = closing.cancelled() => {}
        }
        if let Some(session) = session.upgrade() {
            session.replay().forget(number);
        }
        drop(kept);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.log.borrow().is_over {
            self.session.replay().forget(self.number);
            self.log.send_modify(|log| log.is_over = true);
        }
    }
}

impl Reader {
    fn new(
        session: &Arc<Session>,
        stream: u64,
        next: u64,
        log: &Arc<watch::Sender<Log>>,
        primes: bool,
    ) -> Self {
        let mut number = 0;
        log.send_modify(|log| {
            log.readers += 1;
            log.hangs_up = false;
            number = log.readers;
            log.reader = Some(number);
        });
        let (session, open) = (session.clone(), session.stream());
        Self {
            session,
            stream,
            number,
            next,
            primes,
            changes: log.subscribe(),
            log: log.clone(),
            _open: open,
        }
    }

    /// The response that reads. (axum's own events cannot have data that is empty.)
    pub fn respond(self) -> Response {
        let events = stream::unfold(self, async |mut reader| {
            let event = reader.next().await?;
            Some((Ok::<_, Infallible>(event), reader))
        });
        let mut response = Body::from_stream(events).into_response();
        for (name, value) in
            [(header::CONTENT_TYPE, EVENT_STREAM), (header::CACHE_CONTROL, "no-cache"), (BUFFERING, "no")]
        {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// The next event, as it is sent; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.primes) {
            return Some(format!("id: {}-0\nretry: {}\ndata: \n\n", self.stream, RETRY.as_millis()));
        }
        let (number, wanted) = (self.number, self.next);
        let news = self.changes.wait_for(|log| !matches!(log.after(number, wanted), Next::Nothing));
        let Ok(news) = tokio::time::timeout(KEEP_ALIVE, news).await else { return Some(":\n\n".to_owned()) };
        let next = news.ok()?.after(number, wanted);
        match next {
            Next::Event(at, text) => {
                self.next = at + 1;
                Some(format!("id: {}-{at}\nevent: message\ndata: {text}\n\n", self.stream))
            }
            Next::Nothing | Next::End => {
                // What is so long and was read to its end makes room at once.
                let makes_room = {
                    let log = self.log.borrow();
                    log.is_over && log.reader == Some(number) && log.bytes > MOST_BYTES_OF_SESSION
                };
                if makes_room {
                    self.session.replay().forget(self.stream);
                }
                None
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.log.send_if_modified(|log| {
            let was_it = log.reader == Some(self.number);
            if was_it {
                log.reader = None;
            }
            was_it
        });
    }
}

#[cfg(test)]
mod tests;
