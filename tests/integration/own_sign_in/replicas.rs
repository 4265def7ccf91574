//! Replicas of the gateway that share a real Redis are one authorization server.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::open_streams::Opened;
use super::person::{CALLBACK, Person, Tokens, initialize};
use super::{call, config, servers};
use crate::support::fake_http::FakeHttp;
use crate::support::redis::Redis;
use crate::support::{Gateway, until};

const OWN: &str = "https://gateway.test";

/// Three replicas behind one address, and two servers.
struct Scene {
    redis: Redis,
    replicas: Vec<Gateway>,
    servers: [FakeHttp; 2],
}

impl Scene {
    async fn start() -> Option<Self> {
        let mut scene =
            Self { redis: Redis::start(&[]).await?, replicas: Vec::new(), servers: servers().await };
        let start = || Gateway::with(scene.config()).flag("--api-key", "key-of-ops").start();
        scene.replicas = join_all((0..3).map(|_| start())).await;
        for replica in &scene.replicas {
            replica.ready(&["one", "two"]).await;
        }
        scene.store_is("ready").await;
        Some(scene)
    }

    /// A client that has registered at the first replica, at each of them.
    async fn person(&self) -> [Person; 3] {
        let client = Person::at(&self.replicas[0], "client").await.client;
        [0, 1, 2].map(|at| Person {
            address: self.replicas[at].address,
            client: client.clone(),
            resource: format!("{OWN}/mcp"),
            callback: CALLBACK.to_owned(),
        })
    }

    async fn store_is(&self, state: &str) {
        for replica in &self.replicas {
            until(Duration::from_secs(20), &format!("the store is {state}"), async || {
                let ask = replica.ask("GET", "/servers").header("Authorization", "Bearer key-of-ops");
                (ask.send().await.ok()["shared"]["state"] == state).then_some(())
            })
            .await;
        }
    }

    /// Signs out at one replica.
    async fn revoke(&self, at: usize, tokens: &Tokens) {
        let form = [("token", tokens.refresh.as_str())];
        let ask = self.replicas[at].ask("POST", "/oauth/revoke").form(&form);
        assert_eq!(ask.send().await.status, 200);
    }

    /// The configuration of all replicas.
    fn config(&self) -> Value {
        let mut config = config(&self.servers);
        config["shared"] = json!(self.redis.url());
        config["sessionKey"] = json!("the same at each replica: 0f4a9b6c2d8e");
        config["publicUrl"] = json!(OWN);
        config
    }

    /// The answers to this access token, of all replicas.
    async fn admitted(&self, token: &str) -> Vec<u16> {
        let answers = self.replicas.iter().map(|replica| initialize(replica, token));
        join_all(answers).await.iter().map(|answer| answer.status).collect()
    }

    /// Waits until no replica takes the token: a moment, for the message of one to the others.
    async fn is_refused(&self, token: &str) {
        until(Duration::from_secs(1), "the token is refused everywhere", async || {
            (self.admitted(token).await == [401; 3]).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_sign_in_that_begins_at_one_replica_goes_on_at_the_others() {
    let Some(scene) = Scene::start().await else { return };
    let [one, two, three] = &scene.person().await;
    let page = one.opens().await.at(two.address);
    let answer = page.answers("key-of-ann").await;
    let code = Person::code_in(&answer);
    let tokens = three.redeems(&three.redemption(&code)).await.unwrap();
    assert_eq!(scene.admitted(&tokens.access).await, [200; 3]);
    let renewed = one.renews(&tokens).await.unwrap();
    let again = two.renews(&renewed).await.unwrap();
    assert_eq!(scene.admitted(&again.access).await, [200; 3]);

    // A browser that is signed in at the pages of one is so at those of all.
    let signed_in = scene.replicas[0].ask("POST", "/oauth/page").json(&json!({ "key": "key-of-ann" }));
    let cookie = signed_in.send().await.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let ask = scene.replicas[1].ask("GET", "/servers").header("Cookie", &cookie);
    assert_eq!(ask.send().await.status, 200);

    // The first token, a third time: it was stolen from somebody.
    assert_eq!(three.renews(&tokens).await.unwrap_err(), "invalid_grant");
    scene.is_refused(&again.access).await;
    for person in [one, two, three] {
        assert_eq!(person.renews(&again).await.unwrap_err(), "invalid_grant");
    }
    // Redis holds neither tokens nor what they stand for.
    let kept = scene.redis.ask(&["KEYS", "*"]).await;
    assert!(!kept.contains("mcpo_") && !kept.contains("ann"), "{kept}");
}

#[tokio::test]
async fn a_code_counts_once_at_all_replicas_together() {
    let Some(scene) = Scene::start().await else { return };
    let [one, two, three] = &scene.person().await;
    let code = one.code("key-of-ann").await;
    let form = one.redemption(&code);
    let (first, second, third) = tokio::join!(one.redeems(&form), two.redeems(&form), three.redeems(&form));
    let (good, bad): (Vec<_>, Vec<_>) = [first, second, third].into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (1, 2));
    assert!(bad.iter().all(|refused| refused.as_ref().unwrap_err() == "invalid_grant"));
    // One of them was stolen, so that the sign-in ends.
    scene.is_refused(&good[0].as_ref().unwrap().access).await;
}

#[tokio::test]
async fn a_sign_in_that_is_revoked_at_one_replica_ends_at_all() {
    let Some(scene) = Scene::start().await else { return };
    let [one, two, three] = &scene.person().await;
    let (tokens, other) = (one.signs_in("key-of-ann").await, two.signs_in("key-of-ann").await);
    assert_eq!(scene.admitted(&tokens.access).await, [200; 3]);
    let opened = scene.replicas.iter().map(|replica| Opened::with(replica, &tokens.access));
    let opened = join_all(opened).await;
    let stays = Opened::with(&scene.replicas[2], &other.access).await;
    scene.revoke(1, &tokens).await;
    for (opened, replica) in opened.into_iter().zip(&scene.replicas) {
        opened.has_ended(replica, &other.access).await;
    }
    assert_eq!(stays.status(&scene.replicas[0], &other.access).await, 200);
    scene.is_refused(&tokens.access).await;
    assert_eq!(three.renews(&tokens).await.unwrap_err(), "invalid_grant");
    assert_eq!(scene.admitted(&other.access).await, [200; 3]);
}

#[tokio::test]
async fn a_key_that_reaches_the_replicas_one_by_one_loses_no_sign_in_at_those_without_it() {
    let Some(scene) = Scene::start().await else { return };
    let [one, two, three] = &scene.person().await;
    let mut config = scene.config();
    config["apiKeys"]["dan"] = json!("key-of-dan");
    scene.replicas[0].reload(&config).await;
    let tokens = one.signs_in("key-of-dan").await;
    assert_eq!(scene.admitted(&tokens.access).await, [200, 401, 401]);
    assert_eq!(two.renews(&tokens).await.unwrap_err(), "invalid_grant");
    assert_eq!(scene.admitted(&tokens.access).await, [200, 401, 401]);
    for replica in &scene.replicas[1..] {
        replica.reload(&config).await;
    }
    assert_eq!(scene.admitted(&tokens.access).await, [200; 3]);
    assert!(three.renews(&tokens).await.is_ok());
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_signed_in_and_nothing_counts_twice_when_it_is_back() {
    let Some(mut scene) = Scene::start().await else { return };
    let people = scene.person().await;
    let [one, two, three] = &people;
    let old = one.signs_in("key-of-ann").await;
    let middle = one.renews(&old).await.unwrap();
    let tokens = two.renews(&middle).await.unwrap();
    let revoked = three.signs_in("key-of-ann").await;
    scene.revoke(0, &revoked).await;
    let ended_meanwhile = three.signs_in("key-of-ann").await;
    let opened = Opened::with(&scene.replicas[1], &ended_meanwhile.access).await;
    let (code, page) = (one.code("key-of-ann").await, two.opens().await);

    scene.redis.kill();
    scene.store_is("unavailable").await;
    assert_eq!(scene.admitted(&tokens.access).await, [200; 3], "access tokens go on");
    assert_eq!(call(&scene.replicas[2], "one", &tokens.access).await, 200);
    let refused = two.asks(&two.redemption(&code)).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("2")));
    let said = refused.json();
    assert_eq!(said["error"], "temporarily_unavailable");
    assert!(
        said["detail"].as_str().unwrap().contains("the store that the replicas of this gateway share"),
        "{said}"
    );
    assert_eq!(one.renews(&tokens).await.unwrap_err(), "temporarily_unavailable");
    let answer = page.answers("key-of-ann").await;
    assert_eq!((answer.status, answer.header("location")), (503, None));
    assert!(answer.text().contains("share is away"), "{}", answer.text());
    scene.revoke(0, &ended_meanwhile).await;

    // It comes back empty.
    scene.redis.begin().await;
    scene.store_is("ready").await;
    let signed_in = three.redeems(&three.redemption(&code)).await.unwrap();
    assert_eq!(scene.admitted(&signed_in.access).await, [200; 3]);
    scene.is_refused(&ended_meanwhile.access).await;
    opened.has_ended(&scene.replicas[1], &signed_in.access).await;
    for tokens in [&revoked, &ended_meanwhile] {
        assert_eq!(two.renews(tokens).await.unwrap_err(), "invalid_grant");
    }
    let renewed = three.renews(&tokens).await.unwrap();
    assert_eq!(scene.admitted(&renewed.access).await, [200; 3]);
    assert_eq!(two.renews(&old).await.unwrap_err(), "invalid_grant", "it was exchanged before the outage");
    scene.is_refused(&renewed.access).await;
}
