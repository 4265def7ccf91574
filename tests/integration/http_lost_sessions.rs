//! Servers that have forgotten the session say so in many ways; each time a new one is begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::fake_http::{Came, FakeHttp, Says, plain, result};
use crate::support::{Gateway, until};

/// How a server refuses a session that it does not know.
type Refusal = fn(&Came) -> Says;

fn error(status: u16, message: &str) -> Says {
    let error = json!({ "code": -32000, "message": message });
    Says::json(status, &json!({ "jsonrpc": "2.0", "id": null, "error": error }))
}

/// A server whose session is named by `generation`, and that refuses every other one as `refusal` says. `t` says that it is
/// idempotent, `fine` does not.
async fn forgetful(generation: &Arc<AtomicUsize>, refusal: Refusal) -> FakeHttp {
    let generation = generation.clone();
    FakeHttp::start(move |came| {
        let session = format!("s{}", generation.load(Ordering::SeqCst));
        match (came.asks(), came.method.as_str()) {
            ("initialize", _) => return Some(plain(came).with("Mcp-Session-Id", &session)),
            ("server/discover", _) | (_, "GET" | "DELETE") => return None,
            _ => {}
        }
        if came.header("mcp-session-id") != session {
            return Some(refusal(came));
        }
        (came.asks() == "tools/list").then(|| {
            let mut list = result(&came.message).unwrap();
            list["result"]["tools"][0]["annotations"] = json!({ "idempotentHint": true });
            Says::json(200, &list)
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_meets_a_lost_session_is_made_again_where_nothing_ran() {
    // The refusal, and whether a call that is not idempotent is made again.
    let ways: [(&str, Refusal, bool); 13] = [
        ("s404", |_| error(404, "Session not found"), true),
        ("html404", |_| Says::new(404, "text/html", "<html>no such page</html>"), true),
        ("s400", |_| error(400, "Bad Request: No valid session ID provided"), true),
        ("init400", |_| error(400, "Bad Request: Server not initialized"), true),
        ("s410", |_| Says::new(410, "text/plain", "the session has ended"), true),
        ("s422", |_| Says::new(422, "", "Expected initialize request"), true),
        (
            "s200",
            |came| {
                let error = json!({ "code": -32001, "message": "Session not found" });
                Says::json(200, &json!({ "jsonrpc": "2.0", "id": came.message["id"], "error": error }))
            },
            true,
        ),
        ("bare410", |_| Says::new(410, "text/plain", "gone"), false),
        ("s401", |_| Says::new(401, "", "Unauthorized: Session not found"), false),
        ("bare401", |_| Says::json(401, &json!({ "error": "invalid_token" })), false),
        ("s403", |_| error(403, "Mcp-Session-Id principal mismatch"), false),
        ("s503", |_| error(503, "session is unknown on this API instance"), false),
        ("s500", |_| error(500, "no such session"), false),
    ];
    let generation = Arc::new(AtomicUsize::new(0));
    let mut servers = Vec::new();
    for (name, refusal, again) in ways {
        servers.push((name, forgetful(&generation, refusal).await, again));
    }
    let entries: serde_json::Map<String, Value> =
        servers.iter().map(|(name, server, _)| ((*name).to_owned(), server.entry())).collect();
    let gateway = Gateway::serving(Value::Object(entries)).start().await;
    let names: Vec<&str> = servers.iter().map(|(name, ..)| *name).collect();
    gateway.ready(&names).await;
    for (name, server, again) in &servers {
        gateway.ready(&[name]).await;
        generation.fetch_add(1, Ordering::SeqCst);
        let call = gateway.post(&format!("/{name}/fine"), &json!({})).await;
        assert_eq!(call.status == 200, *again, "{name}: {} {}", call.status, call.text());
        gateway.ready(&[name]).await;
        let after = gateway.post(&format!("/{name}/fine"), &json!({})).await;
        assert_eq!(after.status, 200, "{name} afterwards: {}", after.text());
        generation.fetch_add(1, Ordering::SeqCst);
        // What is idempotent may be made again whatever the refusal; only one that speaks of no session is another's.
        let call = gateway.post(&format!("/{name}/t"), &json!({})).await;
        assert_eq!(call.status == 200, *name != "bare401", "{name}, idempotent: {}", call.text());
        until(Duration::from_secs(20), &format!("{name}: a third session"), async || {
            (server.times("initialize") == 3).then_some(())
        })
        .await;
        gateway.ready(&[name]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_only_looks_like_a_lost_session_is_its_own() {
    let refusals: [(&str, Refusal, &str); 5] = [
        ("s404", |_| Says::json(404, &json!({ "detail": "no such project" })), "no such project"),
        ("s400", |_| error(400, "the chat session is full"), "the chat session is full"),
        ("s401", |_| Says::new(401, "text/plain", "no rights to this tool"), "no rights to this tool"),
        ("s503", |_| Says::new(503, "text/plain", "maintenance until 14:00"), "maintenance until 14:00"),
        (
            "s200",
            |came| {
                let error = json!({ "code": -32001, "message": "browser session not found" });
                Says::json(200, &json!({ "jsonrpc": "2.0", "id": came.message["id"], "error": error }))
            },
            "browser session not found",
        ),
    ];
    for (name, refusal, words) in refusals {
        let server = FakeHttp::start(move |came| match came.asks() {
            "initialize" => Some(plain(came).with("Mcp-Session-Id", "one")),
            "tools/call" if came.message["params"]["name"] == "t" => Some(refusal(came)),
            _ => None,
        })
        .await;
        let gateway = Gateway::serving(json!({ name: server.entry() })).start().await;
        gateway.ready(&[name]).await;
        let call = gateway.post(&format!("/{name}/t"), &json!({})).await;
        assert!(call.status >= 500 && call.text().contains(words), "{name}: {} {}", call.status, call.text());
        assert!(!call.text().contains("forgotten"), "{name}: {}", call.text());
        assert_eq!(gateway.post(&format!("/{name}/fine"), &json!({})).await.ok(), "done");
        assert_eq!(server.times("initialize"), 1, "{name}: its session is known");
        assert_eq!(
            server.came().iter().filter(|came| came.message["params"]["name"] == "t").count(),
            1,
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_refused_for_good_are_left_alone() {
    let refuses = Arc::new(AtomicUsize::new(0));
    let server = FakeHttp::start({
        let refuses = refuses.clone();
        move |came| match (refuses.load(Ordering::SeqCst), came.asks()) {
            (0, "initialize") => Some(plain(came).with("Mcp-Session-Id", "one")),
            (0, _) => None,
            _ => Some(Says::json(401, &json!({ "error": "invalid_token" }))),
        }
    })
    .await;
    let gateway = Gateway::serving(json!({ "s": server.entry() })).start().await;
    gateway.ready(&["s"]).await;
    refuses.store(1, Ordering::SeqCst);
    assert_eq!(gateway.post("/s/fine", &json!({})).await.status, 502);
    let state = gateway.in_state("s", "unavailable").await;
    assert!(state["reason"].to_string().contains("invalid_token"), "{state}");
    // One new session was tried, and then nothing for five minutes.
    gateway.logged("next try in 300.0 s").await;
    assert_eq!(server.times("initialize"), 2);
}
