//! The audit trail: one record of each call of a known caller, made or refused, in the log or in a file of its own.
//!
//! Requests without a valid API key (401, 403) are logged but not audited: they have no accountable caller, and a
//! flood of them must not fill the file or displace the records of calls. A refusal of a valid key has a record as
//! soon as the tool of the call is known.
//!
//! A record has the caller, the tool, the time, the duration and the outcome; of the arguments at most a digest, and
//! of the result its size. A file is a line of JSON for each record, made with mode 0600, appended to, and opened
//! anew when [`Audit::reopen`] was asked for, so that it can be rotated. In the log a record is an entry under the
//! target `mcpo::audit`, at every level of the log.
//!
//! Wherever the trail goes, records leave through a bounded queue of its own, past the log's filter and the log's queue,
//! and never hold up a call. Records that the queue, the disk or the reader of the log does not take are counted
//! ([`lost_records`]), and reported in the log and, as soon as it can be written again, in the trail itself.

mod destinations;
mod record;
mod trail;

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::LogOutput;
use super::queue::{self, LineQueue, Writer};
use destinations::{AppendedFile, Journal, Stderr};
pub use record::AuditRecord;
use record::line;
pub use trail::lost_records;
use trail::{DROPPED, Destination, Trail};

/// The form in which a record has a call's arguments.
#[derive(Debug)]
pub enum ArgumentDigest {
    Nothing,
    /// A digest: a reader of the trail can try out short arguments until one fits.
    Digest,
    /// A digest with a key, which only a holder of the key can try.
    Keyed(Hmac<Sha256>),
}

impl ArgumentDigest {
    pub fn keyed(secret: &[u8]) -> Self {
        Self::Keyed(Hmac::new_from_slice(secret).expect("HMAC takes a key of any length"))
    }

    /// The digest of `arguments`, of the bytes that the caller sent.
    pub fn digest(&self, arguments: &[u8]) -> Option<Box<str>> {
        match self {
            Self::Nothing => None,
            Self::Digest => Some(named("sha256:", &Sha256::digest(arguments))),
            Self::Keyed(keyed) => {
                let keyed = keyed.clone().chain_update(arguments).finalize();
                Some(named("hmac-sha256:", &keyed.into_bytes()))
            }
        }
    }
}

/// The near end.
#[derive(Debug)]
pub struct Audit {
    queue: LineQueue<Box<[u8]>>,
    /// Of a trail in a file: whether it is to be opened anew.
    reopen: Option<Arc<AtomicBool>>,
    /// The form of arguments in the records.
    pub arguments: ArgumentDigest,
}

/// Keeps the trail's writer alive; dropping it writes what is still queued.
pub type AuditWriter = Writer<Box<[u8]>>;

impl Audit {
    /// A trail in the log, which has this `form`.
    ///
    /// # Errors
    ///
    /// When the journal cannot be reached, or no thread be started for the writer.
    pub fn to_log(form: LogOutput, arguments: ArgumentDigest) -> io::Result<(Self, AuditWriter)> {
        match form {
            LogOutput::Journal => Self::start(Journal::connected()?, None, arguments),
            LogOutput::Text | LogOutput::Json => {
                Self::start(Stderr::new(form == LogOutput::Json), None, arguments)
            }
        }
    }

    /// A trail in the file at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or no thread be started for its writer.
    pub fn to_file(path: &Path, arguments: ArgumentDigest) -> io::Result<(Self, AuditWriter)> {
        let reopen = Arc::new(AtomicBool::new(false));
        Self::start(AppendedFile::open(path, reopen.clone())?, Some(reopen), arguments)
    }

    fn start(
        destination: impl Destination,
        reopen: Option<Arc<AtomicBool>>,
        arguments: ArgumentDigest,
    ) -> io::Result<(Self, AuditWriter)> {
        let (queue, writer) = queue::start(Trail::new(destination), &DROPPED)?;
        Ok((Self { queue, reopen, arguments }, writer))
    }

    /// The file is opened by its name at the next record.
    pub fn reopen(&self) {
        if let Some(reopen) = &self.reopen {
            reopen.store(true, Ordering::Relaxed);
        }
    }

    /// Writes one record down, some time soon.
    pub fn write(&self, record: &AuditRecord<'_>) {
        self.queue.offer(line(record));
    }
}

fn named(scheme: &str, digest: &[u8]) -> Box<str> {
    let mut text = scheme.to_owned();
    for byte in digest {
        write!(text, "{byte:02x}").expect("writing into a String cannot fail");
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    pub(super) fn record(request_id: &str) -> AuditRecord<'_> {
        AuditRecord {
            request_id,
            api_key_name: None,
            user: None,
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
            let (audit, writer) = Audit::to_file(path, ArgumentDigest::Nothing).unwrap();
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
        let of = |arguments: ArgumentDigest| arguments.digest(b"abc");
        assert_eq!(of(ArgumentDigest::Nothing), None);
        let plain = of(ArgumentDigest::Digest).unwrap();
        assert_eq!(&*plain, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let (one, other) =
            (of(ArgumentDigest::keyed(b"k")).unwrap(), of(ArgumentDigest::keyed(b"l")).unwrap());
        assert!(one.starts_with("hmac-sha256:") && one != other, "{one}");
    }

    #[test]
    fn a_record_holds_nothing_unseen_and_says_the_same() {
        let told = line(AuditRecord { mcp_tool: "\u{9b}\u{202e}", ..record("a") });
        let text = str::from_utf8(&told).unwrap();
        assert!(!text.trim_end().contains(super::super::text::is_unseen), "{text}");
        let told: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(told["mcp_tool"], "\u{9b}\u{202e}");
    }
}
