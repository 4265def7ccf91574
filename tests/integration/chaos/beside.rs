//! Calls to an innocent server while another one, or a client, goes wild: all succeed, none waits for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{Connection, Gateway};

/// What counts as a small delay where a debug build shares two cores with its callers, its servers and other
/// tests. A worker that is held by the fault makes it many times longer.
pub const SMALL_DELAY: Duration = Duration::from_secs(5);

/// Calls one after the other until it is told to end.
pub struct Beside {
    stop: Arc<AtomicBool>,
    calls: JoinHandle<(usize, Duration)>,
}

impl Beside {
    /// Calls `echo` of the server, whose answer holds the arguments.
    pub fn start(gateway: &Gateway, server: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, address) = (stop.clone(), gateway.address);
        let ask = gateway.keyed(gateway.ask("POST", &format!("/{server}/echo")));
        let calls = tokio::spawn(async move {
            let mut connection = Connection::open(address).await.unwrap();
            let (mut calls, mut longest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                let answer = connection.send(ask.clone().json(&json!({ "value": calls }))).await.unwrap();
                assert_eq!(answer.ok()["arguments"]["value"], calls, "another caller's answer");
                longest = longest.max(began.elapsed());
                calls += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (calls, longest)
        });
        Self { stop, calls }
    }

    /// Ends the calls, and holds them to what is promised. Prints how they went.
    pub async fn end(self, what: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let (calls, longest) = self.calls.await.unwrap();
        eprintln!("{what}: {calls} calls beside it, the longest took {longest:?}");
        assert!(calls > 0, "{what}: no call was made beside it");
        assert!(longest < SMALL_DELAY, "{what}: a call beside it took {longest:?}");
    }
}
