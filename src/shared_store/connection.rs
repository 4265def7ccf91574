//! The task that connects, reports, and connects again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::address::StoreAddress;
use super::store::{ANSWER, AddressSource, SharedStore, StoreEvent, StoreLink, explain};
use crate::json::hex;
use crate::seal::{SealError, random};

/// How long a connection may take, greeting included.
const CONNECT: Duration = Duration::from_secs(2);
/// How often a replica gives a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How long to wait before a further try: at first, and at most.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A connection that lived so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

impl SharedStore {
    /// The store at `address`, whose keys begin with `prefix`. Tries once to reach it.
    ///
    /// The second value keeps it connected until `stop`; it is to be run as a task.
    ///
    /// # Errors
    ///
    /// When the system gives no random numbers.
    pub async fn open(
        address: AddressSource,
        prefix: &str,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + 'static), SealError> {
        let store = Arc::new(Self::new(address, prefix, &hex(&random::<8>()?)));
        if let Err(reason) = store.connect(0).await {
            store.is_away(&reason);
            tracing::warn!(
                "the shared store is away: {reason}; until it is there limits count in this gateway alone, and clients cannot sign in at it"
            );
        }
        let keeping = store.clone().keep(stop);
        Ok((store, keeping))
    }

    async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let (mut number, mut wait) = (1, WAIT.0);
        let mut connected = Instant::now();
        let mut life = interval_at(connected + SIGN_OF_LIFE, SIGN_OF_LIFE);
        life.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.is_there() {
                if connected.elapsed() > GOOD {
                    wait = WAIT.0;
                }
                // A report that fails loses the connection, and says so.
                let _said_when_lost = tokio::select! {
                    () = stop.cancelled() => {
                        let _ends_with_its_lease = self.leave().await;
                        return;
                    }
                    () = self.lost.notified() => Ok(()),
                    () = self.counts.wake.notified() => self.report_changes().await,
                    _ = life.tick() => self.report(&self.counts.held()).await,
                };
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(WAIT.1);
            match self.connect(number).await {
                Ok(()) => connected = Instant::now(),
                Err(reason) => self.is_away(&reason),
            }
            number += 1;
        }
    }

    /// Connects, and tells the store what this replica holds, before anything else is asked.
    async fn connect(self: &Arc<Self>, number: u64) -> Result<(), String> {
        let address = (self.address)().await?;
        let late = || format!("{address} was not reached within {} s", CONNECT.as_secs());
        let opened = timeout(CONNECT, open(&address, number, Arc::downgrade(self))).await;
        let connection = opened.map_err(|_| late())??;
        self.is_back(StoreLink { number, connection });
        // A store that was away may know calls that have ended since.
        if self.report(&self.counts.all()).await.is_err() {
            return Err(self.status().reason.as_deref().unwrap_or("it was lost at once").to_owned());
        }
        tracing::info!(
            "the shared store {address} is there: limits, tokens and sign-ins count over all replicas"
        );
        let _readers = self.events.send(StoreEvent::Connected);
        Ok(())
    }

    /// Takes what the store sends by itself over the connection `number`.
    fn pushed(&self, number: u64, info: PushInfo) {
        match (info.kind, &*info.data) {
            (PushKind::Disconnection, _) => self.lose(number, "it closed the connection"),
            (PushKind::PMessage, [_, Value::BulkString(channel), Value::BulkString(message)]) => {
                let channel = String::from_utf8_lossy(channel);
                if let Some(topic) = channel.strip_prefix(&self.key("events", "")) {
                    // Without a reader it concerns nothing in this process.
                    let told = StoreEvent::Told { topic: topic.into(), message: message.clone() };
                    let _readers = self.events.send(told);
                }
            }
            _ => {}
        }
    }
}

async fn open(
    address: &StoreAddress,
    number: u64,
    store: Weak<SharedStore>,
) -> Result<MultiplexedConnection, String> {
    let failed = |error: redis::RedisError| match error.is_timeout() {
        true => format!("{address} gave no answer in time"),
        false => format!("{address}: {}", explain(&error)),
    };
    let events = store.upgrade().map(|store| store.key("events", "*")).unwrap_or_default();
    let pushed = move |info| {
        if let Some(store) = store.upgrade() {
            store.pushed(number, info);
        }
        Ok::<_, std::convert::Infallible>(())
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER))
        .set_push_sender(pushed);
    let client = redis::Client::open(address.info.clone()).map_err(failed)?;
    let mut connection =
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)?;
    connection.psubscribe(events).await.map_err(failed)?;
    Ok(connection)
}
