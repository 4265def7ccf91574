//! What a client asks its session to tell it holds at all replicas that share a real Redis: followed resources, and the log.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::mcp::{Events, Session};
use crate::support::redis::Redis;
use crate::support::replicas::{Balancer, REPLICAS, Replica, started};
use crate::support::sdk_client::SdkClient;
use crate::support::{Gateway, provisioned, servers, until};

const PATIENCE: Duration = Duration::from_secs(30);
const UPDATED: &str = "notifications/resources/updated";
/// An address of a resource may hold a secret.
const OWN: &str = "odd://1/?secret=of-the-address";
const SHOWN: &str = "mcpo://s/odd://1/?secret=of-the-address";

/// Replicas, and what each of their servers was asked.
struct Scene {
    redis: Redis,
    replicas: Vec<Replica>,
    folder: TempDir,
}

impl Scene {
    async fn start(count: usize) -> Option<Self> {
        let (redis, folder) = (Redis::start(&[]).await?, tempfile::tempdir().unwrap());
        let config = |number: usize| {
            let log = log_of(folder.path(), number);
            json!({
                "shared": redis.url(),
                "limits": { "sessionIdle": 600 },
                "mcpServers": { "s": servers::entry("offering_server.py", &["--tells", "--log", log.to_str().unwrap()]) },
            })
        };
        let replicas = started(&(0..count).map(config).collect::<Vec<_>>()).await;
        Some(Self { redis, replicas, folder })
    }

    fn at(&self, number: usize) -> &Gateway {
        self.replicas[number].running()
    }

    fn kill(&mut self, number: usize) {
        self.at(number).signal(Signal::SIGKILL);
        self.replicas[number].gateway = None;
    }

    /// How often the server of a replica was asked this.
    fn asked(&self, number: usize, method: &str) -> usize {
        let log = std::fs::read_to_string(log_of(self.folder.path(), number)).unwrap_or_default();
        log.matches(&format!("\"{method}\"")).count()
    }

    async fn is_asked(&self, number: usize, method: &str, times: usize) {
        until(PATIENCE, &format!("{method} at the server of {number} {times} times"), async || {
            (self.asked(number, method) == times).then_some(())
        })
        .await;
    }

    /// The answer of a replica in the session of any.
    async fn answer(&self, number: usize, session: &Session, method: &str, params: &Value) -> Value {
        let answer = session.streamed(self.at(number), "/mcp", method, params).await.answer().await;
        assert!(answer.get("result").is_some(), "{method}: {answer}");
        answer
    }

    async fn follow(&self, number: usize, session: &Session, method: &str) {
        self.answer(number, session, method, &json!({ "uri": SHOWN })).await;
    }

    /// Has the server of a replica say that the resource has changed.
    async fn touch(&self, number: usize) {
        let other = Session::open(self.at(number), "/mcp").await;
        other.call("s_touch", &json!({ "uri": OWN })).await;
    }

    /// Whether a call at this replica brings a message of the log.
    async fn logs(&self, number: usize, session: &Session) -> bool {
        let call = json!({ "name": "s_log", "arguments": {}, "_meta": { "progressToken": 1 } });
        let mut answer = session.streamed(self.at(number), "/mcp", "tools/call", &call).await;
        assert!(answer.answer().await["result"].is_object());
        answer.text.contains("notifications/message")
    }

    /// The sessions of which the store knows something.
    async fn stored(&self) -> Vec<String> {
        let found = self.redis.ask(&["KEYS", "mcpo:interests:*"]).await;
        found.lines().filter(|line| line.starts_with("mcpo:")).map(str::to_owned).collect()
    }

    /// How many interests the store knows of each, and that it knows it.
    async fn members(&self) -> Vec<String> {
        let mut counts = Vec::new();
        for session in self.stored().await {
            counts.push(self.redis.ask(&["HLEN", &session]).await.trim().to_owned());
        }
        counts.sort();
        counts
    }

    /// How often clients of the store sent this command.
    async fn commands(&self, command: &str) -> usize {
        let all = self.redis.ask(&["INFO", "commandstats"]).await;
        let own = all.split_once(&format!("cmdstat_{command}:calls="));
        own.map_or(0, |(_, rest)| rest.split(',').next().unwrap().parse().unwrap())
    }

    async fn store_is(&self, number: usize, state: &str) {
        until(PATIENCE, &format!("the store is {state}"), async || {
            (self.at(number).get("/servers").await.ok()["shared"]["state"] == state).then_some(())
        })
        .await;
    }
}

fn log_of(folder: &Path, number: usize) -> PathBuf {
    folder.join(number.to_string())
}

/// The next stream tells that the resource may have changed meanwhile.
async fn stream(gateway: &Gateway, session: &Session) -> Events {
    let mut stream = session.stream(gateway, "/mcp").await;
    assert_eq!(stream.message(UPDATED).await["params"]["uri"], SHOWN);
    stream
}

#[tokio::test]
async fn a_session_of_a_replica_that_was_killed_goes_on_telling_at_another_one() {
    let Some(mut scene) = Scene::start(2).await else { return };
    let session = Session::open(scene.at(0), "/mcp").await;
    scene.follow(0, &session, "resources/subscribe").await;
    scene.answer(0, &session, "logging/setLevel", &json!({ "level": "debug" })).await;
    // The store has it when the answer is there, and no secret of it.
    let stored = scene.stored().await;
    assert_eq!(stored.len(), 1, "{stored:?}");
    let text = scene.redis.ask(&["HGETALL", &stored[0]]).await;
    assert!(text.len() > 200 && !text.contains("secret") && !text.contains("odd"), "{text}");
    scene.kill(0);

    let mut told = stream(scene.at(1), &session).await;
    scene.is_asked(1, "resources/subscribe", 1).await;
    scene.touch(1).await;
    assert_eq!(told.message(UPDATED).await["params"]["uri"], SHOWN);
    assert!(scene.logs(1, &session).await);
    assert!(scene.asked(1, "logging/setLevel") > 0);

    // The first one comes back, and knows what changed meanwhile.
    scene.follow(1, &session, "resources/unsubscribe").await;
    scene.is_asked(1, "resources/unsubscribe", 1).await;
    scene.replicas[0].start().await;
    let before = scene.asked(0, "resources/subscribe");
    assert!(scene.logs(0, &session).await);
    assert_eq!(scene.asked(0, "resources/subscribe"), before);

    // What has ended leaves the store.
    assert_eq!(scene.stored().await.len(), 1);
    let ended = scene.at(1).ask("DELETE", "/mcp").header("Mcp-Session-Id", &session.id).send().await;
    assert_eq!(ended.status, 204);
    assert_eq!(scene.stored().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_log_of_one_server_is_told_on_the_stream_of_a_session_that_is_open_again() {
    let Some(mut scene) = Scene::start(2).await else { return };
    let session = Session::open(scene.at(0), "/s/mcp").await;
    session.result("logging/setLevel", &json!({ "level": "warning" })).await;
    scene.kill(0);
    assert_eq!(scene.asked(1, "logging/setLevel"), 0);
    let _stream = session.stream(scene.at(1), "/s/mcp").await;
    scene.is_asked(1, "logging/setLevel", 1).await;
    let log = std::fs::read_to_string(log_of(scene.folder.path(), 1)).unwrap();
    assert!(log.contains(r#""level": "warning""#), "{log}");
}

#[tokio::test]
async fn a_stream_at_one_replica_follows_what_is_asked_at_another() {
    let Some(scene) = Scene::start(2).await else { return };
    let session = Session::open(scene.at(0), "/mcp").await;
    let mut told = session.stream(scene.at(0), "/mcp").await;
    scene.follow(1, &session, "resources/subscribe").await;
    scene.is_asked(0, "resources/subscribe", 1).await;
    scene.touch(0).await;
    assert_eq!(told.message(UPDATED).await["params"]["uri"], SHOWN);
    scene.follow(1, &session, "resources/unsubscribe").await;
    scene.is_asked(0, "resources/unsubscribe", 1).await;
    scene.answer(1, &session, "logging/setLevel", &json!({ "level": "debug" })).await;
    // The message of the other replica may come a moment later.
    until(PATIENCE, "the level at the other replica", async || scene.logs(0, &session).await.then_some(()))
        .await;
}

#[tokio::test]
async fn what_changes_while_the_store_is_away_is_told_when_it_is_back_also_when_it_has_lost_all() {
    let Some(mut scene) = Scene::start(2).await else { return };
    let (session, stays) =
        tokio::join!(Session::open(scene.at(0), "/mcp"), Session::open(scene.at(0), "/mcp"));
    scene.follow(0, &stays, "resources/subscribe").await;
    scene.redis.kill();
    scene.store_is(0, "unavailable").await;
    scene.store_is(1, "unavailable").await;
    scene.follow(0, &session, "resources/subscribe").await;
    // As without a store: a session that is open again elsewhere tells that its lists have changed, and goes on.
    let mut told = stays.stream(scene.at(1), "/mcp").await;
    told.message("notifications/tools/list_changed").await;
    assert_eq!(scene.asked(1, "resources/subscribe"), 0);
    scene.redis.begin().await;
    scene.is_asked(1, "resources/subscribe", 1).await;
    scene.touch(1).await;
    assert_eq!(told.message(UPDATED).await["params"]["uri"], SHOWN);
    until(PATIENCE, "both sessions in the store", async || {
        (scene.members().await == [":2", ":2"]).then_some(())
    })
    .await;

    // An end of a subscription counts, too, over a store that keeps what it has.
    scene.redis.signal(Signal::SIGSTOP);
    scene.follow(1, &session, "resources/unsubscribe").await;
    scene.redis.signal(Signal::SIGCONT);
    until(PATIENCE, "one resource in the store", async || {
        (scene.members().await == [":1", ":2"]).then_some(())
    })
    .await;
    scene.store_is(0, "ready").await;
    let end = json!({ "uri": SHOWN });
    assert_eq!(stays.result("resources/unsubscribe", &end).await, json!({}));
    // The other session follows it at no replica any more.
    scene.is_asked(0, "resources/unsubscribe", 1).await;
    // As long as its session may rest, and not for ever.
    let stored = scene.stored().await;
    let life = scene.redis.ask(&["PTTL", &stored[0]]).await;
    let life: u64 = life.trim().trim_start_matches(':').parse().unwrap();
    assert!((600_000..=720_000).contains(&life), "{life}");
}

#[tokio::test]
async fn a_replica_that_connects_again_tells_nothing_to_a_store_that_has_lost_nothing() {
    let Some(scene) = Scene::start(1).await else { return };
    let mut sessions = Vec::new();
    for _ in 0..8 {
        let session = Session::open(scene.at(0), "/mcp").await;
        scene.follow(0, &session, "resources/subscribe").await;
        sessions.push(session);
    }
    assert_eq!(scene.commands("publish").await, 8);
    // An end of nothing is no news.
    let end = json!({ "uri": "mcpo://s/odd://2/" });
    sessions[0].streamed(scene.at(0), "/mcp", "resources/unsubscribe", &end).await.answer().await;
    assert_eq!(scene.commands("publish").await, 8);
    scene.redis.ask(&["CONFIG", "RESETSTAT"]).await;
    scene.redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    until(PATIENCE, "all sessions compared", async || (scene.commands("hgetall").await >= 8).then_some(()))
        .await;
    // Commands of one connection keep their order, so that a message about any but the last session would be there.
    assert_eq!(scene.commands("publish").await, 0);
}

#[tokio::test]
async fn a_stream_follows_what_was_asked_elsewhere_while_its_replica_was_cut_off() {
    let Some(scene) = Scene::start(2).await else { return };
    let session = Session::open(scene.at(0), "/mcp").await;
    let mut told = session.stream(scene.at(0), "/mcp").await;
    scene.at(0).signal(Signal::SIGSTOP);
    scene.redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    until(PATIENCE, "the other replica connects again", async || {
        let clients = scene.redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        (clients.matches(" addr=").count() == 1).then_some(())
    })
    .await;
    scene.store_is(1, "ready").await;
    scene.follow(1, &session, "resources/subscribe").await;
    until(PATIENCE, "the interest in the store", async || (scene.members().await == [":2"]).then_some(()))
        .await;
    scene.at(0).signal(Signal::SIGCONT);
    scene.is_asked(0, "resources/subscribe", 1).await;
    scene.touch(0).await;
    assert_eq!(told.message(UPDATED).await["params"]["uri"], SHOWN);
}

#[tokio::test]
async fn a_change_at_a_store_that_has_lost_all_brings_back_the_other_interests() {
    let Some(scene) = Scene::start(2).await else { return };
    let session = Session::open(scene.at(0), "/mcp").await;
    scene.follow(0, &session, "resources/subscribe").await;
    scene.redis.ask(&["FLUSHALL"]).await;
    scene.answer(0, &session, "logging/setLevel", &json!({ "level": "debug" })).await;
    assert_eq!(scene.members().await, [":3"]);
    let _told = stream(scene.at(1), &session).await;
    scene.is_asked(1, "resources/subscribe", 1).await;
    assert_eq!(scene.asked(0, "resources/unsubscribe"), 0);
}

#[tokio::test]
async fn an_interest_that_does_not_open_ends_none() {
    let Some(scene) = Scene::start(2).await else { return };
    let session = Session::open(scene.at(0), "/mcp").await;
    scene.follow(0, &session, "resources/subscribe").await;
    let stored = scene.stored().await;
    // The other replica has a newer `sessionKey`, and has written it again.
    let members = scene.redis.ask(&["HKEYS", &stored[0]]).await;
    let member = members.lines().find(|line| line.len() == 32).unwrap();
    scene.redis.ask(&["HSET", &stored[0], member, "sealed by another key"]).await;
    scene.answer(1, &session, "logging/setLevel", &json!({ "level": "debug" })).await;
    until(PATIENCE, "the level at the other replica", async || scene.logs(0, &session).await.then_some(()))
        .await;
    let mut told = session.stream(scene.at(0), "/mcp").await;
    scene.touch(0).await;
    assert_eq!(told.message(UPDATED).await["params"]["uri"], SHOWN);
}

#[tokio::test]
async fn the_official_sdk_hears_behind_haproxy_after_its_replica_was_killed() {
    let Some(python) = provisioned::python_with_first_sdk() else { return };
    if provisioned::haproxy().is_none() {
        return;
    }
    let Some(mut scene) = Scene::start(REPLICAS).await else { return };
    let Some(balancer) = Balancer::start(&scene.replicas, &[]).await else { return };
    let url = format!("http://{}/mcp", balancer.address);
    let mut client = SdkClient::start(&python, "mcp_sdk_follows.py", &[&url, SHOWN, "s_log"]);
    assert_eq!(client.told().await["method"], "initialized");
    let at =
        |method: &str| (0..REPLICAS).filter(|number| scene.asked(*number, method) > 0).collect::<Vec<_>>();
    let [first] = at("resources/subscribe")[..] else { panic!("one replica follows") };
    scene.kill(first);
    let next = until(PATIENCE, "another replica that follows", async || {
        (0..REPLICAS).find(|number| *number != first && scene.asked(*number, "resources/subscribe") > 0)
    })
    .await;
    // It may have changed while no stream was open.
    assert_eq!(client.told_of(UPDATED).await["params"]["uri"], SHOWN);
    scene.touch(next).await;
    assert_eq!(client.told_of(UPDATED).await["params"]["uri"], SHOWN);
    client.say().await;
    assert_eq!(client.told_of("notifications/message").await["params"]["level"], "info");
}
