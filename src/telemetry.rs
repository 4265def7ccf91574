//! The log: the journal's native protocol under systemd, lines of text elsewhere, JSON when asked.
//!
//! Lines are written by a thread of their own, from a bounded queue: a slow terminal or pipe never blocks
//! a call. What had to be dropped is counted and told at the end.

mod writer;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, OnceLock, Weak};

use tracing::Level;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use writer::Writer;

/// Libraries whose lower levels hold whole messages, secrets included.
const QUIET: &str = "rmcp=warn,hyper=warn,hyper_util=warn,h2=warn,rustls=warn";

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Json,
    Journal,
}

/// Keeps the log's writer alive; dropping it writes what is still queued.
#[derive(Debug)]
pub struct Telemetry {
    writer: Option<Arc<Writer>>,
}

static WRITER: OnceLock<Weak<Writer>> = OnceLock::new();

/// Lines of the log that this process has lost so far, because they came faster than they could be written.
pub fn dropped_lines() -> u64 {
    WRITER.get().and_then(Weak::upgrade).map_or(0, |writer| writer.dropped_lines() as u64)
}

impl Telemetry {
    /// Starts the log. `level` is a level or a `tracing` filter; [`is_level`] tells a bad one beforehand.
    ///
    /// # Errors
    ///
    /// When no thread can be started for the writer.
    pub fn start(level: &str, form: Form) -> io::Result<Self> {
        let level = level.to_ascii_lowercase();
        let filter = EnvFilter::try_new(format!("{level},{QUIET}"));
        let filter = filter.unwrap_or_else(|_| EnvFilter::new(format!("info,{QUIET}")));
        if form == Form::Journal
            && let Ok(journal) = tracing_journald::layer()
        {
            let journal = journal
                .with_syslog_identifier("mcpo".into())
                .with_field_prefix(None)
                .with_priority_mappings(priorities());
            tracing_subscriber::registry().with(filter).with(journal).init();
            return Ok(Self { writer: None });
        }
        let (lines, writer) = writer::start(io::stderr())?;
        let layer = tracing_subscriber::fmt::layer().with_writer(lines);
        let layer = match form {
            Form::Json => layer.json().boxed(),
            Form::Text | Form::Journal => {
                let colours = io::IsTerminal::is_terminal(&io::stderr());
                // The message says it all; the fields are for programs.
                let message_only = tracing_subscriber::fmt::format::debug_fn(|out, field, value| {
                    if field.name() == "message" || field.name() == "error" {
                        write!(out, "{value:?} ")?;
                    }
                    Ok(())
                });
                layer.with_target(false).with_ansi(colours).fmt_fields(message_only).boxed()
            }
        };
        tracing_subscriber::registry().with(filter).with(layer).init();
        let writer = Arc::new(writer);
        let _started_twice = WRITER.set(Arc::downgrade(&writer));
        Ok(Self { writer: Some(writer) })
    }

    /// Lines that were lost because the writer could not keep up.
    pub fn dropped_lines(&self) -> usize {
        self.writer.as_ref().map_or(0, |writer| writer.dropped_lines())
    }
}

/// `journalctl -p info` must not show what we call debug.
fn priorities() -> PriorityMappings {
    PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    }
}

/// Whether stderr is the journal: `JOURNAL_STREAM` holds the device and inode of the stream that systemd
/// connected (systemd.exec(5)); a program started by hand may inherit the variable but not the stream.
pub fn stderr_is_journal(journal_stream: Option<&OsStr>) -> bool {
    let Some(stream) = journal_stream else { return false };
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    stream.as_bytes() == format!("{}:{}", stat.st_dev, stat.st_ino).as_bytes()
}

/// Whether `level` can be given to [`Telemetry::start`].
pub fn is_level(level: &str) -> bool {
    level.parse::<Level>().is_ok() || EnvFilter::try_new(level).is_ok()
}
