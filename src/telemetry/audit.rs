//! The audit trail: one record of each call of a known caller, made or refused, in the log or in a file of its own.
//!
//! Requests without a good key (401, 403) are in the log alone, whatever they ask for: nobody is known who could answer
//! for them, and a flood of them must not fill the file or displace the records of calls. A refusal of a
//! good key has a record as soon as it is known which tool the call names.
//!
//! A record says who called what, when, for how long and how it ended; of the arguments at most a digest, and of the
//! result its size. A file is a line of JSON for each record, made with mode 0600, appended to, and opened anew when
//! [`Audit::reopen`] was asked for, so that it can be rotated. In the log a record is an entry under the target
//! `mcpo::audit`, whatever level the log has.
//!
//! Wherever the trail goes, records leave through a bounded queue of its own, past the log's filter and the log's queue,
//! and never hold up a call: what the queue, the disk or the reader of the log does not take is counted
//! ([`lost_records`]), told in the log, and told in the trail itself as soon as it can be written again.

mod destinations;
mod trail;

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::queue::{self, Queue, Writer};
use super::text::visible_json;
use super::{Form, clock};
use destinations::{AppendedFile, Journal, Stderr};
use trail::{Destination, Trail};

/// What the queue did not take.
static DROPPED: AtomicU64 = AtomicU64::new(0);
/// What the destination of the trail did not take.
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

    /// What a record says of `arguments`, of which it takes the bytes as the caller sent them.
    fn digest(&self, arguments: &[u8]) -> Option<Box<str>> {
        match self {
            Self::Nothing => None,
            Self::Digest => Some(named("sha256:", Sha256::digest(arguments).as_slice())),
            Self::Keyed(keyed) => {
                let keyed = keyed.clone().chain_update(arguments).finalize();
                Some(named("hmac-sha256:", keyed.into_bytes().as_slice()))
            }
        }
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
    queue: Queue<Box<[u8]>>,
    /// Of a trail in a file: whether it is to be opened anew.
    reopen: Option<Arc<AtomicBool>>,
    arguments: Arguments,
}

/// Keeps the trail's writer alive; dropping it writes what is still queued.
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

/// A line of the trail.
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
    /// A trail in the log, which has this `form`.
    ///
    /// # Errors
    ///
    /// When the journal cannot be reached, or no thread be started for the writer.
    pub fn to_log(form: Form, arguments: Arguments) -> io::Result<(Self, AuditWriter)> {
        match form {
            Form::Journal => Self::start(Journal::connected()?, None, arguments),
            Form::Text | Form::Json => Self::start(Stderr::new(form == Form::Json), None, arguments),
        }
    }

    /// A trail in the file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or no thread be started for its writer.
    pub fn to_file(path: &Path, arguments: Arguments) -> io::Result<(Self, AuditWriter)> {
        let reopen = Arc::new(AtomicBool::new(false));
        Self::start(AppendedFile::open(path, reopen.clone())?, Some(reopen), arguments)
    }

    fn start(
        destination: impl Destination,
        reopen: Option<Arc<AtomicBool>>,
        arguments: Arguments,
    ) -> io::Result<(Self, AuditWriter)> {
        let (queue, writer) = queue::start(Trail::new(destination), &DROPPED)?;
        Ok((Self { queue, reopen, arguments }, AuditWriter(writer)))
    }

    /// The file is opened by its name at the next record.
    pub fn reopen(&self) {
        if let Some(reopen) = &self.reopen {
            reopen.store(true, Ordering::Relaxed);
        }
    }

    /// What a record says of `arguments`, of which it takes the bytes as the caller sent them.
    pub fn digest(&self, arguments: &[u8]) -> Option<Box<str>> {
        self.arguments.digest(arguments)
    }

    /// Writes one record down, some time soon.
    pub fn write(&self, record: &Record<'_>) {
        self.queue.offer(line(record));
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

/// What the trail is told, as one line of JSON.
fn line(what: impl Serialize) -> Box<[u8]> {
    let line = serde_json::to_string(&Line { time: clock::now().to_string(), what })
        .expect("texts and numbers are always written");
    let mut line = visible_json(&line).into_owned();
    line.push('\n');
    line.into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    pub(super) fn record(request_id: &str) -> Record<'_> {
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
        let of = |arguments: Arguments| arguments.digest(b"abc");
        assert_eq!(of(Arguments::Nothing), None);
        let plain = of(Arguments::Digest).unwrap();
        assert_eq!(&*plain, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let (one, other) = (of(Arguments::keyed(b"k")).unwrap(), of(Arguments::keyed(b"l")).unwrap());
        assert!(one.starts_with("hmac-sha256:") && one != other, "{one}");
    }

    #[test]
    fn a_record_holds_nothing_unseen_and_says_the_same() {
        let told = line(Record { mcp_tool: "\u{9b}\u{202e}", ..record("a") });
        let text = str::from_utf8(&told).unwrap();
        assert!(!text.trim_end().contains(super::super::text::is_unseen), "{text}");
        let told: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(told["mcp_tool"], "\u{9b}\u{202e}");
    }
}
