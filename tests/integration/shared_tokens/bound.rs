//! A user of an issuer whose tokens of a server are bound to a key (DPoP): one replica begins, others end and renew.

use serde_json::{Value, json};

use super::sign_ins::comes_back;
use super::{LIMIT, SESSION_KEY, Scene};
use crate::support::client::Answer;
use crate::support::sign_in::Browser;
use crate::support::{Ask, Gateway, until};

const USER: &str = "home-ann";

/// The cookie of an answer that leads a browser on, and where.
fn led(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    (cookie, answer.header("location").unwrap().to_owned())
}

/// The name under which the server knows the user, or the status of the refusal.
async fn known_as(replica: &Gateway, token: &str) -> Value {
    let ask = Ask::new(replica.address, "POST", "/person/who").json(&json!({}));
    let answer = ask.header("Authorization", &format!("Bearer {token}")).send().await;
    if answer.status == 200 { answer.ok()["subject"].clone() } else { json!(answer.status) }
}

/// How many refresh tokens were exchanged. The first proof of each replica is refused for its nonce.
async fn renewals(scene: &Scene) -> u64 {
    scene.authorization.renewals().await.0
}

#[tokio::test]
async fn a_user_proves_itself_at_one_replica_signs_in_at_others_and_any_of_them_renews_the_bound_token() {
    let settings = json!({
        "apiKeys": { "ops": { "key": "ops-key", "admin": true } },
        "users": [{ "claims": { "groups": "home" } }],
        "oauth": { "per": "user" },
    });
    let options = ["--dpop", "--lifetime", "3600"];
    let Some(mut scene) = Scene::start_with(&options, &settings).await else { return };
    let own = format!("http://localhost:{}", scene.port);
    let [one, two, three] = &scene.replicas[..] else { panic!("three were started") };
    for replica in &scene.replicas {
        // Its server has told it by then how to sign in.
        until(LIMIT, "the server waits for a user", async || {
            let ask = replica.ask("GET", "/servers").header("Authorization", "Bearer ops-key");
            (ask.send().await.ok()["servers"][0]["state"] == "unavailable").then_some(())
        })
        .await;
    }
    let mut browser = Browser::default();
    let ask = Ask::new(one.address, "POST", "/oauth/person/user?issuer=0").header("Accept", "text/html");
    let (cookie, issuer) = led(&ask.send().await);
    let callback = browser.sign_in(&issuer, USER).await;
    let stolen = comes_back(two, &callback, "another=cookie").await;
    assert_eq!(stolen.status, 400, "{}", stolen.text());
    let (cookie, server) = led(&comes_back(two, &callback, &cookie).await);
    assert_eq!(
        comes_back(three, &callback, &cookie).await.status,
        400,
        "it is the cookie of the proof alone that counts"
    );
    assert!(server.contains("dpop_jkt="), "{server}");
    let callback = browser.sign_in(&server, USER).await;
    let page = comes_back(three, &callback, &cookie).await;
    assert_eq!(page.status, 200, "{}", page.text());

    let token = scene.authorization.token_of(USER, &own).await;
    let is_known = async |replica: &Gateway, token: &str| {
        until(LIMIT, "the server knows the user", async || {
            (known_as(replica, token).await == USER).then_some(())
        })
        .await;
    };
    for replica in &scene.replicas {
        is_known(replica, &token).await;
    }
    let stranger = scene.authorization.token_of("home-bob", &own).await;
    assert_eq!(known_as(two, &stranger).await, 401, "it is the sign-in of one user alone");

    // Those that did not end the sign-in renew its token, which is good with the key of the first alone.
    for renews in [one, two] {
        let before = renewals(&scene).await;
        scene.authorization.forget_access_tokens().await;
        let token = scene.authorization.token_of(USER, &own).await;
        assert_eq!(known_as(renews, &token).await, USER);
        for replica in &scene.replicas {
            assert_eq!(known_as(replica, &token).await, USER);
        }
        assert_eq!(renewals(&scene).await, before + 1);
    }

    // All that took part are gone.
    let config = scene.config(SESSION_KEY, &settings);
    for mut replica in scene.replicas.drain(..) {
        replica.stop().await;
    }
    let later = Gateway::with(config).start().await;
    let before = renewals(&scene).await;
    scene.authorization.forget_access_tokens().await;
    let token = scene.authorization.token_of(USER, &own).await;
    is_known(&later, &token).await;
    assert_eq!(renewals(&scene).await, before + 1);
    let kept = scene.redis.ask(&["KEYS", "mcpo:tokens:person*"]).await;
    assert!(!kept.contains("ann"), "{kept}");
}
