//! The destinations of a trail: a file of its own, the log on stderr, the journal.

use std::borrow::Cow;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::super::text::{visible, visible_json};
use super::trail::Destination;

/// The target of entries in the log.
const TARGET: &str = "mcpo::audit";
/// Where journald listens (systemd, "Native Journal Protocol").
const JOURNAL: &str = "/run/systemd/journal/socket";

/// A file that is appended to.
pub struct AppendedFile {
    path: PathBuf,
    file: Option<File>,
    reopen: Arc<AtomicBool>,
    lines: WholeLines,
}

impl AppendedFile {
    pub fn open(path: &Path, reopen: Arc<AtomicBool>) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Some(open(path)?), reopen, lines: WholeLines::default() })
    }
}

/// Opens the file, for its owner alone when it is new. A pipe must have a reader, and records
/// that the reader does not take are lost.
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

impl Destination for AppendedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.reopen.swap(false, Ordering::Relaxed) {
            self.file = None;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = none.insert(open(&self.path)?);
                self.lines.torn &= file.metadata()?.len() > 0;
                file
            }
        };
        self.lines.write(file, line)
    }
}

impl fmt::Display for AppendedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(formatter)
    }
}

/// Keeps lines apart, also when one of them was not written whole.
#[derive(Default)]
struct WholeLines {
    /// Whether the last line was cut.
    torn: bool,
}

impl WholeLines {
    fn write(&mut self, out: &mut impl Write, line: &[u8]) -> io::Result<()> {
        let apart = if self.torn { Cow::Owned([b"\n", line].concat()) } else { Cow::Borrowed(line) };
        self.torn = true;
        out.write_all(&apart)?;
        self.torn = false;
        Ok(())
    }
}

/// The log on stderr, in lines of text or of JSON.
pub struct Stderr {
    is_json: bool,
    lines: WholeLines,
}

impl Stderr {
    pub fn new(is_json: bool) -> Self {
        Self { is_json, lines: WholeLines::default() }
    }
}

impl Destination for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let entry = LogEntry::of(line);
        let entry = if self.is_json { entry.json() } else { entry.text() };
        // It is locked for all of a write, so that no line of the log comes between.
        self.lines.write(&mut io::stderr(), entry.as_bytes())
    }
}

impl fmt::Display for Stderr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("on stderr")
    }
}

/// The journal, by its native protocol: `tracing-journald` would not say which entries it lost.
pub struct Journal {
    socket: UnixDatagram,
    address: PathBuf,
}

impl Journal {
    pub fn connected() -> io::Result<Self> {
        Self::at(Path::new(JOURNAL))
    }

    fn at(address: &Path) -> io::Result<Self> {
        let journal = Self { socket: UnixDatagram::unbound()?, address: address.to_owned() };
        // An empty entry is ignored by the journal, and fails without one.
        journal.send(&[])?;
        Ok(journal)
    }

    fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.socket.send_to(entry, &self.address).map(drop)
    }
}

impl Destination for Journal {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.send(&LogEntry::of(line).journal())
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("in the journal")
    }
}

/// A line of the trail on its way into the log, whose entries of it are as those that `tracing` makes.
struct LogEntry<'a> {
    line: &'a str,
    time: String,
    level: &'static str,
    /// The members of the record that are not null.
    fields: Map<String, Value>,
}

impl<'a> LogEntry<'a> {
    fn of(line: &'a [u8]) -> Self {
        let line = str::from_utf8(line).expect("a line of the trail is JSON").trim_end();
        let mut fields: Map<String, Value> =
            serde_json::from_str(line).expect("a line of the trail is an object");
        let time =
            fields.shift_remove("time").as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        fields.retain(|_, value| !value.is_null());
        let level = if fields.contains_key("event") { "WARN" } else { "INFO" };
        Self { line, time, level, fields }
    }

    fn message(&self) -> String {
        format!("audit: {}", self.line)
    }

    fn text(&self) -> String {
        format!("{} {:>5} {}\n", self.time, self.level, self.message())
    }

    fn json(self) -> String {
        let mut fields = Map::from_iter([("message".to_owned(), self.message().into())]);
        fields.extend(self.fields);
        let entry =
            json!({ "timestamp": self.time, "level": self.level, "fields": fields, "target": TARGET })
                .to_string();
        visible_json(&entry).into_owned() + "\n"
    }

    /// Each field as its name, the length of its value and the value, which may hold anything.
    fn journal(self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(1024);
        let mut put = |name: &str, value: &str| {
            entry.extend_from_slice(name.as_bytes());
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
            entry.extend_from_slice(value.as_bytes());
            entry.push(b'\n');
        };
        put("PRIORITY", if self.level == "WARN" { "4" } else { "6" });
        put("SYSLOG_IDENTIFIER", "mcpo");
        put("TARGET", TARGET);
        put("MESSAGE", &self.message());
        for (name, value) in &self.fields {
            let value = value.as_str().map_or_else(|| Cow::Owned(value.to_string()), visible);
            put(&name.to_ascii_uppercase(), &value);
        }
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{AuditRecord, Loss, line};
    use super::super::tests::record;
    use super::*;

    const ODD: &str = "t\n\u{9b}\"\u{202e}";

    fn odd() -> Box<[u8]> {
        line(AuditRecord { mcp_tool: ODD, api_key_name: Some("k"), ..record("a") })
    }

    #[test]
    fn a_line_that_was_written_in_half_swallows_no_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let reopen = Arc::new(AtomicBool::new(false));
        std::fs::write(&path, "{\"half").unwrap();
        let mut file = AppendedFile::open(&path, reopen.clone()).unwrap();
        file.lines.torn = true;
        reopen.store(true, Ordering::Relaxed);
        file.write(b"{\"a\":1}\n").unwrap();
        file.write(b"{\"a\":2}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\n{\"a\":1}\n{\"a\":2}\n");
        // In a new file there is nothing to keep apart from.
        file.lines.torn = true;
        reopen.store(true, Ordering::Relaxed);
        std::fs::remove_file(&path).unwrap();
        file.write(b"{\"a\":3}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":3}\n");
    }

    #[test]
    fn an_entry_of_the_log_is_one_line_with_its_fields_and_nothing_unseen() {
        let line = odd();
        let text = LogEntry::of(&line).text();
        assert!(text.contains("  INFO audit: {\"time\":\"") && text.ends_with("}\n"), "{text}");
        let json = LogEntry::of(&line).json();
        for entry in [&text, &json] {
            assert!(!entry.trim_end().contains(crate::telemetry::text::is_unseen), "{entry}");
        }
        let entry: Value = serde_json::from_str(&json).unwrap();
        let fields = &entry["fields"];
        assert_eq!((&entry["level"], &entry["target"]), (&"INFO".into(), &"mcpo::audit".into()));
        assert_eq!((&fields["mcp_tool"], &fields["duration_ms"]), (&ODD.into(), &1.5.into()));
        assert!(
            fields.get("trace_id").is_none() && fields["message"].as_str().unwrap().starts_with("audit: {")
        );
        let lost = line_of_loss();
        assert!(LogEntry::of(&lost).text().contains("  WARN audit: {"));
    }

    fn line_of_loss() -> Box<[u8]> {
        line(Loss { event: "records_lost", records: 3 })
    }

    /// The fields of an entry, as journald reads them.
    fn fields(entry: &[u8]) -> Vec<(String, String)> {
        let mut rest = entry;
        let mut fields = Vec::new();
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let (name, tail) = (&rest[..at], &rest[at + 1..]);
            let length = usize::try_from(u64::from_le_bytes(tail[..8].try_into().unwrap())).unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.push((text(name), text(&tail[8..8 + length])));
            rest = &tail[8 + length + 1..];
        }
        fields
    }

    #[test]
    fn an_entry_of_the_journal_has_each_value_in_its_field_and_one_that_is_not_taken_fails() {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("socket");
        assert!(Journal::at(&address).is_err(), "nothing listens");
        let journald = UnixDatagram::bind(&address).unwrap();
        let mut journal = Journal::at(&address).unwrap();
        journal.write(&odd()).unwrap();
        let mut entry = vec![0; 1 << 16];
        assert_eq!(journald.recv(&mut entry).unwrap(), 0, "the first one only asks");
        let length = journald.recv(&mut entry).unwrap();
        let fields = fields(&entry[..length]);
        let of = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((of("PRIORITY"), of("SYSLOG_IDENTIFIER")), (Some("6"), Some("mcpo")));
        assert_eq!((of("MCP_SERVER"), of("MCP_TOOL")), (Some("s"), Some("t\\n\\u{9b}\"\\u{202e}")));
        assert_eq!((of("API_KEY_NAME"), of("TRACE_ID"), of("DURATION_MS")), (Some("k"), None, Some("1.5")));
        assert!(of("MESSAGE").unwrap().starts_with("audit: {\"time\":"));
        drop(journald);
        assert!(journal.write(&odd()).is_err());
    }
}
