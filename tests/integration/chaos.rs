//! What operators, callers, servers and machines do to a gateway: each fault on its own, and a soak of them.
//!
//! Every test is bounded in time and number, stays on the loopback, and ends only processes that it started.

mod attack;
mod beside;
mod bodies;
mod callers;
mod children;
mod connections;
mod descriptors;
mod disk;
mod floods;
pub mod process;
mod remotes;
mod rooms;
mod soak;

use serde_json::Value;

use crate::support::servers;

/// Configuration entry of the server that breaks itself on request.
fn chaos(options: &[&str]) -> Value {
    servers::entry("chaos_server.py", options)
}

/// The same, with a deadline for its calls in seconds.
fn chaos_within(seconds: u64) -> Value {
    let mut entry = chaos(&[]);
    entry["timeout"] = seconds.into();
    entry
}

/// The head of a call, whose body is announced to be of this length.
fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}
