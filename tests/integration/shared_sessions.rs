//! Sessions of MCP clients at replicas that share a real Redis: an ended one stays ended, and one in use does not rest.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::mcp::{Session, request};
use crate::support::redis::Redis;
use crate::support::{Gateway, until};

async fn replica(redis: &Redis, idle: u64) -> Gateway {
    let config = json!({
        "shared": redis.url(),
        "sessionKey": "the same at each replica: 0f4a9b6c2d8e",
        "limits": { "sessionIdle": idle },
        "mcpServers": { "gateway": { "builtin": "gateway" } },
    });
    let gateway = Gateway::with(config).start().await;
    store_is(&gateway, "ready").await;
    gateway
}

async fn store_is(gateway: &Gateway, state: &str) {
    until(Duration::from_secs(20), &format!("the store is {state}"), async || {
        (gateway.get("/servers").await.ok()["shared"]["state"] == state).then_some(())
    })
    .await;
}

/// The answer of one replica in the session of another.
async fn status(gateway: &Gateway, session: &Session) -> u16 {
    let ask = gateway.ask("POST", "/mcp").header("Mcp-Session-Id", &session.id);
    let ask = ask.header("MCP-Protocol-Version", "2025-11-25");
    let ask = ask.header("Accept", "application/json, text/event-stream");
    ask.json(&request("tools/list", &json!({}))).send().await.status
}

async fn end(gateway: &Gateway, session: &Session) -> u16 {
    gateway.ask("DELETE", "/mcp").header("Mcp-Session-Id", &session.id).send().await.status
}

/// Waits until the replica refuses the session: a moment, for the message of another one.
async fn is_ended(gateway: &Gateway, session: &Session) {
    until(Duration::from_secs(1), "the session has ended there", async || {
        (status(gateway, session).await == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_that_ends_at_one_replica_ends_at_all_also_over_an_outage_of_the_store() {
    let Some(mut redis) = Redis::start(&[]).await else { return };
    let (one, two, three) = tokio::join!(replica(&redis, 3600), replica(&redis, 3600), replica(&redis, 3600));
    let [session, stays, late] = [(); 3].map(|()| Session::open(&one, "/mcp"));
    let (session, stays, late) = tokio::join!(session, stays, late);
    assert_eq!((status(&two, &session).await, status(&two, &stays).await), (200, 200));
    assert_eq!(end(&two, &session).await, 204);
    assert_eq!(status(&three, &session).await, 404);
    is_ended(&one, &session).await;
    // One that starts later was not told, and asks.
    let later = replica(&redis, 3600).await;
    assert_eq!((status(&later, &session).await, status(&later, &stays).await), (404, 200));

    assert_eq!(status(&three, &late).await, 200);
    redis.kill();
    for replica in [&one, &two, &three] {
        store_is(replica, "unavailable").await;
        assert_eq!(
            status(replica, &stays).await,
            200,
            "an open session goes on, and another one opens again"
        );
    }
    assert_eq!(end(&three, &late).await, 204);
    assert_eq!(status(&three, &late).await, 404);
    redis.begin().await;
    is_ended_soon(&one, &late).await;
    is_ended_soon(&two, &late).await;
    for replica in [&one, &two, &three] {
        assert_eq!((status(replica, &session).await, status(replica, &stays).await), (404, 200));
    }
}

/// The same once the replicas are back at the store.
async fn is_ended_soon(gateway: &Gateway, session: &Session) {
    store_is(gateway, "ready").await;
    until(Duration::from_secs(10), "the session has ended there", async || {
        (status(gateway, session).await == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_in_use_at_one_replica_does_not_rest_at_another() {
    let Some(redis) = Redis::start(&[]).await else { return };
    let (mut one, two) = tokio::join!(replica(&redis, 3), replica(&redis, 3));
    let (session, rests) = tokio::join!(Session::open(&one, "/mcp"), Session::open(&one, "/mcp"));
    let began = Instant::now();
    // Longer than a session may rest.
    until(Duration::from_secs(20), "five seconds of use", async || {
        assert_eq!(status(&one, &session).await, 200);
        (began.elapsed() > Duration::from_secs(5)).then_some(())
    })
    .await;
    assert!(one.stop().await.success());
    assert_eq!((status(&two, &session).await, status(&two, &rests).await), (200, 404));
}
