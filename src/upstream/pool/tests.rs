use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::sleep;

use super::*;
use crate::config::{ForwardingConfig, HeaderPattern};
use crate::shares::Principal;
use crate::upstream::connection::{CloseSignal, OutgoingMessage};
use crate::upstream::era_cache::EraCache;
use crate::upstream::error::{RequestError, StatusReason};
use crate::upstream::identity::CallerHeaders;
use crate::upstream::message::Reply;
use crate::upstream::pool::connect::DedicatedConnection;
use crate::upstream::progress::Progress;
use crate::upstream::request::Request;

const IDLE: Duration = Duration::from_secs(300);
/// Less than any time that matters here.
const MOMENT: Duration = Duration::from_millis(5);

/// A server that only counts. With paused time each step of a test is exact.
#[derive(Default)]
struct Server {
    opened: AtomicUsize,
    closed: Arc<AtomicUsize>,
    given_up: AtomicUsize,
    /// How long one try takes.
    takes: Duration,
    /// How long the end of a connection takes.
    farewell: Duration,
    refuses: Mutex<Option<CloseReason>>,
}

struct FakePoolConnection {
    end: CloseSignal,
    era: EraCache,
    closed: Arc<AtomicUsize>,
    farewell: Duration,
}

impl Connect for Server {
    fn open<'a>(
        &'a self,
        _: &'a Identity,
        give_up: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<DedicatedConnection, CloseReason>> {
        Box::pin(async move {
            if give_up.run_until_cancelled(sleep(self.takes)).await.is_none() {
                self.given_up.fetch_add(1, Ordering::Relaxed);
                return Err(CloseReason::Stopping);
            }
            self.opened.fetch_add(1, Ordering::Relaxed);
            if let Some(reason) = self.refuses.lock().unwrap().clone() {
                return Err(reason);
            }
            let connection = FakePoolConnection {
                end: CloseSignal::default(),
                era: EraCache::default(),
                closed: self.closed.clone(),
                farewell: self.farewell,
            };
            Ok(DedicatedConnection {
                connection: Arc::new(connection),
                relay: Arc::default(),
                log: Arc::default(),
                reader: None,
            })
        })
    }

    fn probe<'a>(&'a self, _: &'a Identity, _: &'a DedicatedConnection) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

impl Connection for FakePoolConnection {
    fn send(&self, _: OutgoingMessage) -> BoxFuture<'static, Result<(), RequestError>> {
        Box::pin(async { Ok(()) })
    }

    fn respond(&self, _: Bytes) {}

    fn request<'a>(
        &'a self,
        _: Request<'a>,
        _: Option<Arc<Progress>>,
    ) -> BoxFuture<'a, Result<Reply, RequestError>> {
        Box::pin(async { Err(RequestError::SessionLost { ran_nothing: true }) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.end.set(CloseReason::Stopping);
            sleep(self.farewell).await;
            self.closed.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn end(&self) -> &CloseSignal {
        &self.end
    }

    fn era(&self) -> &EraCache {
        &self.era
    }
}

fn bounds(most: usize) -> DedicatedConfig {
    DedicatedConfig { most, idle: IDLE }
}

fn pool_of(config: DedicatedConfig) -> ConnectionPool {
    ConnectionPool::new(ServerName::new("s").unwrap(), config, None)
}

fn user(name: &str) -> Identity {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-user"), HeaderValue::from_str(name).unwrap());
    let allowed = vec![HeaderPattern::parse("X-User").unwrap()];
    let rules = ForwardingConfig { allowed, withheld: Vec::new(), claims: Vec::new() };
    Identity::new(&rules, &Principal::default(), &CallerHeaders::collect(&headers, |_, _| true)).unwrap()
}

fn pool(limit: usize, server: Server) -> (ConnectionPool, Arc<Server>) {
    let pool = pool_of(bounds(limit));
    let server = Arc::new(server);
    pool.start(server.clone());
    (pool, server)
}

fn counts(server: &Server) -> (usize, usize) {
    (server.opened.load(Ordering::Relaxed), server.closed.load(Ordering::Relaxed))
}

fn connections(pool: &ConnectionPool) -> usize {
    pool.0.entries().by_key.len()
}

/// The reason of a call that got no connection.
fn reason(outcome: Result<Lease, NoConnection>) -> CloseReason {
    match outcome.expect_err("there is a connection") {
        NoConnection::Unavailable(unavailable) => (*unavailable.reason.unwrap()).clone(),
        NoConnection::Refused(status) => CloseReason::Status(status),
    }
}

#[tokio::test(start_paused = true)]
async fn callers_of_one_identity_share_one_connection_and_others_never() {
    let (pool, server) = pool(8, Server { takes: Duration::from_secs(1), ..Server::default() });
    let names = ["a", "b", "a", "a", "b"].map(user);
    let leases = join_all(names.iter().map(|identity| pool.lease(identity))).await;
    let links: Vec<*const u8> =
        leases.iter().map(|lease| Arc::as_ptr(&lease.as_ref().unwrap().open.connection).cast()).collect();
    assert_eq!(counts(&server), (2, 0));
    assert_eq!((links[0], links[0], links[1]), (links[2], links[3], links[4]));
    assert_ne!(links[0], links[1]);
}

#[tokio::test(start_paused = true)]
async fn the_least_recently_used_makes_room_and_one_in_use_never_does() {
    let (pool, server) = pool(2, Server::default());
    let kept = pool.lease(&user("kept")).await.unwrap();
    drop(pool.lease(&user("old")).await.unwrap());
    sleep(MOMENT).await;
    // `old` is unused, so it ends.
    let new = pool.lease(&user("new")).await.unwrap();
    sleep(MOMENT).await;
    assert_eq!((counts(&server), connections(&pool)), ((3, 1), 2));
    assert!(!kept.end().is_set() && !new.end().is_set());
    // Both are in use now.
    let refused = reason(pool.lease(&user("more")).await);
    assert!(matches!(&refused, CloseReason::AllInUse(exceeded) if exceeded.bounds == Bounds::undivided(2)));
    assert!(refused.public().contains("limits.identities") && refused.public().contains('2'), "{refused}");
    drop(new);
    sleep(MOMENT).await;
    drop(kept);
    // `new` was unused for longer than `kept`.
    drop(pool.lease(&user("more")).await.unwrap());
    drop(pool.lease(&user("kept")).await.unwrap());
    assert_eq!(counts(&server).0, 4);
    drop(pool.lease(&user("new")).await.unwrap());
    assert_eq!(counts(&server).0, 5);
}

#[tokio::test(start_paused = true)]
async fn connections_that_take_long_to_end_are_bounded_too() {
    let (pool, server) = pool(2, Server { farewell: Duration::from_secs(2), ..Server::default() });
    let mut refused = 0;
    for number in 0..10 {
        refused += usize::from(pool.lease(&user(&number.to_string())).await.is_err());
    }
    assert_eq!((counts(&server), refused), ((4, 0), 6));
    sleep(Duration::from_secs(3)).await;
    assert!(pool.lease(&user("later")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_ends_and_a_used_one_stays() {
    let (pool, server) = pool(2, Server::default());
    let used = pool.lease(&user("used")).await.unwrap();
    drop(pool.lease(&user("unused")).await.unwrap());
    sleep(IDLE - MOMENT).await;
    assert_eq!(counts(&server), (2, 0));
    sleep(MOMENT * 2).await;
    assert_eq!((counts(&server), connections(&pool)), ((2, 1), 1));
    sleep(IDLE * 3).await;
    assert_eq!(counts(&server), (2, 1));
    // The time counts from the end of the last use.
    drop(used);
    sleep(IDLE - MOMENT).await;
    assert_eq!(counts(&server), (2, 1));
    sleep(IDLE + MOMENT).await;
    assert_eq!((counts(&server), connections(&pool)), ((2, 2), 0));
    drop(pool.lease(&user("used")).await.unwrap());
    assert_eq!(counts(&server).0, 3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_is_told_to_all_and_repeated_at_most_once_a_second() {
    let (pool, server) = pool(2, Server { takes: MOMENT, ..Server::default() });
    *server.refuses.lock().unwrap() = Some(CloseReason::Broken("no".into()));
    let identity = user("a");
    let outcomes = join_all((0..5).map(|_| pool.lease(&identity))).await;
    assert!(outcomes.into_iter().all(|outcome| reason(outcome) == CloseReason::Broken("no".into())));
    sleep(TRY_AGAIN - MOMENT).await;
    assert!(pool.lease(&identity).await.is_err());
    assert_eq!(counts(&server).0, 1);
    *server.refuses.lock().unwrap() = None;
    sleep(MOMENT).await;
    assert!(pool.lease(&identity).await.is_ok());
    assert_eq!(counts(&server).0, 2);
}

#[tokio::test(start_paused = true)]
async fn a_status_refuses_one_caller_and_says_which_it_was() {
    let (pool, server) = pool(2, Server::default());
    let status = StatusReason { status: 401, ..StatusReason::default() };
    *server.refuses.lock().unwrap() = Some(CloseReason::Status(status.clone()));
    let refused = pool.lease(&user("a")).await;
    assert!(matches!(refused, Err(NoConnection::Refused(told)) if told == status));
    *server.refuses.lock().unwrap() = None;
    assert!(pool.lease(&user("b")).await.is_ok());
    // A failed connection is forgotten by itself.
    sleep(TRY_AGAIN + MOMENT).await;
    assert_eq!(connections(&pool), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_is_replaced_at_once() {
    let (pool, server) = pool(1, Server { farewell: Duration::from_secs(1), ..Server::default() });
    let old = pool.lease(&user("a")).await.unwrap();
    old.end().set(CloseReason::SessionLost);
    let new = pool.lease(&user("a")).await.unwrap();
    assert!(!new.end().is_set());
    // The end of the old call must not count as one of the new connection's.
    drop(old);
    sleep(IDLE * 2).await;
    assert_eq!((counts(&server), connections(&pool)), ((2, 1), 1));
    assert!(!new.end().is_set());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_does_not_end_the_try_of_others() {
    let (pool, server) = pool(1, Server { takes: Duration::from_secs(1), ..Server::default() });
    let identity = user("a");
    let (left, stayed) =
        tokio::join!(tokio::time::timeout(MOMENT, pool.lease(&identity)), pool.lease(&identity));
    assert!(left.is_err() && stayed.is_ok());
    assert_eq!(counts(&server), (1, 0));
    // A try without a waiting call makes room for others.
    drop(stayed);
    let waiting = tokio::time::timeout(MOMENT, pool.lease(&user("b"))).await;
    assert!(waiting.is_err());
    assert!(pool.lease(&user("c")).await.is_ok());
    assert_eq!(server.given_up.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_start_of_the_server() {
    let pool = pool_of(bounds(1));
    let start = async {
        sleep(Duration::from_secs(1)).await;
        pool.start(Arc::new(Server::default()));
    };
    let identity = user("a");
    let (lease, ()) = tokio::join!(pool.lease(&identity), start);
    assert!(lease.is_ok());
}

#[tokio::test(start_paused = true)]
async fn new_bounds_count_for_what_is_there() {
    let (pool, server) = pool(1, Server::default());
    let first = pool.lease(&user("a")).await.unwrap();
    assert!(pool.lease(&user("b")).await.is_err());
    pool.adopt(DedicatedConfig { most: 2, idle: IDLE * 2 });
    pool.share(Bounds::undivided(2));
    drop(pool.lease(&user("b")).await.unwrap());
    drop(first);
    sleep(IDLE + MOMENT).await;
    assert_eq!(counts(&server), (2, 0));
    sleep(IDLE).await;
    assert_eq!(counts(&server), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_connection_and_lets_no_new_one_be_made() {
    let (pool, server) = pool(4, Server { farewell: Duration::from_secs(1), ..Server::default() });
    let used = pool.lease(&user("used")).await.unwrap();
    drop(pool.lease(&user("unused")).await.unwrap());
    let begun = Instant::now();
    pool.close().await;
    assert_eq!(counts(&server), (2, 2));
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "they end one after the other");
    assert!(used.end().is_set());
    assert_eq!(reason(pool.lease(&user("used")).await), CloseReason::Stopping);
    assert_eq!(connections(&pool), 0);
}
