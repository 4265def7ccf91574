//! Headers of callers that go along to servers: which do, which never do, and that no two callers ever meet in
//! one session.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::servers::{Running, quirk, script};
use crate::support::{Answer, Ask, Gateway, free_port, provisioned, until};

/// A server that tells what it sees.
struct Server {
    port: u16,
    kind: &'static str,
    running: Running,
}

impl Server {
    async fn start(python: &Path, kind: &'static str) -> Self {
        let port = free_port();
        let (path, number) = (script("identity_server.py"), port.to_string());
        let command = [python.to_str().unwrap(), path.to_str().unwrap(), &number, kind];
        let running = Running::on_port(&command, &[], port).await;
        Self { port, kind, running }
    }

    /// An entry that forwards these headers.
    fn entry(&self, forward: &[&str]) -> Value {
        let path = if self.kind == "sse" { "sse" } else { "mcp" };
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        json!({ "type": self.kind, "url": url, "forwardHeaders": forward })
    }

    /// Every request that it got.
    async fn seen(&self) -> Vec<Value> {
        let answer = Ask::new(([127, 0, 0, 1], self.port).into(), "GET", "/seen").send().await;
        answer.ok().as_array().unwrap().clone()
    }

    /// The values of `header` that came with each session, "-" for none.
    async fn users_by_session(&self, header: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for request in self.seen().await {
            if let Some(session) = request["session"].as_str() {
                let user = request["headers"][header].as_str().unwrap_or("-").to_owned();
                users.entry(session.to_owned()).or_default().insert(user);
            }
        }
        users
    }
}

/// A call of `path` with these headers.
async fn call(gateway: &Gateway, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let ask = headers
        .iter()
        .fold(gateway.keyed(gateway.ask("POST", path)), |ask, (name, value)| ask.header(name, value));
    ask.json(body).send().await
}

async fn whoami(gateway: &Gateway, headers: &[(&str, &str)]) -> Value {
    call(gateway, "/s/whoami", headers, &json!({})).await.ok()
}

fn session(seen: &Value) -> String {
    seen["session"].as_str().unwrap_or_else(|| panic!("no session in {seen}")).to_owned()
}

/// 16 callers at a time, of three identities and none, never see each other's headers or share a session.
async fn callers_never_meet(kind: &'static str, rounds: usize) {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, kind).await;
    let gateway = Gateway::serving(json!({ "s": server.entry(&["X-User", "X-Team-*"]) })).start().await;
    gateway.listed(&["s"]).await;
    let callers: [&[(&str, &str)]; 4] = [
        &[("X-User", "ada")],
        &[("X-User", "bob"), ("X-Team-Name", "blue")],
        &[("x-team-name", "red"), ("X-USER", "bob")],
        &[("X-Other", "nobody")],
    ];
    let lane = async |lane: usize| {
        let mut sessions: Vec<BTreeSet<String>> = vec![BTreeSet::new(); callers.len()];
        for round in 0..rounds {
            let caller = (lane + round) % callers.len();
            let seen = whoami(&gateway, callers[caller]).await;
            let value = |name: &str| {
                let own = callers[caller].iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                own.filter(|_| name != "X-Other").map_or(Value::Null, |(_, value)| json!(value))
            };
            for name in ["X-User", "X-Team-Name", "X-Other"] {
                assert_eq!(seen["headers"][name.to_lowercase()], value(name), "{name} of {caller}: {seen}");
            }
            sessions[caller].insert(session(&seen));
        }
        sessions
    };
    let lanes = futures_util::future::join_all((0..16).map(lane)).await;
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for (caller, session) in lanes.iter().flat_map(|sessions| {
        sessions.iter().enumerate().flat_map(|(caller, sessions)| sessions.iter().map(move |id| (caller, id)))
    }) {
        assert_eq!(*owners.entry(session.clone()).or_insert(caller), caller, "two callers in {session}");
    }
    assert_eq!(owners.len(), callers.len(), "a session for each caller and no more: {owners:?}");
    for header in ["x-user", "x-team-name"] {
        for (session, users) in server.users_by_session(header).await {
            assert_eq!(users.len(), 1, "{header} in session {session}: {users:?}");
        }
    }
}

#[tokio::test]
async fn callers_never_share_a_session_over_streamable_http() {
    callers_never_meet("streamable-http", 20).await;
}

#[tokio::test]
async fn callers_never_share_a_session_over_sse() {
    callers_never_meet("sse", 8).await;
}

#[tokio::test]
async fn what_must_not_be_forwarded_never_arrives_whatever_the_list_says() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let mut entry = server.entry(&["*"]);
    entry["headers"] = json!({ "X-Fixed": "of the entry" });
    let gateway = Gateway::serving(json!({ "s": entry })).start().await;
    gateway.listed(&["s"]).await;
    let planted = [
        ("Cookie", "planted=1"),
        ("Accept-Language", "planted"),
        ("Content-Language", "planted"),
        ("Proxy-Authorization", "Basic planted"),
        ("TE", "trailers"),
        ("Mcp-Session-Id", "planted"),
        ("Mcp-Protocol-Version", "planted"),
        ("Mcp-Name", "planted"),
        ("Last-Event-ID", "planted"),
        ("X-Request-Id", "planted"),
        ("X-Forwarded-For", "planted"),
        ("X-Forwarded-Host", "planted"),
        ("Forwarded", "for=planted"),
        ("Referer", "http://planted/"),
        ("Authorization", "Bearer planted"),
        ("X-Fixed", "planted"),
        ("Connection", "X-Hop"),
        ("X-Hop", "planted"),
        ("X-User", "ada"),
        ("X-Forwarded-User", "ada@example.org"),
    ];
    let seen = whoami(&gateway, &planted).await;
    assert_eq!(seen["headers"]["x-user"], "ada", "{seen}");
    assert_eq!(seen["headers"]["x-forwarded-user"], "ada@example.org", "{seen}");
    assert_eq!(seen["headers"]["x-fixed"], "of the entry", "{seen}");
    let requests = server.seen().await;
    assert!(requests.iter().any(|request| request["headers"]["x-user"] == "ada"), "{requests:?}");
    for request in requests {
        let text = request.to_string();
        assert!(!text.contains("planted") && !text.contains("x-hop"), "{text}");
        assert_eq!(request["headers"]["te"], Value::Null, "{text}");
        assert_eq!(request["headers"]["host"], format!("127.0.0.1:{}", server.port), "{text}");
    }
    for text in [gateway.log(), gateway.get("/servers").await.text()] {
        assert!(!text.contains("planted") && !text.contains("ada"), "a value of a caller in {text}");
    }
}

#[tokio::test]
async fn credentials_go_along_only_where_they_are_named_and_no_key_is_needed() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let config = json!({
        "s": server.entry(&["Authorization"]),
        "pattern": server.entry(&["*"]),
        "none": server.entry(&[]),
    });
    let gateway = Gateway::serving(config.clone()).start().await;
    gateway.listed(&["s", "pattern", "none"]).await;
    let headers = [("Authorization", "Bearer of-ada")];
    assert_eq!(whoami(&gateway, &headers).await["headers"]["authorization"], "Bearer of-ada");
    for path in ["/pattern/whoami", "/none/whoami"] {
        let seen = call(&gateway, path, &headers, &json!({})).await.ok();
        assert_eq!(seen["headers"]["authorization"], Value::Null, "{path}: {seen}");
    }
    assert!(!gateway.log().contains("of-ada"));
    drop(gateway);

    let gateway = Gateway::serving(config).flag("--api-key", "key-of-the-gateway").start().await;
    gateway.listed(&["s", "pattern", "none"]).await;
    gateway.logged("callers present the gateway's own API key").await;
    let copies =
        [("X-Api-Key", "key-of-the-gateway"), ("X-Copy", "Bearer key-of-the-gateway"), ("X-User", "ada")];
    for path in ["/s/whoami", "/pattern/whoami", "/none/whoami"] {
        let seen = call(&gateway, path, &copies, &json!({})).await.ok();
        assert_eq!(seen["headers"]["x-user"] == "ada", path == "/pattern/whoami", "{path}: {seen}");
    }
    for request in server.seen().await {
        assert!(!request.to_string().contains("key-of-the-gateway"), "{request}");
    }
}

#[tokio::test]
async fn when_all_connections_are_in_use_the_call_is_told_which_limit_it_met() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let config = json!({
        "mcpServers": { "s": server.entry(&["X-User"]) },
        "limits": { "identities": 2 },
    });
    let gateway = Gateway::with(config).start().await;
    gateway.listed(&["s"]).await;
    let wait = json!({ "seconds": 3 });
    let busy = async |user: &'static str| call(&gateway, "/s/wait", &[("X-User", user)], &wait).await;
    let third = async {
        until(Duration::from_secs(10), "two calls to be under way", async || {
            let calls = server.users_by_session("x-user").await;
            (calls.values().flatten().filter(|user| *user == "ada" || *user == "bob").count() == 2)
                .then_some(())
        })
        .await;
        // The shared connection is none of these.
        assert_eq!(whoami(&gateway, &[]).await["headers"]["x-user"], Value::Null);
        call(&gateway, "/s/whoami", &[("X-User", "eve")], &json!({})).await
    };
    let (ada, bob, eve) = tokio::join!(busy("ada"), busy("bob"), third);
    assert_eq!(ada.ok()["headers"]["x-user"], "ada");
    assert_eq!(bob.ok()["headers"]["x-user"], "bob");
    assert_eq!(eve.status, 503, "{}", eve.text());
    assert!(eve.text().contains("limits.identities") && eve.text().contains('2'), "{}", eve.text());
    assert!(eve.header("retry-after").is_some());
    // One of the two is unused now and makes room.
    assert_eq!(whoami(&gateway, &[("X-User", "eve")]).await["headers"]["x-user"], "eve");
    assert_eq!(gateway.server("s").await["state"], "ready");
}

#[tokio::test]
async fn an_unused_session_is_ended_and_opened_anew_when_it_is_wanted() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let config = json!({
        "mcpServers": { "s": server.entry(&["X-User"]) },
        "limits": { "identityIdle": 0.5 },
    });
    let mut gateway = Gateway::with(config).start().await;
    gateway.listed(&["s"]).await;
    let shared = session(&whoami(&gateway, &[]).await);
    let first = session(&whoami(&gateway, &[("X-User", "ada")]).await);
    let ended = async |session: &str| {
        let session = session.to_owned();
        until(Duration::from_secs(10), "the session to be ended", async || {
            let seen = server.seen().await;
            seen.iter()
                .find(|request| request["method"] == "DELETE" && request["session"] == session.as_str())
                .map(|request| assert_eq!(request["headers"]["x-user"], "ada", "{request}"))
        })
        .await;
    };
    ended(&first).await;
    let second = session(&whoami(&gateway, &[("X-User", "ada")]).await);
    assert_ne!(first, second);
    assert_eq!(session(&whoami(&gateway, &[]).await), shared, "the shared connection went, too");
    // The end of the gateway ends those that are there.
    let third = session(&whoami(&gateway, &[("X-User", "ada")]).await);
    assert!(gateway.stop().await.success());
    ended(&third).await;
}

#[tokio::test]
async fn each_caller_is_served_again_after_a_restart_of_the_server() {
    let Some(python) = provisioned::python() else { return };
    for kind in ["streamable-http", "sse"] {
        let mut server = Server::start(&python, kind).await;
        let gateway = Gateway::serving(json!({ "s": server.entry(&["X-User"]) })).start().await;
        gateway.listed(&["s"]).await;
        let users = ["ada", "bob"];
        for user in users {
            assert_eq!(whoami(&gateway, &[("X-User", user)]).await["headers"]["x-user"], user);
        }
        server.running.kill();
        let down = call(&gateway, "/s/whoami", &[("X-User", "ada")], &json!({})).await;
        assert!([502, 503].contains(&down.status), "{kind}: {} {}", down.status, down.text());
        let port = server.port;
        server.running.restart(port).await;
        for user in users {
            until(Duration::from_secs(40), "a call to be answered again", async || {
                let answer = call(&gateway, "/s/whoami", &[("X-User", user)], &json!({})).await;
                (answer.status == 200).then(|| assert_eq!(answer.json()["headers"]["x-user"], user))
            })
            .await;
        }
        for (session, users) in server.users_by_session("x-user").await {
            assert_eq!(users.len(), 1, "{kind}: session {session}: {users:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_whom_the_server_refuses_is_told_so_and_others_are_served() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let gateway = Gateway::serving(json!({ "s": server.entry(&["X-User"]) })).start().await;
    gateway.listed(&["s"]).await;
    let refused = call(&gateway, "/s/whoami", &[("X-User", "refused")], &json!({})).await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.text().contains("401"), "{}", refused.text());
    // At most one try a second: the same answer, without another question to the server.
    let again = call(&gateway, "/s/whoami", &[("X-User", "refused")], &json!({})).await;
    assert_eq!(again.status, 502);
    let tries =
        server.seen().await.iter().filter(|request| request["headers"]["x-user"] == "refused").count();
    assert_eq!(tries, 1);
    assert_eq!(whoami(&gateway, &[("X-User", "ada")]).await["headers"]["x-user"], "ada");
    assert_eq!(gateway.server("s").await["state"], "ready");
    assert_eq!(whoami(&gateway, &[]).await["headers"]["x-user"], Value::Null);
}

#[tokio::test]
async fn a_deadline_holds_for_a_connection_that_is_slow_to_open() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let mut entry = server.entry(&["X-User"]);
    entry["timeout"] = json!(0.3);
    let gateway = Gateway::serving(json!({ "s": entry })).start().await;
    gateway.listed(&["s"]).await;
    let start = Instant::now();
    let late = call(&gateway, "/s/whoami", &[("X-User", "slow")], &json!({})).await;
    assert_eq!(late.status, 504, "{}", late.text());
    assert!(start.elapsed() < Duration::from_millis(900), "{:?}", start.elapsed());
    // The try goes on for whoever comes next, and is the only one.
    until(Duration::from_secs(10), "the slow caller to be served", async || {
        let answer = call(&gateway, "/s/whoami", &[("X-User", "slow")], &json!({})).await;
        (answer.status == 200).then_some(())
    })
    .await;
    let sessions = server.users_by_session("x-user").await;
    assert_eq!(sessions.values().filter(|users| users.contains("slow")).count(), 1, "{sessions:?}");
}

#[tokio::test]
async fn a_call_through_the_gateways_own_tool_forwards_what_the_inner_server_allows() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let gateway = Gateway::serving(json!({
        "gateway": { "builtin": "gateway" },
        "s": server.entry(&["X-User"]),
        "other": server.entry(&["X-Team"]),
        "none": server.entry(&[]),
        "plain": quirk(&["behave"]),
    }))
    .start()
    .await;
    gateway.listed(&["s", "other", "none", "plain"]).await;
    let headers = [("X-User", "ada"), ("X-Team", "blue")];
    for (name, user, team) in [
        ("s", json!("ada"), Value::Null),
        ("other", Value::Null, json!("blue")),
        ("none", Value::Null, Value::Null),
    ] {
        let body = json!({ "server": name, "tool": "whoami" });
        let seen = call(&gateway, "/gateway/call_tool", &headers, &body).await.ok();
        assert_eq!(
            (&seen["headers"]["x-user"], &seen["headers"]["x-team"]),
            (&user, &team),
            "{name}: {seen}"
        );
    }
    let body = json!({ "server": "plain", "tool": "noargs" });
    call(&gateway, "/gateway/call_tool", &headers, &body).await.ok();
}
