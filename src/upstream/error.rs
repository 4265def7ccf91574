//! Failures between the gateway and one server, separated by what the caller may do about them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::shares::Exceeded;
use crate::upstream::error_text::{WrongAnswer, cut_words};
use crate::upstream::exit_notice::{ExitNotice, TAIL_LINES};
use crate::upstream::malformed::Garbled;

/// Why a request to a server failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    /// The connection ended before the server can have seen the message: it is safe to try again.
    #[error("the connection ended before the message was sent: {0}")]
    NotSent(CloseReason),
    /// The connection ended while the answer was awaited; the server may have acted.
    #[error("the connection ended before the answer came: {0}")]
    Lost(CloseReason),
    /// The server no longer knows our session. `ran_nothing` when its refusal says that it did nothing.
    #[error("the server has forgotten the session")]
    SessionLost { ran_nothing: bool },
    /// The HTTP server answered with a non-2xx status.
    #[error("{}", .0.of_a_request())]
    Status(StatusReason),
    /// The answer is longer than `limits.resultBytes`.
    #[error("the answer is larger than the limit of {limit} bytes (limits.resultBytes)")]
    TooLarge { limit: usize },
    /// The results of all calls that are in flight take all the room there is (`limits.resultsBytes`).
    #[error(
        "the gateway holds as many large results as it may, and none was taken within {} s \
         (limits.resultsBytes)",
        .after.as_secs_f32()
    )]
    OverBudget { after: Duration },
    /// The server's answer is not a valid message.
    #[error("{0}")]
    Garbled(Garbled),
    /// The HTTP server answered with a 2xx status, but with no valid answer.
    #[error("the server broke the protocol: {0}")]
    WrongAnswer(WrongAnswer),
    /// The answer is not what the protocol allows.
    #[error("the server broke the protocol: {0}")]
    Malformed(String),
}

impl RequestError {
    /// Why a connection ends whose request for `step` of the handshake failed.
    pub fn ends(self, step: &'static str) -> CloseReason {
        match self {
            Self::NotSent(reason) | Self::Lost(reason) => reason,
            Self::Status(reason) => CloseReason::Status(reason),
            error => CloseReason::handshake(step, &error.to_string()),
        }
    }
}

/// An HTTP status of a server, explained.
#[derive(Debug, Clone, PartialEq, Eq, Default, thiserror::Error)]
#[error("the server answered with HTTP status {status}{}{}", self.explained(), self.said())]
pub struct StatusReason {
    pub status: u16,
    /// The wait that the server asks for.
    pub retry_after: Option<Duration>,
    /// Where a redirect leads, without user and query.
    pub target: Option<Arc<str>>,
    /// The server's own explanation, cleaned and cut.
    pub words: Option<Arc<str>>,
}

impl StatusReason {
    /// The text about one request of many. It names no setting, since other requests succeed.
    fn of_a_request(&self) -> String {
        match (&self.words, self.status) {
            (Some(_), 400..=428 | 430..) => {
                format!("the server answered with HTTP status {}{}", self.status, self.said())
            }
            _ => self.to_string(),
        }
    }

    fn said(&self) -> String {
        self.words.as_ref().map(|words| format!(": {words}")).unwrap_or_default()
    }

    fn explained(&self) -> Cow<'static, str> {
        match (self.status, &self.target, self.retry_after) {
            (300..=399, Some(target), _) => {
                format!(" (a redirect to {target}, which is not followed; correct `url`)").into()
            }
            (300..=399, None, _) => " (a redirect that names no target; correct `url`)".into(),
            (401, ..) => " (it wants credentials: check the secret in `headers`)".into(),
            (403, ..) => " (it refuses these credentials: check their rights)".into(),
            (404, ..) => " (nothing is served at this path: check `url`)".into(),
            (405 | 406 | 415, ..) => {
                " (this path does not speak the configured transport: check `type` and `url`)".into()
            }
            (429, _, Some(wait)) => {
                format!(" (too many requests; it asks to wait {} s)", wait.as_secs()).into()
            }
            (429, ..) => " (too many requests)".into(),
            (500.., ..) => " (a fault of the server or of the proxy before it)".into(),
            _ => "".into(),
        }
    }
}

/// Why a connection to a server ended or could not be made. The text is for operators: it may name
/// commands, addresses and the server's last stderr lines, and callers without the `admin` right only
/// get [`CloseReason::public`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("command `{command}` cannot be started: {error}")]
    Spawn { command: String, error: String },
    #[error("the process {status}{}", stderr_tail(.stderr))]
    Exited { status: String, stderr: Arc<[String]> },
    /// The wrapper of the process refused to start it ([`crate::upstream::exit_notice::ExitNotice::Refused`]).
    #[error("its unit does not start it: {0}")]
    Refused(String),
    #[error("the server closed its output{}", stderr_tail(.stderr))]
    OutputClosed { stderr: Arc<[String]> },
    #[error("cannot connect to {address}: {error}")]
    Connect { address: String, error: String },
    #[error("{0}")]
    Status(StatusReason),
    #[error("the server has forgotten the session")]
    SessionLost,
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The answer belongs to the other HTTP transport, not to the one that was tried.
    #[error("the server does not speak the transport: {0}")]
    OtherTransport(String),
    #[error("no answer to `{step}` within {} s{}", .after.as_secs_f32(), stderr_tail(.stderr))]
    Silent { step: &'static str, after: Duration, stderr: Arc<[String]> },
    #[error("`{step}` failed: {error}{}", stderr_tail(.stderr))]
    Handshake { step: &'static str, error: String, stderr: Arc<[String]> },
    #[error("a secret is missing: {0}")]
    Secret(String),
    #[error("invalid `url`: {0}")]
    Url(String),
    #[error("OAuth does not work: {0}")]
    OAuth(String),
    /// The server needs a sign-in with a browser; `link` is where an administrator of the gateway begins.
    #[error("it waits for a sign-in: open {link}")]
    SignIn { link: String },
    /// The server needs a sign-in of each user with a browser, which begins at `link`.
    #[error("each user has to sign in to it: open {link}")]
    UserSignIn { link: String },
    /// Every connection or process that may serve the caller alone is in use.
    #[error("{0}")]
    AllInUse(Box<Exceeded>),
    #[error("the gateway is stopping")]
    Stopping,
}

impl CloseReason {
    /// A server whose answer to `step` of the handshake fails it.
    pub fn handshake(step: &'static str, error: &str) -> Self {
        Self::Handshake { step, error: cut_words(error), stderr: Arc::default() }
    }

    /// The plain sentence for callers: what happened, without addresses, paths or the server's own words.
    pub fn public(&self) -> String {
        self.described().1.into_owned()
    }

    /// The kind of reason, as a label of metrics: a closed set.
    pub fn error_type(&self) -> &'static str {
        self.described().0
    }

    fn described(&self) -> (&'static str, Cow<'static, str>) {
        match self {
            Self::Spawn { .. } => ("cannot_start", "its command cannot be started".into()),
            Self::Exited { status, .. } => ("exited", format!("its process {status}").into()),
            Self::Refused(_) => ("refused", "its unit does not start it".into()),
            Self::OutputClosed { .. } => ("output_closed", "it closed its output".into()),
            Self::Connect { .. } => ("cannot_connect", "it cannot be reached".into()),
            Self::Status(reason) => {
                let kind = if self.refuses_us() { "not_authorized" } else { "upstream_status" };
                (kind, format!("it answered with HTTP status {}", reason.status).into())
            }
            Self::SessionLost => ("session_lost", "it has forgotten the session".into()),
            Self::Broken(_) => ("connection_lost", "the connection broke".into()),
            Self::OtherTransport(_) => {
                ("protocol_fault", "it does not speak the configured transport".into())
            }
            Self::Silent { step, after, .. } => {
                ("deadline", format!("it did not answer `{step}` within {} s", after.as_secs_f32()).into())
            }
            Self::Handshake { step, .. } => ("protocol_fault", format!("`{step}` failed").into()),
            Self::Secret(_) => ("secret_missing", "a secret of its configuration cannot be read".into()),
            Self::Url(_) => ("bad_url", "its `url` is invalid".into()),
            Self::OAuth(_) => ("oauth", "the gateway cannot sign in to it".into()),
            Self::SignIn { .. } => {
                ("sign_in", "it waits for an administrator of the gateway to sign in to it".into())
            }
            Self::UserSignIn { link } => {
                ("sign_in", format!("you have not signed in to it: open {link}").into())
            }
            Self::AllInUse(_) => ("all_in_use", self.to_string().into()),
            Self::Stopping => ("stopping", self.to_string().into()),
        }
    }

    /// Whether only an operator can help: credentials or configuration have to change.
    pub fn needs_an_operator(&self) -> bool {
        self.refuses_us() || matches!(self, Self::SignIn { .. } | Self::UserSignIn { .. })
    }

    /// Whether the server refuses the credentials, as far as its status says.
    pub fn refuses_us(&self) -> bool {
        matches!(self, Self::Status(StatusReason { status: 401 | 403, .. }))
    }

    /// How long the server asks to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(status) => status.retry_after,
            _ => None,
        }
    }

    /// This reason with the server's last stderr lines, where the variant can carry them.
    #[must_use]
    pub fn with_stderr(mut self, lines: Arc<[String]>) -> Self {
        match &mut self {
            Self::Silent { stderr, .. } | Self::Handshake { stderr, .. } => *stderr = lines,
            _ => {}
        }
        self
    }

    /// This reason with these words, where a process that ended has left none on its stderr.
    #[must_use]
    pub fn or_words(mut self, words: Option<String>) -> Self {
        if let Self::Exited { stderr, .. } | Self::OutputClosed { stderr } = &mut self
            && stderr.is_empty()
        {
            *stderr = words.into_iter().collect();
        }
        self
    }

    /// This reason without anything that the server itself has written.
    #[must_use]
    pub fn without_words(&self) -> Self {
        let mut reason = self.clone().with_stderr(Arc::default());
        match &mut reason {
            Self::Exited { stderr, .. } | Self::OutputClosed { stderr } => *stderr = Arc::default(),
            Self::Handshake { error, .. } => *error = "the server's words are in its state".into(),
            Self::Status(status) => status.words = None,
            _ => {}
        }
        reason
    }
}

impl From<ExitNotice> for CloseReason {
    /// The socket is the server's own, which may have written the message itself.
    fn from(notice: ExitNotice) -> Self {
        match notice {
            ExitNotice::Ended { status, stderr } => Self::Exited {
                status: cut_words(&status),
                stderr: stderr.iter().take(TAIL_LINES).map(|line| cut_words(line)).collect(),
            },
            ExitNotice::Refused(reason) => Self::Refused(cut_words(&reason)),
        }
    }
}

impl From<CloseReason> for ExitNotice {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Exited { status, stderr } => {
                Self::Ended { status, stderr: Arc::as_ref(&stderr).to_vec() }
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

/// The error with its causes, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

fn stderr_tail(lines: &Arc<[String]>) -> String {
    match lines.len() {
        0 => String::new(),
        _ => format!("; its last words: {}", lines.join(" | ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_reasons_carry_neither_addresses_nor_stderr() {
        let secret: Arc<[String]> = Arc::from(["token=hunter2".to_owned()]);
        let reasons = [
            CloseReason::Exited { status: "exited with status 3".into(), stderr: secret.clone() },
            CloseReason::Connect { address: "10.0.0.1:99".into(), error: "hunter2".into() },
            CloseReason::Spawn { command: "/opt/hunter2".into(), error: "hunter2".into() },
            CloseReason::Handshake { step: "initialize", error: "hunter2".into(), stderr: secret },
        ];
        for reason in reasons {
            assert!(!reason.public().contains("hunter2"), "{}", reason.public());
            assert!(reason.to_string().contains("hunter2") || reason.to_string().contains("10.0.0.1"));
        }
    }

    #[test]
    fn a_reason_without_words_carries_nothing_that_the_server_wrote() {
        let words: Arc<[String]> = Arc::from(["token=hunter2".to_owned()]);
        let after = Duration::from_secs(3);
        let reasons = [
            CloseReason::Exited { status: "exited with status 3".into(), stderr: words.clone() },
            CloseReason::OutputClosed { stderr: words.clone() },
            CloseReason::Silent { step: "initialize", after, stderr: words.clone() },
            CloseReason::Handshake { step: "initialize", error: "hunter2".into(), stderr: words },
            CloseReason::Status(StatusReason {
                status: 500,
                words: Some("hunter2".into()),
                ..Default::default()
            }),
        ];
        for reason in reasons {
            assert!(reason.to_string().contains("hunter2"));
            assert!(!reason.without_words().to_string().contains("hunter2"), "{reason}");
        }
        let address = CloseReason::Connect { address: "http://a.test".into(), error: "refused".into() };
        assert_eq!(address.without_words(), address);
    }
}
