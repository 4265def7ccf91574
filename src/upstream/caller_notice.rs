//! The first message on the socket of an isolated server: the caller that the connection serves.
//!
//! `mcpo run-server --isolated` takes it off the socket and puts the name in the place of `${caller}`. It is a JSON-RPC
//! notification, which other servers may ignore.

use serde::{Deserialize, Serialize};

use crate::protocol::json_rpc;
use crate::upstream::isolation::is_name;

/// The method of the notification.
const METHOD: &str = "notifications/mcpo/caller";
/// The longest line that can be such a message, in bytes.
pub const LONGEST: usize = 512;

#[derive(Serialize, Deserialize)]
struct NamedCaller<'a> {
    caller: &'a str,
}

#[derive(Deserialize)]
struct Notice<'a> {
    method: &'a str,
    #[serde(borrow)]
    params: NamedCaller<'a>,
}

/// The message with the line's end.
pub fn encode(caller: &str) -> String {
    let params = serde_json::to_string(&NamedCaller { caller }).expect("a text is always JSON");
    format!("{}\n", json_rpc::notification_with(METHOD, params))
}

/// The caller that `line` names; `None` when it is no such message.
pub fn parse(line: &[u8]) -> Option<&str> {
    let Notice { method, params } = serde_json::from_slice(line).ok()?;
    Some(params.caller).filter(|caller| method == METHOD && is_name(caller))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::isolation::GATEWAY;

    #[test]
    fn what_is_sent_is_read_and_nothing_else_is() {
        let name = "0123456789abcdef0123456789abcdef01234567";
        for caller in [name, GATEWAY] {
            let line = encode(caller);
            assert!(line.len() < LONGEST && line.ends_with('\n'));
            assert_eq!(parse(line.as_bytes()), Some(caller));
        }
        for other in [
            encode("../x"),
            encode(""),
            encode(name).replace("caller\",", "other\","),
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#.to_owned(),
            String::new(),
        ] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }
}
