//! The log: the journal's native protocol under systemd, lines of text elsewhere, JSON when asked.
//!
//! The log is written by a thread of its own, from a bounded queue: neither a slow terminal nor a busy journal blocks a
//! call. Dropped lines are counted ([`dropped_lines`]), and the log reports them once in a while.
//!
//! Fields are named for the journal, which shows them in capitals: `mcp_server`, `mcp_tool`, `outcome`,
//! `duration_ms`, `request_id`, `api_key_name`, `user`, `trace_id` of a call, `mcp_stream` of a server's own words.
//! None may hold a secret: no header, no argument, no result, no path or query of a server's address.

pub mod audit;
mod clock;
mod journal;
mod lines;
mod queue;
pub mod text;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use clock::Clock;
use journal::Copying;
use lines::LineSender;

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Log lines lost so far, because they came faster than they could be written.
pub fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Libraries whose lower levels hold whole messages, secrets included.
const QUIET: &str = "rmcp=warn,hyper=warn,hyper_util=warn,h2=warn,rustls=warn";

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOutput {
    Text,
    Json,
    Journal,
}

/// Keeps the log's writer alive; dropping it writes what is still queued.
#[derive(Debug)]
pub struct Telemetry {
    form: LogOutput,
    _writer: Box<dyn fmt::Debug + Send>,
}

impl Telemetry {
    /// Starts the log, under `identifier` in the journal.
    ///
    /// `level` is a level or a `tracing` filter; [`is_level`] finds a bad one beforehand. On a machine without a journal,
    /// [`LogOutput::Journal`] is text.
    ///
    /// # Errors
    ///
    /// When no thread can be started for the writer.
    pub fn start(identifier: &str, level: &str, form: LogOutput) -> io::Result<Self> {
        let level = level.to_ascii_lowercase();
        let filter = EnvFilter::try_new(format!("{level},{QUIET}"));
        let filter = filter.unwrap_or_else(|_| EnvFilter::new(format!("info,{QUIET}")));
        let registry = tracing_subscriber::registry().with(filter);
        if form == LogOutput::Journal
            && let Ok(journal) = journal::journal(identifier)
        {
            let (queue, writer) = queue::start(journal, &DROPPED)?;
            registry.with(Copying(queue)).init();
            return Ok(Self { form, _writer: Box::new(writer) });
        }
        let form = if form == LogOutput::Journal { LogOutput::Text } else { form };
        let (queue, writer) = queue::start(lines::together(io::stderr()), &DROPPED)?;
        let lines = LineSender { queue, are_json: form == LogOutput::Json };
        let layer = tracing_subscriber::fmt::layer().with_timer(Clock).with_writer(move || lines.clone());
        let layer = match form {
            LogOutput::Json => layer.json().boxed(),
            LogOutput::Text | LogOutput::Journal => {
                let colours = io::IsTerminal::is_terminal(&io::stderr());
                layer.with_target(false).with_ansi(colours).fmt_fields(text::message_only()).boxed()
            }
        };
        registry.with(layer).init();
        Ok(Self { form, _writer: Box::new(writer) })
    }

    /// The form that the log has.
    pub fn form(&self) -> LogOutput {
        self.form
    }
}

/// Whether stderr is the journal.
///
/// `JOURNAL_STREAM` holds the device and inode of the stream that systemd connected (systemd.exec(5)); a
/// program started by hand may inherit the variable but not the stream.
pub fn stderr_is_journal(journal_stream: Option<&OsStr>) -> bool {
    let Some(stream) = journal_stream else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    stream.as_bytes() == format!("{}:{}", stat.st_dev, stat.st_ino).as_bytes()
}

/// Whether `level` can be given to [`Telemetry::start`].
pub fn is_level(level: &str) -> bool {
    level.parse::<Level>().is_ok() || EnvFilter::try_new(level).is_ok()
}
