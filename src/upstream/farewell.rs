//! The last message of `mcpo run-server` on a server's socket: how the process ended, and its last words.
//!
//! A process behind a socket has no exit status for the one who connected, so its wrapper sends one. It is a
//! JSON-RPC notification, which anybody else who connects may ignore.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::{EndReason, cut_words};
use super::stderr::TAIL_LINES;

/// The method of the notification.
pub const METHOD: &str = "notifications/mcpo/ended";

/// Why there is nobody at the socket any longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Farewell {
    /// The process ended; `status` reads on from "the process".
    Ended { status: String, stderr: Vec<String> },
    /// The process was not started, for this reason.
    Refused(String),
}

#[derive(Serialize, Deserialize)]
struct Message<P> {
    jsonrpc: String,
    method: String,
    params: P,
}

impl Farewell {
    /// The message on lines of its own: what the process may have left of a line must not swallow it.
    pub fn encode(&self) -> Vec<u8> {
        let message = Message { jsonrpc: "2.0".to_owned(), method: METHOD.to_owned(), params: self };
        let text = serde_json::to_string(&message).expect("strings are always JSON");
        format!("\n{text}\n").into_bytes()
    }

    /// Reads the `params` of the notification.
    pub fn parse(params: &str) -> Option<Self> {
        serde_json::from_str(params).ok()
    }
}

impl From<Farewell> for EndReason {
    /// The socket is the server's own, which may have written the message itself.
    fn from(farewell: Farewell) -> Self {
        match farewell {
            Farewell::Ended { status, stderr } => Self::Exited {
                status: cut_words(&status),
                stderr: stderr.iter().take(TAIL_LINES).map(|line| cut_words(line)).collect(),
            },
            Farewell::Refused(reason) => Self::Refused(cut_words(&reason)),
        }
    }
}

impl From<EndReason> for Farewell {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Exited { status, stderr } => {
                Self::Ended { status, stderr: Arc::as_ref(&stderr).to_vec() }
            }
            other => Self::Refused(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Sorted, sort};
    use super::*;

    #[test]
    fn what_is_sent_is_recognized_among_messages() {
        let stderr = vec!["no licence".to_owned()];
        for farewell in [
            Farewell::Ended { status: "exited with status 7".to_owned(), stderr },
            Farewell::Refused("x".to_owned()),
        ] {
            let line = String::from_utf8(farewell.encode()).unwrap();
            assert_eq!(sort(line.trim().as_bytes()), Sorted::Farewell(farewell));
        }
    }

    #[test]
    fn a_message_that_the_server_wrote_itself_forges_nothing() {
        let stderr = vec!["\u{1b}[2J\nforged".to_owned(); 20];
        let ended = Farewell::Ended { status: "ended\u{202e}".repeat(1000), stderr };
        let EndReason::Exited { status, stderr } = ended.into() else { panic!("it ended") };
        assert!(status.starts_with("ended\\u{202e}ended") && status.len() < 2500, "{status}");
        assert_eq!((stderr.len(), &*stderr[0]), (TAIL_LINES, "\\u{1b}[2J\\nforged"));
    }

    #[test]
    fn other_notifications_are_none() {
        for other in [
            r#"{"jsonrpc":"2.0","method":"notifications/mcpo/ended","params":{"odd":1}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/mcpo/end","params":{"refused":"x"}}"#,
        ] {
            assert_eq!(sort(other.as_bytes()), Sorted::Other, "{other}");
        }
    }
}
