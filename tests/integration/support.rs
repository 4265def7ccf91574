//! Fixtures: the gateway under test, an HTTP client that changes nothing, and servers to put behind it.

pub mod authorization;
pub mod client;
pub mod fake_http;
pub mod gateway;
pub mod identity;
pub mod mcp;
pub mod operator;
pub mod provisioned;
pub mod servers;
pub mod sign_in;
pub mod starter;

use std::time::{Duration, Instant};

pub use client::{Answer, Ask, Connection};
pub use gateway::Gateway;

/// Polls `probe` until it gives something; panics with `what` after `limit`.
pub async fn until<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A loopback port that nobody listens on at this moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
