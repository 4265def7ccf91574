//! Fixtures: the gateway under test, an HTTP client that changes nothing, and servers to put behind it.

pub mod authorization;
pub mod client;
pub mod fake_http;
pub mod gateway;
pub mod identity;
pub mod mcp;
pub mod operator;
pub mod provisioned;
pub mod redis;
pub mod replicas;
pub mod sdk_client;
pub mod servers;
pub mod sign_in;
pub mod starter;
pub mod tls;

use std::sync::atomic::{AtomicU32, Ordering};
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

/// A loopback port on which nothing listens, and which no other test is given: each has a process of its own, and its
/// ports begin at another place. They lie below those that the system gives to listeners and connections by itself.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    const PORTS: std::ops::Range<u32> = 12_000..32_000;
    const FOR_A_TEST: u32 = 32;
    loop {
        let place = std::process::id() * FOR_A_TEST + GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(PORTS.start + place % u32::try_from(PORTS.len()).unwrap()).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
