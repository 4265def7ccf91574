//! Reasons for a call without an answer, distinguished by the caller's next step.

use std::borrow::Cow;
use std::time::Duration;

use super::limits::Limited;
use super::outcome::CallFailure;
use crate::catalog::Caller;
use crate::catalog::arguments::{ArgumentError, FaultKind};
use crate::catalog::drift::DriftKind;
use crate::upstream::{CloseReason, RequestError, Unavailable};

/// Why a tool was not found.
#[derive(Debug, Clone)]
pub enum FindError {
    /// No such server, or none that this caller may see.
    Server,
    /// No such tool, or none that this caller may see.
    Tool,
    /// The tool is not as it was locked, and so held back.
    Quarantined(DriftKind),
    /// The caller asks too often, and looking for the tool would take a connection of its own; nothing was sent.
    Limited(Limited),
    /// The server's tools are unknown, and the server cannot be asked now.
    Unavailable(Unavailable),
    /// The server did not get ready within the call's time.
    Deadline { after: Duration },
}

impl FindError {
    /// The outcome's name in logs.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Server | Self::Tool => "not_found",
            Self::Quarantined(_) => "quarantined",
            Self::Limited(limited) => limited.code(),
            Self::Unavailable(_) => "unavailable",
            Self::Deadline { .. } => "deadline",
        }
    }

    /// The plain sentence for callers.
    pub fn for_callers(&self) -> String {
        match self {
            Self::Server => "there is no such server".into(),
            Self::Tool => "there is no such tool".into(),
            Self::Quarantined(change) => quarantined(*change).into(),
            Self::Limited(limited) => limited.to_string(),
            Self::Unavailable(unavailable) => public_unavailable(unavailable),
            Self::Deadline { after } => {
                format!("the server did not get ready within {} s", after.as_secs_f32())
            }
        }
    }

    /// The reason, for the log.
    pub fn full(&self) -> String {
        match self {
            Self::Server => "no such server for this caller".into(),
            Self::Tool => "no such tool for this caller".into(),
            Self::Limited(limited) => format!("refused: {limited}"),
            Self::Unavailable(unavailable) => full_unavailable(unavailable),
            Self::Quarantined(_) | Self::Deadline { .. } => self.for_callers(),
        }
    }
}

fn quarantined(change: DriftKind) -> &'static str {
    match change {
        DriftKind::New => {
            "the tool is quarantined: it is not in the lock of tools; an operator accepts it with `mcpo lock` \
             after a look at it"
        }
        DriftKind::Changed | DriftKind::Missing => {
            "the tool is quarantined: its server changed its definition since it was locked (drift); an operator accepts it \
             with `mcpo lock` after a look at it"
        }
    }
}

/// Why a call got no answer.
#[derive(Debug)]
pub enum CallError {
    /// The arguments break the tool's schema; nothing was sent.
    Arguments(ArgumentError),
    /// The caller calls too often, or the server is called too often; nothing was sent.
    Limited(Limited),
    /// The server cannot take calls now; nothing was sent.
    Unavailable(Unavailable),
    /// No answer and no progress within this time; the call was cancelled at the server.
    Deadline { after: Duration },
    /// The connection failed under the call, or the server broke the protocol.
    Link(RequestError),
}

impl CallError {
    /// The plain sentence for callers, without the server's own words or addresses.
    pub fn public(&self) -> String {
        match self {
            Self::Arguments(_) => "the arguments do not fit the tool's schema".into(),
            Self::Limited(limited) => limited.to_string(),
            Self::Unavailable(unavailable) => public_unavailable(unavailable),
            Self::Deadline { after } => format!("no answer within {} s", after.as_secs_f32()),
            Self::Link(RequestError::NotSent(reason)) => {
                format!("the server is unavailable: {}", reason.public())
            }
            Self::Link(RequestError::Lost(reason)) => {
                format!("the connection to the server ended before the answer came: {}", reason.public())
            }
            Self::Link(error) => error.to_string(),
        }
    }

    /// The sentence for `caller`: [`CallError::public`], and for admins where to sign in.
    pub fn message_for(&self, caller: &Caller) -> String {
        match self {
            Self::Unavailable(unavailable) => unavailable_for(unavailable, caller),
            Self::Link(RequestError::NotSent(reason) | RequestError::Lost(reason)) => {
                with_link(self.public(), Some(reason), caller)
            }
            Self::Arguments(_) | Self::Limited(_) | Self::Deadline { .. } | Self::Link(_) => self.public(),
        }
    }

    /// The sentence for a model: it lists every fault of the arguments, so that the next try can be right.
    pub fn for_models(&self) -> String {
        match self {
            Self::Arguments(ArgumentError { faults })
                if faults.iter().any(|fault| matches!(fault.kind, FaultKind::InvalidJson { .. })) =>
            {
                let said = faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ");
                format!("the arguments are not valid JSON: {said}")
            }
            Self::Arguments(error) => format!("the arguments do not fit the tool's schema: {error}"),
            Self::Limited(_) | Self::Unavailable(_) | Self::Deadline { .. } | Self::Link(_) => self.public(),
        }
    }

    /// The whole chain of reasons, for the log.
    ///
    /// Of the server's text it has only the words to an HTTP error, cleaned and cut: other text may hold arguments of
    /// this call. The stderr of a server is logged as its own.
    pub fn full(&self) -> String {
        match self {
            Self::Unavailable(unavailable) => full_unavailable(unavailable),
            Self::Link(RequestError::NotSent(reason)) => {
                RequestError::NotSent(reason.without_words()).to_string()
            }
            Self::Link(RequestError::Lost(reason)) => RequestError::Lost(reason.without_words()).to_string(),
            Self::Link(RequestError::Garbled(garbled)) => garbled.garbling.to_string(),
            Self::Link(RequestError::WrongAnswer(wrong)) => wrong.fault.to_string(),
            Self::Link(error) => error.to_string(),
            Self::Limited(limited) => format!("refused: {limited}"),
            Self::Arguments(_) | Self::Deadline { .. } => self.public(),
        }
    }
}

/// Where a user signs in to a server, when that is all that is missing.
pub trait MissingSignIn {
    /// The address to open.
    fn sign_in(&self) -> Option<&str>;
}

impl MissingSignIn for Unavailable {
    fn sign_in(&self) -> Option<&str> {
        match self.reason.as_deref() {
            Some(CloseReason::UserSignIn { link }) => Some(link),
            _ => None,
        }
    }
}

impl MissingSignIn for CallError {
    fn sign_in(&self) -> Option<&str> {
        match self {
            Self::Unavailable(unavailable) => unavailable.sign_in(),
            Self::Link(RequestError::NotSent(CloseReason::UserSignIn { link })) => Some(link),
            _ => None,
        }
    }
}

impl MissingSignIn for FindError {
    fn sign_in(&self) -> Option<&str> {
        match self {
            Self::Unavailable(unavailable) => unavailable.sign_in(),
            _ => None,
        }
    }
}

impl CallFailure for CallError {
    fn outcome(&self) -> &'static str {
        match self {
            Self::Arguments(_) => "bad_arguments",
            Self::Limited(limited) => limited.code(),
            Self::Unavailable(_) | Self::Link(RequestError::NotSent(_)) => "unavailable",
            Self::Deadline { .. } => "deadline",
            Self::Link(RequestError::Lost(_)) => "connection_lost",
            Self::Link(RequestError::SessionLost { .. }) => "session_lost",
            Self::Link(RequestError::Status(_)) => "upstream_status",
            Self::Link(RequestError::TooLarge { .. }) => "result_too_large",
            Self::Link(RequestError::OverBudget { .. }) => "results_too_many",
            Self::Link(
                RequestError::Garbled(_) | RequestError::WrongAnswer(_) | RequestError::Malformed(_),
            ) => "protocol_fault",
        }
    }

    fn reason(&self) -> Cow<'_, str> {
        self.full().into()
    }
}

/// Why a server cannot take calls, for the log.
fn full_unavailable(unavailable: &Unavailable) -> String {
    match &unavailable.reason {
        Some(reason) => reason.without_words().to_string(),
        None => public_unavailable(unavailable),
    }
}

/// Why a server cannot take calls, for callers.
pub fn public_unavailable(unavailable: &Unavailable) -> String {
    match &unavailable.reason {
        Some(reason) => format!("the server is unavailable: {}", reason.public()),
        None => "the server is disabled in the configuration".into(),
    }
}

/// The sentence with where to sign in, for admins.
pub fn unavailable_for(unavailable: &Unavailable, caller: &Caller) -> String {
    with_link(public_unavailable(unavailable), unavailable.reason.as_deref(), caller)
}

fn with_link(sentence: String, reason: Option<&CloseReason>, caller: &Caller) -> String {
    match reason {
        Some(CloseReason::SignIn { link }) if caller.admin => format!("{sentence}: open {link}"),
        _ => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::server::CALL_ENDS;
    use crate::upstream::error::StatusReason;

    #[test]
    fn every_outcome_has_a_label_of_its_own_in_the_metrics() {
        let unavailable = Unavailable { reason: None, retry_after: Duration::ZERO };
        let links = [
            RequestError::NotSent(CloseReason::Stopping),
            RequestError::Lost(CloseReason::Stopping),
            RequestError::SessionLost { ran_nothing: true },
            RequestError::Status(StatusReason { status: 500, ..StatusReason::default() }),
            RequestError::TooLarge { limit: 1 },
            RequestError::OverBudget { after: Duration::ZERO },
            RequestError::Malformed(String::new()),
        ];
        let others = [CallError::Unavailable(unavailable), CallError::Deadline { after: Duration::ZERO }];
        for error in links.map(CallError::Link).iter().chain(&others) {
            assert!(CALL_ENDS[1..].contains(&error.outcome()), "{error:?}");
        }
    }
}
