//! Replicas that share the tokens of servers: a sign-in counts at all of them, and one of them renews at a time.

mod bound;
mod sign_ins;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::authorization::Authorization;
use crate::support::redis::Redis;
use crate::support::sign_in::Browser;
use crate::support::{Gateway, free_port, until};

const LIMIT: Duration = Duration::from_secs(30);
const SESSION_KEY: &str = "the same at each replica: 0f4a9b6c2d8e";

/// Three replicas before one server, with a real authorization server and a real Redis.
struct Scene {
    redis: Redis,
    authorization: Authorization,
    replicas: Vec<Gateway>,
    port: u16,
}

impl Scene {
    /// Access tokens last for `lifetime` seconds. `None` where a part is to be skipped.
    async fn start(lifetime: &str) -> Option<Self> {
        Self::start_with(&["--lifetime", lifetime], &json!({ "oauth": true })).await
    }

    /// The same with these options of the authorization server, these `apiKeys` and `users` of it as an issuer, and this
    /// `oauth` of the server.
    async fn start_with(options: &[&str], settings: &Value) -> Option<Self> {
        let (redis, port) = (Redis::start(&[]).await?, free_port());
        let redirect = format!("http://localhost:{port}/oauth/user/callback");
        let options = [options, &["--redirect", &redirect]].concat();
        let authorization = Authorization::start(&options, &[]).await?;
        let mut scene = Self { redis, authorization, replicas: Vec::new(), port };
        for port in [scene.port, free_port(), free_port()] {
            let config = scene.config(SESSION_KEY, settings);
            scene.replicas.push(Gateway::with(config).port(port).start().await);
        }
        Some(scene)
    }

    fn config(&self, session_key: &str, settings: &Value) -> Value {
        let issuers = settings.get("users").map(|users| {
            let issuer = self.authorization.issuer();
            json!([{ "issuer": issuer, "clientId": "gateway", "clientSecret": "gateway-secret", "users": users }])
        });
        json!({
            "signIn": { "issuers": issuers.unwrap_or(json!([])) },
            "apiKeys": settings.get("apiKeys").unwrap_or(&json!({})),
            "shared": self.redis.url(),
            "sessionKey": session_key,
            "publicUrl": format!("http://localhost:{}", self.port),
            "mcpServers": { "person": self.authorization.entry(&settings["oauth"]) },
        })
    }

    /// Signs in at the first replica; the others have the token, too.
    async fn sign_in(&self, name: &str) {
        let server = self.replicas[0].in_state("person", "unavailable").await;
        let mut browser = Browser::default();
        let url = browser.begin(server["signIn"].as_str().unwrap()).await;
        let callback = browser.sign_in(&url, name).await;
        let page = browser.come_back(&callback).await;
        assert_eq!(page.status, 200, "{}", page.text());
        for replica in &self.replicas {
            replica.listed(&["person"]).await;
            assert_eq!(replica.server("person").await["signIn"], Value::Null);
        }
        self.are(name).await;
    }

    /// Calls at all replicas at once; each call is answered for this person.
    async fn are(&self, name: &str) {
        for who in join_all(self.replicas.iter().map(who)).await {
            assert_eq!(who["subject"], name);
        }
    }

    /// Voids the access token, and has all replicas find out at once.
    async fn renew(&self, name: &str) {
        self.authorization.forget_access_tokens().await;
        self.are(name).await;
    }
}

/// The name under which the replica is signed in.
async fn who(replica: &Gateway) -> Value {
    replica.post("/person/who", &json!({})).await.ok()
}

/// Seconds of forced renewals: `tests/run --long renewals` takes ten minutes of them.
fn seconds() -> u64 {
    std::env::var("MCPO_TESTS_RENEWALS").map_or(12, |seconds| seconds.parse().unwrap())
}

#[tokio::test]
async fn one_replica_renews_for_all_and_no_token_is_refused() {
    let Some(scene) = Scene::start("3600").await else { return };
    scene.sign_in("ann").await;
    let (began, mut forced) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds()) {
        scene.renew("ann").await;
        forced += 1;
        assert_eq!(scene.authorization.renewals().await, (forced, 0));
    }
    eprintln!(
        "{forced} renewals in {:.0} s, each by one replica, and no refresh token refused",
        began.elapsed().as_secs_f64()
    );
    assert!(forced > 10, "{forced}");

    // What stands in the store is sealed.
    let kept = scene.redis.ask(&["KEYS", "mcpo:tokens:person:*"]).await;
    let name = kept.lines().find(|line| line.starts_with("mcpo:")).unwrap();
    let value = scene.redis.ask(&["HGET", name, "value"]).await;
    assert!(value.len() > 500 && !value.contains("token"), "{value}");
}

#[tokio::test]
async fn a_token_that_ends_by_itself_is_renewed_by_one_replica() {
    let Some(scene) = Scene::start("4").await else { return };
    scene.sign_in("ann").await;
    let began = Instant::now();
    let (mut known, mut last, mut gaps) = (scene.authorization.renewals().await.0, None, Vec::new());
    while began.elapsed() < Duration::from_secs(14) {
        scene.are("ann").await;
        let (renewed, refused) = scene.authorization.renewals().await;
        assert_eq!(refused, 0);
        if renewed > known {
            assert_eq!(renewed, known + 1, "two at once");
            let now = Instant::now();
            gaps.extend(last.replace(now).map(|last: Instant| now.duration_since(last).as_secs_f64()));
            known = renewed;
        }
    }
    // A token is renewed after five eighths to three quarters of its life, which is counted from a whole second: after 1.5 s
    // to 3 s. Replicas that renewed one after the other would leave no such time between.
    assert!(gaps.len() >= 2 && gaps.iter().all(|gap| *gap > 1.3), "{gaps:?}");
}

#[tokio::test]
async fn a_replica_that_was_killed_while_it_renewed_holds_the_others_up_until_its_lock_expires() {
    let Some(scene) = Scene::start("3600").await else { return };
    scene.sign_in("ann").await;
    let fences = scene.redis.ask(&["KEYS", "mcpo:fence:person:*"]).await;
    let name = fences.lines().find_map(|line| line.strip_prefix("mcpo:fence:")).unwrap();
    let (lock, life) = (format!("mcpo:lock:{name}"), Duration::from_secs(3));
    let (began, before) = (Instant::now(), scene.authorization.renewals().await);
    scene.redis.ask(&["SET", &lock, "a replica that is gone", "PX", &life.as_millis().to_string()]).await;
    scene.renew("ann").await;
    assert!(began.elapsed() >= life, "{:?}", began.elapsed());
    assert_eq!(scene.authorization.renewals().await, (before.0 + 1, 0));
}

#[tokio::test]
async fn while_the_store_is_away_a_replica_renews_alone_and_the_others_take_it_up_when_it_is_back() {
    let Some(mut scene) = Scene::start("3600").await else { return };
    scene.sign_in("ann").await;
    scene.redis.kill();
    for replica in &scene.replicas {
        replica.logged("the shared store is away: ").await;
    }
    let [one, two, three] = &scene.replicas[..] else { panic!("three were started") };
    let before = scene.authorization.renewals().await;
    scene.authorization.forget_access_tokens().await;
    assert_eq!(who(one).await["subject"], "ann");
    one.logged("its token is renewed by this replica alone, because the shared store is away").await;
    scene.redis.begin().await;
    // The store is empty. The token of these two is void, and they have not heard of a newer one.
    for replica in [two, three] {
        until(LIMIT, "the store is back", async || {
            let seen = replica.get("/servers").await.ok();
            (seen["shared"]["state"] == "ready").then_some(())
        })
        .await;
        assert_eq!(who(replica).await["subject"], "ann");
    }
    assert_eq!(scene.authorization.renewals().await, (before.0 + 1, 0));
    scene.renew("ann").await;
    assert_eq!(scene.authorization.renewals().await, (before.0 + 2, 0));
}

#[tokio::test]
async fn a_replica_with_another_session_key_says_so_and_signs_in_for_itself() {
    let Some(scene) = Scene::start("3600").await else { return };
    scene.sign_in("ann").await;
    let other =
        Gateway::with(scene.config("another key at this one: 0f4a9b6c2d8e", &json!({ "oauth": true })))
            .start()
            .await;
    other.logged("does not open with the `sessionKey` of this gateway; give all replicas the same").await;
    let server = other.in_state("person", "unavailable").await;
    assert!(server["signIn"].is_string(), "{server}");
    // The others go on with theirs.
    scene.renew("ann").await;
    assert_eq!(scene.authorization.renewals().await, (1, 0));
}
