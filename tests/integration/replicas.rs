//! Three replicas behind HAProxy, with the file that `nix/haproxy.cfg` is: restarts and deaths of one cost no session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::mcp::{Session, stateless};
use crate::support::replicas::{Balancer, REPLICAS, Replica, started};
use crate::support::{Answer, Ask, Connection, provisioned, servers, until};

/// Connections that call at the same time, a third each over REST, in sessions and without.
const CONNECTIONS: usize = 32;

/// The replicas, and HAProxy before them.
struct Replicas {
    each: Vec<Replica>,
    balancer: Balancer,
}

impl Replicas {
    /// `None` where HAProxy is not installed.
    async fn start() -> Option<Self> {
        provisioned::haproxy()?;
        let config = json!({ "mcpServers": { "s": servers::scripted(&[]) }, "limits": { "leave": 3 } });
        let each = started(&vec![config; REPLICAS]).await;
        let balancer = Balancer::start(&each, &[]).await?;
        Some(Self { each, balancer })
    }
}

/// Waits for a call that came to the replica through HAProxy since its start.
async fn is_called(replica: &Replica) {
    replica.running().logged("s/echo ok").await;
}

/// Callers that go on until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// Opens what the callers need, and lets them go.
    async fn start(address: SocketAddr) -> Self {
        let (stop, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut callers = Vec::new();
        for number in 0..CONNECTIONS {
            let mut caller = Caller::new(address, number).await;
            let (stop, calls) = (stop.clone(), calls.clone());
            callers.push(tokio::spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match caller.call(number).await {
                        Ok(()) => _ = calls.fetch_add(1, Ordering::Relaxed),
                        Err(failure) => failures.push(failure),
                    }
                }
                failures
            }));
        }
        Self { stop, calls, callers }
    }

    /// Waits until every caller can have made some more calls.
    async fn goes_on(&self) {
        let before = self.calls.load(Ordering::Relaxed);
        until(Duration::from_secs(30), "further calls", async || {
            (self.calls.load(Ordering::Relaxed) > before + 4 * CONNECTIONS).then_some(())
        })
        .await;
    }

    /// The failures of all callers.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for caller in self.callers {
            failures.extend(caller.await.unwrap());
        }
        failures
    }
}

/// A caller over one kept connection, which it opens again after a failure.
struct Caller {
    address: SocketAddr,
    connection: Option<Connection>,
    kind: Kind,
}

enum Kind {
    Rest,
    Session(Box<Session>),
    Stateless,
}

impl Caller {
    async fn new(address: SocketAddr, number: usize) -> Self {
        let kind = match number % 3 {
            0 => Kind::Rest,
            1 => Kind::Session(Box::new(Session::open_with(Ask::new(address, "POST", "/mcp")).await)),
            _ => Kind::Stateless,
        };
        Self { address, connection: None, kind }
    }

    async fn call(&mut self, number: usize) -> Result<(), String> {
        let arguments = json!({ "value": number });
        let params = json!({ "name": "s_echo", "arguments": arguments });
        let (ask, at) = match &self.kind {
            Kind::Rest => (Ask::new(self.address, "POST", "/s/echo").json(&arguments), "/arguments/value"),
            Kind::Session(session) => (session.asks("tools/call", &params), "/result/content"),
            Kind::Stateless => {
                (stateless(Ask::new(self.address, "POST", "/mcp"), "tools/call", &params), "/result/content")
            }
        };
        let answer = self.send(ask).await?;
        if answer.status != 200 || answer.json().pointer(at).is_none() {
            return Err(format!("{} {}", answer.status, answer.text()));
        }
        Ok(())
    }

    async fn send(&mut self, ask: Ask) -> Result<Answer, String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let answer = connection.send(ask).await?;
        // HAProxy closes the connection behind an answer of its own.
        self.connection = (answer.status == 200).then_some(connection);
        Ok(answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_behind_haproxy_loses_no_call_and_no_session() {
    let Some(mut replicas) = Replicas::start().await else { return };
    let load = Load::start(replicas.balancer.address).await;
    for replica in &mut replicas.each {
        is_called(replica).await;
        assert!(replica.gateway.take().unwrap().stop().await.success());
        load.goes_on().await;
        replica.start().await;
        is_called(replica).await;
    }
    load.goes_on().await;
    assert_eq!(load.end().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_killed_behind_haproxy_loses_the_calls_in_flight_there_and_no_session() {
    let Some(mut replicas) = Replicas::start().await else { return };
    let load = Load::start(replicas.balancer.address).await;
    let replica = &mut replicas.each[0];
    is_called(replica).await;
    replica.running().signal(Signal::SIGKILL);
    replica.gateway = None;
    load.goes_on().await;
    replica.start().await;
    is_called(replica).await;
    load.goes_on().await;
    let failures = load.end().await;
    // HAProxy answers a lost call with 502, or closes the connection behind it without an answer.
    let is_lost = |failure: &String| failure.starts_with("502") || failure.contains("connection closed");
    assert!(failures.iter().all(is_lost), "{failures:?}");
    assert!(failures.len() <= CONNECTIONS, "more than were in flight: {failures:?}");
}
