//! The last message of `mcpo run-server` on a server's socket: how the process ended, and its last words.
//!
//! A process behind a socket has no exit status for the client of the socket, so its wrapper sends one. It is a
//! JSON-RPC notification, which other clients may ignore.

use serde::{Deserialize, Serialize};

use crate::protocol::json_rpc;

/// The method of the notification.
pub const METHOD: &str = "notifications/mcpo/ended";

/// How many of the last lines are kept for the reason.
pub const TAIL_LINES: usize = 10;

/// Why the process behind a socket is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitNotice {
    /// The process ended; `status` reads on from "the process".
    Ended { status: String, stderr: Vec<String> },
    /// The process was not started, for this reason.
    Refused(String),
}

impl ExitNotice {
    /// The message on lines of its own: what the process may have left of a line must not swallow it.
    pub fn encode(&self) -> Vec<u8> {
        let params = serde_json::to_string(self).expect("strings are always JSON");
        format!("\n{}\n", json_rpc::notification_with(METHOD, params)).into_bytes()
    }

    /// Reads the `params` of the notification.
    pub fn parse(params: &str) -> Option<Self> {
        serde_json::from_str(params).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::error::CloseReason;
    use crate::upstream::message::{Sorted, sort};

    #[test]
    fn what_is_sent_is_recognized_among_messages() {
        let stderr = vec!["no licence".to_owned()];
        for notice in [
            ExitNotice::Ended { status: "exited with status 7".to_owned(), stderr },
            ExitNotice::Refused("x".to_owned()),
        ] {
            let line = String::from_utf8(notice.encode()).unwrap();
            assert_eq!(sort(line.trim().as_bytes()), Sorted::ExitNotice(notice));
        }
    }

    #[test]
    fn a_message_that_the_server_wrote_itself_forges_nothing() {
        let stderr = vec!["\u{1b}[2J\nforged".to_owned(); 20];
        let ended = ExitNotice::Ended { status: "ended\u{202e}".repeat(1000), stderr };
        let CloseReason::Exited { status, stderr } = ended.into() else { panic!("it ended") };
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
