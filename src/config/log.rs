//! The forms of the log.

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal's native protocol when stderr is the journal, lines of text otherwise.
    Auto,
    Text,
    Json,
    Journald,
}

/// The values of `log.format`.
pub(super) const LOG_FORMATS: [(&str, LogFormat); 4] = [
    ("auto", LogFormat::Auto),
    ("text", LogFormat::Text),
    ("json", LogFormat::Json),
    ("journald", LogFormat::Journald),
];
