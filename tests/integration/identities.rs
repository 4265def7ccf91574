//! Callers with forwarded headers: no two ever meet in one session, and each keeps its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::identity::{Server, call, session, whoami};
use crate::support::servers::{Running, script};
use crate::support::{Ask, Gateway, free_port, provisioned, until};

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
async fn a_forwarded_header_that_differs_with_each_call_is_told_of_once() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let gateway = Gateway::serving(json!({ "s": server.entry(&["X-User", "X-Token"]) })).start().await;
    gateway.listed(&["s"]).await;
    for number in 0..20 {
        whoami(&gateway, &[("X-User", "ada"), ("X-Token", &format!("token-{number}"))]).await;
    }
    gateway.logged("the header `x-token` differs with each call of a caller without a key").await;
    gateway.logged("take it out of `forwardHeaders` of this server").await;
    let log = gateway.log();
    assert_eq!(log.matches("differs with each call").count(), 1, "{log}");
    assert!(!log.contains("token-1"), "a value stands in the log");
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
async fn a_caller_who_leaves_cancels_his_call_and_keeps_his_session() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let gateway = Gateway::serving(json!({ "s": server.entry(&["X-User"]) })).start().await;
    gateway.listed(&["s"]).await;
    let ada = session(&whoami(&gateway, &[("X-User", "ada")]).await);
    let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    let request = "POST /s/wait HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User: ada\r\nContent-Type: application/json\r\n\
                   Content-Length: 15\r\n\r\n{\"seconds\": 60}";
    let before = server.seen().await.len();
    stream.write_all(request.as_bytes()).await.unwrap();
    let under_way = async || (server.seen().await.len() > before).then_some(());
    until(Duration::from_secs(10), "the call at the server", under_way).await;
    let cancelled = async || server.seen().await.into_iter().find(|request| request["method"] == "cancelled");
    assert_eq!(cancelled().await, None);
    drop(stream);
    let cancelled = until(Duration::from_secs(10), "the end of the call", cancelled).await;
    assert_eq!(cancelled["session"], ada.as_str());
    assert_eq!(session(&whoami(&gateway, &[("X-User", "ada")]).await), ada);
}

#[tokio::test]
async fn a_session_that_the_server_forgot_costs_no_caller_a_call() {
    let port = free_port();
    let (path, number) = (script("http_server.py"), port.to_string());
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let command =
        ["python3", path.to_str().unwrap(), "--port", &number, "--events", "--log", log.to_str().unwrap()];
    let _server = Running::on_port(&command, &[], port).await;
    let url = format!("http://127.0.0.1:{port}/mcp");
    let entry = json!({ "type": "http", "url": url, "forwardHeaders": ["X-User"] });
    let gateway = Gateway::serving(json!({ "s": entry })).start().await;
    gateway.listed(&["s"]).await;
    let (rounds, users) = (3, ["ada", "bob"]);
    for round in 0..rounds {
        for user in users {
            let body = json!({ "value": round });
            let answer = call(&gateway, "/s/echo", &[("X-User", user)], &body).await;
            assert_eq!(answer.ok(), body, "{user} in round {round}");
        }
        Ask::new(([127, 0, 0, 1], port).into(), "POST", "/forget").send().await.ok();
    }
    let text = std::fs::read_to_string(&log).unwrap();
    let requests: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for user in users {
        let opened = requests.iter().filter(|request| {
            let headers = request["headers"].as_object().unwrap();
            let own =
                headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("x-user") && value == user);
            own && request["body"].as_str().unwrap().contains("\"initialize\"")
        });
        assert_eq!(opened.count(), rounds, "sessions of {user}");
    }
}

#[tokio::test]
async fn a_reload_takes_up_new_rules_and_leaves_the_shared_session() {
    let Some(python) = provisioned::python() else { return };
    let server = Server::start(&python, "streamable-http").await;
    let with = |forward: &[&str]| json!({ "mcpServers": { "s": server.entry(forward) } });
    let gateway = Gateway::with(with(&[])).start().await;
    gateway.listed(&["s"]).await;
    let headers = [("X-User", "ada"), ("X-Team", "blue")];
    let shared = whoami(&gateway, &headers).await;
    assert_eq!(shared["headers"]["x-user"], Value::Null);
    let mut sessions = BTreeSet::from([session(&shared)]);
    for (forward, user, team) in [
        (&["X-User"][..], json!("ada"), Value::Null),
        (&["X-User", "X-Team"], json!("ada"), json!("blue")),
        (&["X-Team"], Value::Null, json!("blue")),
    ] {
        gateway.reload(&with(forward)).await;
        let seen = whoami(&gateway, &headers).await;
        assert_eq!((&seen["headers"]["x-user"], &seen["headers"]["x-team"]), (&user, &team), "{seen}");
        assert!(sessions.insert(session(&seen)), "a session of other headers is used again: {seen}");
    }
    gateway.reload(&with(&[])).await;
    assert_eq!(session(&whoami(&gateway, &headers).await), session(&shared));
    // A removed server ends the sessions of its callers.
    gateway.reload(&json!({ "mcpServers": {} })).await;
    until(Duration::from_secs(10), "all sessions to be ended", async || {
        let seen = server.seen().await;
        let ended = seen.iter().filter(|request| request["method"] == "DELETE");
        (ended.count() == sessions.len()).then_some(())
    })
    .await;
}
