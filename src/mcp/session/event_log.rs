//! Event logs of one session: a client whose connection broke gets the rest of a stream (2025-11-25, transports,
//! "Resumability and Redelivery").
//!
//! Each response that is a stream has a log here. One reader at a time reads it: the response to the request itself, or
//! to the `GET` that resumes it. The numbers of streams begin elsewhere in each session, so that an event's id is unknown
//! in other sessions.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::mcp::response::sse::KEEP_ALIVE;
use crate::memory_budget::{MemoryBudget, Reservation};
use crate::shares::Principal;
use crate::sync::lock;

/// How long a request runs without a reader: the SDKs reconnect within about a second, twice at most.
const GRACE: Duration = Duration::from_secs(10);
/// How long a finished stream can be read again: longer than any client takes to reconnect.
const KEPT: Duration = Duration::from_secs(60);
/// The time after which a client reconnects to a stream.
const RETRY: Duration = Duration::from_millis(500);
/// Messages of one stream that are kept; the oldest give way, mostly progress that later progress replaces.
const MOST_EVENTS: usize = 256;
/// Bytes of the kept messages. The last message is kept however long it is.
const MOST_BYTES: usize = 256 * 1024;
/// Finished streams that one session keeps, and the bytes of all its streams.
const MOST_FINISHED: usize = 16;
const MOST_BYTES_OF_SESSION: usize = 1024 * 1024;

/// The logs of one session, by the numbers of their streams.
#[derive(Debug)]
pub struct EventLogs {
    streams: Mutex<Streams>,
    /// Cancelled with the session.
    ended: CancellationToken,
}

#[derive(Debug)]
struct Streams {
    next: u64,
    logs: BTreeMap<u64, Arc<watch::Sender<Log>>>,
}

/// The events of one stream.
#[derive(Debug, Default)]
struct Log {
    /// Numbered from `first` on; 0 is the empty event that primes the client.
    events: VecDeque<Arc<str>>,
    first: u64,
    bytes: usize,
    is_over: bool,
    /// The number of the current reader.
    reader: Option<u64>,
    readers: u64,
    /// The current response is to end before the stream does: the client comes back.
    hangs_up: bool,
    /// The share of a last message that is not small.
    share: Option<Reservation>,
}

/// The writing end of a stream. When it is dropped before the end, the stream is forgotten.
#[derive(Debug)]
pub struct LogWriter {
    logs: Arc<EventLogs>,
    number: u64,
    log: Arc<watch::Sender<Log>>,
}

/// The reading end of a stream, for one response.
#[derive(Debug)]
pub struct LogReader {
    logs: Arc<EventLogs>,
    stream: u64,
    number: u64,
    next: u64,
    /// Whether the empty event is still to come.
    primes: bool,
    log: Arc<watch::Sender<Log>>,
    changes: watch::Receiver<Log>,
}

/// The next event for a reader.
enum NextEvent {
    Event(u64, Arc<str>),
    Nothing,
    End,
}

impl EventLogs {
    /// The first stream has the number `first`; `ended` is cancelled with the session.
    pub fn new(first: u64, ended: CancellationToken) -> Arc<Self> {
        Arc::new(Self { streams: Mutex::new(Streams { next: first, logs: BTreeMap::new() }), ended })
    }

    /// Opens a stream and its first reader, which `primes` the client with an empty event.
    pub fn open(self: &Arc<Self>, primes: bool) -> (LogWriter, LogReader) {
        let log = Arc::new(watch::Sender::new(Log { first: 1, ..Log::default() }));
        let number = {
            let mut streams = lock(&self.streams);
            let number = streams.next;
            streams.next += 1;
            streams.logs.insert(number, log.clone());
            number
        };
        let reader = LogReader::new(self, number, 1, &log, primes);
        (LogWriter { logs: self.clone(), number, log }, reader)
    }

    /// Reads on after the event `id`, if it is an event of this session and still known.
    pub fn resume(self: &Arc<Self>, id: &str) -> Option<LogReader> {
        let (number, event) = id.split_once('-')?;
        let (number, event): (u64, u64) = (number.parse().ok()?, event.parse().ok()?);
        let log = lock(&self.streams).logs.get(&number)?.clone();
        let is_said = event < log.borrow().next();
        is_said.then(|| LogReader::new(self, number, event + 1, &log, false))
    }

    fn forget(&self, number: u64) {
        lock(&self.streams).logs.remove(&number);
    }

    /// Drops the oldest finished streams without a reader, while there are too many; never the newest.
    fn trim(&self) {
        let mut streams = lock(&self.streams);
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

    /// Whether the stream is over and has no reader.
    fn is_rest(&self) -> bool {
        self.is_over && self.reader.is_none()
    }

    /// The next event for a reader that wants the message `wanted`.
    fn after(&self, reader: u64, wanted: u64) -> NextEvent {
        if self.reader != Some(reader) {
            return NextEvent::End;
        }
        let at = wanted.max(self.first);
        let event = usize::try_from(at - self.first).ok().and_then(|index| self.events.get(index));
        match event {
            Some(text) => NextEvent::Event(at, text.clone()),
            None if self.is_over || self.hangs_up => NextEvent::End,
            None => NextEvent::Nothing,
        }
    }
}

impl LogWriter {
    pub fn push(&self, text: String) {
        self.log.send_modify(|log| log.push(text.into()));
    }

    /// Keeps the share of the last message as long as the message.
    pub fn hold(&self, share: Reservation) {
        self.log.send_modify(|log| log.share = Some(share));
    }

    /// Ends the current response, but not the stream.
    pub fn hang_up(&self) {
        self.log.send_modify(|log| log.hangs_up = true);
    }

    /// Waits until the client has been away for too long, or cannot come back.
    ///
    /// It cannot once its session has ended or the gateway is `closing`.
    pub async fn abandoned(&self, closing: &CancellationToken) {
        let mut changes = self.log.subscribe();
        loop {
            // The sender lives as long as the writer, so neither wait fails.
            let _left = changes.wait_for(|log| log.reader.is_none()).await.is_ok();
            let back = async { changes.wait_for(|log| log.reader.is_some()).await.is_ok() };
            tokio::select! {
                _is_back = back => {}
                () = tokio::time::sleep(GRACE) => return,
                () = self.logs.ended.cancelled() => return,
                () = closing.cancelled() => return,
            }
        }
    }

    /// Ends the stream with its last message.
    ///
    /// It is kept for a while if the `results` have memory to spare.
    ///
    /// A stream without a last message is dropped.
    pub async fn finish(
        self,
        last: Option<String>,
        results: Option<&(MemoryBudget, Principal)>,
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
            // The current reader still has the log.
            return self.logs.forget(self.number);
        }
        self.logs.trim();
        let (logs, ended, number) = (Arc::downgrade(&self.logs), self.logs.ended.clone(), self.number);
        drop(self);
        tokio::select! {
            () = tokio::time::sleep(KEPT) => {}
            () = ended.cancelled() => {}
            () = closing.cancelled() => {}
        }
        if let Some(logs) = logs.upgrade() {
            logs.forget(number);
        }
        drop(kept);
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        if !self.log.borrow().is_over {
            self.logs.forget(self.number);
            self.log.send_modify(|log| log.is_over = true);
        }
    }
}

impl LogReader {
    fn new(
        logs: &Arc<EventLogs>,
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
        Self { logs: logs.clone(), stream, number, next, primes, changes: log.subscribe(), log: log.clone() }
    }

    /// The events as they are sent; `open` is held until the last one.
    pub fn events(self, open: impl Send + 'static) -> impl Stream<Item = Result<String, Infallible>> + Send {
        stream::unfold((self, open), async |(mut reader, open)| {
            let event = reader.next().await?;
            Some((Ok(event), (reader, open)))
        })
    }

    /// The next event, as it is sent; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.primes) {
            return Some(format!("id: {}-0\nretry: {}\ndata: \n\n", self.stream, RETRY.as_millis()));
        }
        let (number, wanted) = (self.number, self.next);
        let news = self.changes.wait_for(|log| !matches!(log.after(number, wanted), NextEvent::Nothing));
        let Ok(news) = tokio::time::timeout(KEEP_ALIVE, news).await else { return Some(":\n\n".to_owned()) };
        let next = news.ok()?.after(number, wanted);
        match next {
            NextEvent::Event(at, text) => {
                self.next = at + 1;
                Some(format!("id: {}-{at}\nevent: message\ndata: {text}\n\n", self.stream))
            }
            NextEvent::Nothing | NextEvent::End => {
                // A stream of this length is dropped as soon as it was read to its end.
                let makes_room = {
                    let log = self.log.borrow();
                    log.is_over && log.reader == Some(number) && log.bytes > MOST_BYTES_OF_SESSION
                };
                if makes_room {
                    self.logs.forget(self.stream);
                }
                None
            }
        }
    }
}

impl Drop for LogReader {
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
