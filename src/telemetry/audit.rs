//! The audit trail: one record of each call of a known caller, made or refused, in the log or in a file of its own.
//!
//! Requests without a good key (401, 403) are in the log alone, whatever they ask for: nobody is known who could answer
//! for them, and a flood of them must not fill the file or displace the records of calls. A refusal of a
//! good key has a record as soon as it is known which tool the call names.
//!
//! A record says who called what, when, for how long and how it ended; of the arguments at most a digest, and of the
//! result its size. A file is a line of JSON for each record, made with mode 0600, appended to, and opened anew when
//! [`Audit::reopen`] was asked for, so that it can be rotated. Records leave through a bounded queue and never hold up
//! a call: what the queue or the disk does not take is counted ([`lost_records`]), told in the log, and told in the
//! trail itself as soon as it can be written again.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tracing_subscriber::fmt::format::Writer as TimeWriter;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::queue::{self, Queue, Sink, Writer};

/// What the queue did not take.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// What the file did not take.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Records that no trail has.
pub fn lost_records() -> u64 {
    DROPPED.load(Ordering::Relaxed) + UNWRITTEN.load(Ordering::Relaxed)
}

/// What a record says of a call's arguments.
pub enum Arguments {
    Nothing,
    /// Whoever has the trail can try out short arguments until one fits.
    Digest,
    /// The same, for those alone who know the key.
    Keyed(Hmac<Sha256>),
}

impl Arguments {
    pub fn keyed(secret: &[u8]) -> Self {
        Self::Keyed(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }
}

impl fmt::Debug for Arguments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Digest => "Digest",
            Self::Keyed(_) => "Keyed",
        })
    }
}

/// The near end.
#[derive(Debug)]
pub struct Audit {
    file: Option<AuditFile>,
    arguments: Arguments,
}

/// The way to the thread that owns the file.
#[derive(Debug)]
struct AuditFile {
    queue: Queue<Box<[u8]>>,
    reopen: Arc<AtomicBool>,
}

/// Keeps the file's writer alive; dropping it writes what is still queued.
#[expect(dead_code, reason = "the writer is held for the sake of its end")]
#[derive(Debug)]
pub struct AuditWriter(Writer<Box<[u8]>>);

/// One call.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    pub request_id: &'a str,
    pub api_key_name: Option<&'a str>,
    pub peer: Option<String>,
    pub trace_id: Option<&'a str>,
    pub mcp_server: &'a str,
    pub mcp_tool: &'a str,
    pub outcome: &'static str,
    /// Why the call failed or was refused, as the log has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    pub duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments: Option<&'a str>,
    /// Of what the server answered; `None` when it answered nothing.
    pub result_bytes: Option<usize>,
}

/// A line of the file.
#[derive(Serialize)]
struct Line<T> {
    time: String,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Loss {
    event: &'static str,
    records: u64,
}

impl Audit {
    /// A trail in the log, under the target `mcpo::audit`.
    pub fn to_log(arguments: Arguments) -> Self {
        Self { file: None, arguments }
    }

    /// A trail in the file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or no thread be started for its writer.
    pub fn to_file(path: &Path, arguments: Arguments) -> io::Result<(Self, AuditWriter)> {
        let reopen = Arc::new(AtomicBool::new(false));
        let trail = Trail {
            path: path.to_owned(),
            file: Some(open(path)?),
            reopen: reopen.clone(),
            torn: false,
            failing: false,
            untold: 0,
        };
        let (queue, writer) = queue::start(trail, &DROPPED)?;
        Ok((Self { file: Some(AuditFile { queue, reopen }), arguments }, AuditWriter(writer)))
    }

    /// The file is opened by its name at the next record.
    pub fn reopen(&self) {
        if let Some(file) = &self.file {
            file.reopen.store(true, Ordering::Relaxed);
        }
    }

    /// What a record says of `arguments`, of which it takes the bytes as the caller sent them.
    pub fn digest(&self, arguments: &[u8]) -> Option<Box<str>> {
        match &self.arguments {
            Arguments::Nothing => None,
            Arguments::Digest => Some(named("sha256:", Sha256::digest(arguments).as_slice())),
            Arguments::Keyed(keyed) => {
                let keyed = keyed.clone().chain_update(arguments).finalize();
                Some(named("hmac-sha256:", keyed.into_bytes().as_slice()))
            }
        }
    }

    /// Writes one record down, some time soon.
    pub fn write(&self, record: &Record<'_>) {
        match &self.file {
            Some(file) => file.queue.offer(line(record)),
            None => tracing::info!(
                target: "mcpo::audit",
                mcp_server = record.mcp_server,
                mcp_tool = record.mcp_tool,
                outcome = record.outcome,
                reason = record.reason,
                duration_ms = record.duration_ms,
                request_id = record.request_id,
                api_key_name = record.api_key_name,
                peer = record.peer,
                trace_id = record.trace_id,
                arguments = record.arguments,
                result_bytes = record.result_bytes,
                "audit: {}",
                String::from_utf8_lossy(&line(record)).trim_end()
            ),
        }
    }
}

fn named(scheme: &str, digest: &[u8]) -> Box<str> {
    let mut text = String::with_capacity(scheme.len() + 2 * digest.len());
    text.push_str(scheme);
    for byte in digest {
        write!(text, "{byte:02x}").expect("writing into a String cannot fail");
    }
    text.into()
}

fn line(what: impl Serialize) -> Box<[u8]> {
    let mut time = String::new();
    let _written = SystemTime.format_time(&mut TimeWriter::new(&mut time));
    let mut line = serde_json::to_vec(&Line { time, what }).expect("texts and numbers are always written");
    line.push(b'\n');
    line.into()
}

/// Opens the file, for its owner alone when it is new. A pipe must have a reader; the one of a log that does not take
/// the records costs them.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::NXIO.raw_os_error() => {
            io::Error::other("it is a pipe that nothing reads")
        }
        _ => error,
    })?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

/// The far end, which owns the file.
struct Trail {
    path: PathBuf,
    file: Option<File>,
    reopen: Arc<AtomicBool>,
    /// The last line was not written whole.
    torn: bool,
    failing: bool,
    /// Lost records that the trail does not tell of yet.
    untold: u64,
}

impl Trail {
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.reopen.swap(false, Ordering::Relaxed) {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = none.insert(open(&self.path)?);
                self.torn &= file.metadata()?.len() > 0;
                file
            }
        };
        let apart = if self.torn { Cow::Owned([b"\n", line].concat()) } else { Cow::Borrowed(line) };
        self.torn = true;
        file.write_all(&apart)?;
        self.torn = false;
        Ok(())
    }

    fn tell_losses(&mut self) -> io::Result<()> {
        if self.untold > 0 {
            self.append(&line(Loss { event: "records_lost", records: self.untold }))?;
            self.untold = 0;
        }
        Ok(())
    }

    /// Tells the log when the file begins to fail, and when it is well again.
    fn note(&mut self, outcome: io::Result<()>) {
        let path = self.path.display();
        match outcome {
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(
                    %error,
                    "the audit trail {path} cannot be written: {error}; calls go on, and their records are lost and \
                     counted"
                );
            }
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::warn!("the audit trail {path} is written again; it says how many records it lacks");
            }
            _ => {}
        }
    }
}

impl Sink<Box<[u8]>> for Trail {
    fn take(&mut self, line: Box<[u8]>) {
        let written = self.tell_losses().and_then(|()| self.append(&line));
        if written.is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
            self.untold += 1;
        }
        self.note(written);
    }

    fn lost(&mut self, records: u64) {
        tracing::warn!(
            records,
            "{records} audit records were lost: calls came faster than they could be written"
        );
        self.untold += records;
        let told = self.tell_losses();
        self.note(told);
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Trail").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn record(request_id: &str) -> Record<'_> {
        Record {
            request_id,
            api_key_name: None,
            peer: Some("127.0.0.1".to_owned()),
            trace_id: None,
            mcp_server: "s",
            mcp_tool: "t\n\"",
            outcome: "ok",
            reason: None,
            duration_ms: 1.5,
            arguments: None,
            result_bytes: Some(3),
        }
    }

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn records_are_lines_of_json_in_a_file_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "{\"earlier\":1}\n").unwrap();
        let fresh = folder.path().join("fresh.jsonl");
        for path in [&path, &fresh] {
            let (audit, writer) = Audit::to_file(path, Arguments::Nothing).unwrap();
            audit.write(&record("a"));
            audit.write(&record("b"));
            drop(writer);
        }
        assert_eq!(std::fs::metadata(&fresh).unwrap().permissions().mode() & 0o777, 0o600);
        let lines = lines(&path);
        assert_eq!((lines.len(), &lines[0]["earlier"]), (3, &1.into()));
        assert_eq!((&lines[2]["request_id"], &lines[2]["mcp_tool"]), (&"b".into(), &"t\n\"".into()));
        assert!(lines[1]["time"].as_str().unwrap().ends_with('Z'), "{}", lines[1]);
    }

    #[test]
    fn arguments_are_told_by_digest_or_not_at_all() {
        let of = |arguments: Arguments| Audit::to_log(arguments).digest(b"abc");
        assert_eq!(of(Arguments::Nothing), None);
        let plain = of(Arguments::Digest).unwrap();
        assert_eq!(&*plain, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let (one, other) = (of(Arguments::keyed(b"k")).unwrap(), of(Arguments::keyed(b"l")).unwrap());
        assert!(one.starts_with("hmac-sha256:") && one != other, "{one}");
    }

    #[test]
    fn a_disk_that_was_full_for_a_while_leaves_whole_lines_and_the_number_of_those_that_lack() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut trail = Trail {
            path: "/dev/full".into(),
            file: None,
            reopen: Arc::default(),
            torn: false,
            failing: false,
            untold: 0,
        };
        let before = lost_records();
        trail.take(line(record("a")));
        trail.take(line(record("b")));
        assert!(trail.failing && lost_records() >= before + 2);
        trail.path.clone_from(&path);
        trail.reopen.store(true, Ordering::Relaxed);
        trail.take(line(record("c")));
        trail.lost(5);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["event"], &lines[0]["records"]), (&"records_lost".into(), &2.into()));
        assert_eq!((&lines[1]["request_id"], &lines[2]["records"]), (&"c".into(), &5.into()));
        assert!(!trail.failing);
    }
}
