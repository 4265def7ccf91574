//! Logs the stderr of a process line by line, at a rate, and keeps its last lines for a close reason.
//!
//! All processes of one server share its rate, so that its lines never displace those of other servers and of the
//! gateway. Lines above the rate are counted, and the count is logged once a second. They are read no faster than
//! [`PACE`] allows: a server that writes without end waits then, instead of keeping a processor busy.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::ServerName;
use crate::sync::lock;
use crate::telemetry::text::visible;
use crate::upstream::exit_notice::TAIL_LINES;

/// A longer line is cut, in the log and in the tail.
const LINE_LENGTH: usize = 2000;
/// So many seconds' worth of lines may come at once, as when a server starts or fails with a long trace.
const BURST: u32 = 10;
/// The mean length of lines, in bytes.
const MEAN_LENGTH: u32 = 1000;
/// Beyond this, in lines a second, there is nothing to hold back.
const FASTEST: usize = 100_000;
/// The shortest time between two log lines about skipped lines.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// Skipped bytes after which reading rests, and how long it rests.
const PACE: (usize, Duration) = (64 << 10, Duration::from_millis(4));

/// The last lines of a process. Written by one task, read when a reason is made.
#[derive(Debug, Clone, Default)]
pub struct StderrTail(Arc<Mutex<VecDeque<Vec<u8>>>>);

/// How much of a server's stderr is logged.
#[derive(Debug)]
pub struct StderrRate {
    lines_a_second: u32,
    lines: DefaultDirectRateLimiter,
    bytes: DefaultDirectRateLimiter,
}

/// The rates of all servers.
#[derive(Debug, Default)]
pub struct StderrRates(Mutex<HashMap<ServerName, Arc<StderrRate>>>);

impl StderrTail {
    fn push(&self, line: &[u8]) {
        let mut lines = lock(&self.0);
        let mut last = if lines.len() == TAIL_LINES { lines.pop_front() } else { None }.unwrap_or_default();
        last.clear();
        last.extend_from_slice(line);
        lines.push_back(last);
    }

    pub fn lines(&self) -> Arc<[String]> {
        let lines = lock(&self.0);
        lines.iter().map(|line| shown(line)).collect()
    }
}

impl StderrRate {
    pub fn new(lines_a_second: usize) -> Self {
        let lines = u32::try_from(lines_a_second.clamp(1, FASTEST)).expect("it was cut to less");
        let limiter = |a_second: u32| {
            let count = |number| NonZeroU32::new(number).expect("there is at least one a second");
            RateLimiter::direct(Quota::per_second(count(a_second)).allow_burst(count(a_second * BURST)))
        };
        Self { lines_a_second: lines, lines: limiter(lines), bytes: limiter(lines * MEAN_LENGTH) }
    }

    fn admits(&self, line: &[u8]) -> bool {
        let length = u32::try_from(line.len()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        self.lines.check().is_ok() && matches!(self.bytes.check_n(length), Ok(Ok(())))
    }
}

impl StderrRates {
    /// The rate of `server`, which goes on counting when the server is started again.
    pub fn of(&self, server: &ServerName, lines_a_second: usize) -> Arc<StderrRate> {
        let mut rates = lock(&self.0);
        let wanted = Arc::new(StderrRate::new(lines_a_second));
        let rate = rates.entry(server.clone()).or_insert_with(|| wanted.clone());
        if rate.lines_a_second != wanted.lines_a_second {
            *rate = wanted;
        }
        rate.clone()
    }
}

/// Logs what comes from `stderr` until it ends, at `rate`; `tail` sees all of it.
pub(super) async fn log(
    server: ServerName,
    stderr: impl AsyncRead + Unpin,
    rate: Arc<StderrRate>,
    tail: StderrTail,
) {
    let mut reader = BufReader::new(stderr);
    let mut line = StderrLine::default();
    let mut left_out = LeftOut::new(&server, &rate);
    loop {
        let reading = line.read(&mut reader);
        let read = match left_out.log_at {
            Some(at) => match timeout_at(at, reading).await {
                Ok(read) => read,
                Err(_) => {
                    left_out.log();
                    continue;
                }
            },
            None => reading.await,
        };
        match read {
            Ok(true) => {
                let text = line.kept.trim_ascii_end();
                if !text.is_empty() {
                    tail.push(text);
                    if rate.admits(text) {
                        tracing::info!(target: "mcpo::server", mcp_server = %server, mcp_stream = "stderr", "{server}: {}", shown(text));
                    } else {
                        left_out.add(line.length).await;
                    }
                }
                line.clear();
            }
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(mcp_server = %server, %error, "{server}: its stderr cannot be read");
                return;
            }
        }
    }
}

fn shown(line: &[u8]) -> String {
    visible(&String::from_utf8_lossy(line)).into_owned()
}

/// A line while it is read.
#[derive(Default)]
struct StderrLine {
    /// Its first [`LINE_LENGTH`] bytes.
    kept: Vec<u8>,
    length: usize,
}

impl StderrLine {
    /// Reads to the end of the line; `false` at the end of all. When it is dropped before, the next one goes on.
    async fn read(&mut self, reader: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<bool> {
        loop {
            let available = reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(self.length > 0);
            }
            let newline = memchr::memchr(b'\n', available);
            let text = &available[..newline.unwrap_or(available.len())];
            let room = LINE_LENGTH.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&text[..text.len().min(room)]);
            let used = newline.map_or(available.len(), |at| at + 1);
            self.length += used;
            reader.consume(used);
            if newline.is_some() {
                return Ok(true);
            }
        }
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.length = 0;
    }
}

/// Counts the lines above the rate. The count is logged when this is dropped, too.
struct LeftOut<'a> {
    server: &'a ServerName,
    rate: &'a StderrRate,
    lines: u64,
    bytes: usize,
    /// The bytes since reading rested.
    unrested: usize,
    log_at: Option<Instant>,
}

impl<'a> LeftOut<'a> {
    fn new(server: &'a ServerName, rate: &'a StderrRate) -> Self {
        Self { server, rate, lines: 0, bytes: 0, unrested: 0, log_at: None }
    }

    async fn add(&mut self, bytes: usize) {
        self.lines += 1;
        self.bytes += bytes;
        self.unrested += bytes;
        let now = Instant::now();
        if now >= *self.log_at.get_or_insert(now + LOG_EVERY) {
            self.log();
        }
        let (most, rest) = PACE;
        if self.unrested >= most {
            self.unrested = 0;
            sleep(rest).await;
        }
    }

    fn log(&mut self) {
        let (server, lines, bytes, rate) = (self.server, self.lines, self.bytes, self.rate.lines_a_second);
        if lines > 0 {
            tracing::info!(target: "mcpo::server", mcp_server = %server, mcp_stream = "stderr", "{server}: {lines} lines ({bytes} bytes) left out: its stderr is logged at {rate} lines a second");
        }
        (self.lines, self.bytes, self.log_at) = (0, 0, None);
    }
}

impl Drop for LeftOut<'_> {
    fn drop(&mut self) {
        self.log();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn name(name: &str) -> ServerName {
        ServerName::new(name).unwrap()
    }

    #[test]
    fn a_rate_lets_a_burst_through_and_then_so_many_lines_and_bytes_a_second() {
        let rate = StderrRate::new(1);
        assert_eq!((0..100).filter(|_| rate.admits(b"short")).count(), 10);
        let rate = StderrRate::new(2);
        let long = vec![b'x'; LINE_LENGTH];
        assert_eq!((0..100).filter(|_| rate.admits(&long)).count(), 10, "20,000 bytes at once");
        assert!((0..1000).all(|_| StderrRate::new(usize::MAX).admits(&long)));
    }

    #[test]
    fn a_server_that_is_started_again_has_no_new_burst_and_another_one_has_its_own() {
        let rates = StderrRates::default();
        let (first, again) = (rates.of(&name("a"), 1), rates.of(&name("a"), 1));
        assert!(Arc::ptr_eq(&first, &again) && !Arc::ptr_eq(&first, &rates.of(&name("b"), 1)));
        assert!(!Arc::ptr_eq(&first, &rates.of(&name("a"), 2)), "the setting was changed");
    }

    #[tokio::test(start_paused = true)]
    async fn the_tail_has_the_last_lines_also_of_a_flood_of_endless_and_of_binary_ones() {
        let (mut write, read) = tokio::io::duplex(4096);
        let tail = StderrTail::default();
        let logging = tokio::spawn(log(name("a"), read, Arc::new(StderrRate::new(1)), tail.clone()));
        for number in 0..5000 {
            write.write_all(format!("line {number}\n\n").as_bytes()).await.unwrap();
        }
        write.write_all(&[b'x'; 3 * LINE_LENGTH]).await.unwrap();
        write.write_all(b"\n\xff\x1b[2J\xc2\x9b").await.unwrap();
        drop(write);
        logging.await.unwrap();
        let lines = tail.lines();
        assert_eq!((lines.len(), &*lines[0], &*lines[7]), (TAIL_LINES, "line 4992", "line 4999"));
        assert_eq!((lines[8].len(), &*lines[9]), (LINE_LENGTH, "\u{fffd}\\u{1b}[2J\\u{9b}"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_read_at_a_pace() {
        let (mut write, read) = tokio::io::duplex(1 << 16);
        let logging = tokio::spawn(log(name("a"), read, Arc::new(StderrRate::new(1)), StderrTail::default()));
        let began = Instant::now();
        let line = [&[b'y'; 1023][..], b"\n"].concat();
        for _ in 0..16 << 10 {
            write.write_all(&line).await.unwrap();
        }
        drop(write);
        logging.await.unwrap();
        let took = began.elapsed();
        assert!(took > Duration::from_millis(900) && took < Duration::from_secs(2), "16 MB took {took:?}");
    }
}
