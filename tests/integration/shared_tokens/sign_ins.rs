//! Sign-ins whose browsers come back to another replica than they left.

use serde_json::{Value, json};

use super::{Scene, who};
use crate::support::client::Answer;
use crate::support::mcp::{Events, Session};
use crate::support::sign_in::Browser;
use crate::support::{Ask, Gateway, until};

/// Begins a sign-in at `replica` with this key; gives the cookie of the browser, and where it comes back.
async fn begun(replica: &Gateway, key: &str, account: &str) -> (String, String) {
    let ask = as_key(replica, key, "POST", "/oauth/person/start").header("Accept", "application/json");
    let answer = ask.send().await;
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let url = answer.ok()["authorizationUrl"].as_str().unwrap().to_owned();
    (cookie, Browser::default().sign_in(&url, account).await)
}

/// The answer of `replica` to a browser that comes back.
pub async fn comes_back(replica: &Gateway, callback: &str, cookie: &str) -> Answer {
    let callback = url::Url::parse(callback).unwrap();
    let path = &callback[url::Position::BeforePath..];
    Ask::new(replica.address, "GET", path).header("Cookie", cookie).send().await
}

fn as_key(replica: &Gateway, key: &str, method: &str, path: &str) -> Ask {
    Ask::new(replica.address, method, path).header("Authorization", &format!("Bearer {key}"))
}

#[tokio::test]
async fn a_sign_in_ends_at_another_replica_once_and_for_its_browser_alone() {
    let Some(scene) = Scene::start("3600").await else { return };
    let [one, two, three] = &scene.replicas[..] else { panic!("three were started") };
    one.in_state("person", "unavailable").await;
    let (cookie, callback) = begun(one, "any", "ann").await;
    let stolen = comes_back(two, &callback, "another=cookie").await;
    assert_eq!(stolen.status, 400);
    assert!(stolen.text().contains("begun in another browser"), "{}", stolen.text());
    // At two at once: one of them ends it.
    let (first, second) =
        tokio::join!(comes_back(two, &callback, &cookie), comes_back(three, &callback, &cookie));
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "{} {}", first.text(), second.text());
    for replica in &scene.replicas {
        replica.listed(&["person"]).await;
        assert_eq!(who(replica).await["subject"], "ann");
    }
    let again = comes_back(one, &callback, &cookie).await;
    assert_eq!(again.status, 400);
    assert!(again.text().contains("is not under way"), "{}", again.text());
    // A later renewal is of the client that this replica registered.
    scene.renew("ann").await;
    assert_eq!(scene.authorization.renewals().await, (1, 0));
}

#[tokio::test]
async fn while_the_store_is_away_a_sign_in_ends_where_it_began_and_says_why_not_elsewhere() {
    let Some(mut scene) = Scene::start("3600").await else { return };
    scene.replicas[0].in_state("person", "unavailable").await;
    let (cookie, callback) = begun(&scene.replicas[0], "any", "ann").await;
    scene.redis.kill();
    for replica in &scene.replicas {
        replica.logged("the shared store is away: ").await;
    }
    let refused = comes_back(&scene.replicas[1], &callback, &cookie).await;
    assert_eq!(refused.status, 503);
    assert!(
        refused.text().contains("share is away, and this sign-in began at another one"),
        "{}",
        refused.text()
    );
    let page = comes_back(&scene.replicas[0], &callback, &cookie).await;
    assert_eq!(page.status, 200, "{}", page.text());
    scene.replicas[0].listed(&["person"]).await;
    assert_ne!(scene.replicas[1].server("person").await["state"], "ready");
    // The others hear of it when the store is back.
    scene.redis.begin().await;
    for replica in &scene.replicas {
        replica.listed(&["person"]).await;
        assert_eq!(who(replica).await["subject"], "ann");
    }
}

#[tokio::test]
async fn a_user_who_signs_in_or_out_at_one_replica_does_so_at_all() {
    let users = json!({ "apiKeys": { "ann": "ann-key", "bob": "bob-key" }, "oauth": { "per": "user" } });
    let Some(scene) = Scene::start_with(&["--lifetime", "3600"], &users).await else { return };
    let [one, two, three] = &scene.replicas[..] else { panic!("three were started") };
    let subject = async |replica: &Gateway, key: &str| -> Value {
        let answer = as_key(replica, key, "POST", "/person/who").json(&json!({})).send().await;
        if answer.status == 200 { answer.ok()["subject"].clone() } else { json!(answer.status) }
    };
    let is = async |replica: &Gateway, key: &str, wanted: Value| {
        until(super::LIMIT, &format!("{key} is {wanted}"), async || {
            (subject(replica, key).await == wanted).then_some(())
        })
        .await;
    };
    // Asked at a replica that has no part in the sign-in.
    let ask = as_key(three, "ann-key", "POST", "/person/mcp");
    let ask = ask.header("Accept", "application/json, text/event-stream");
    let session = Session::able(ask, &json!({ "elicitation": { "url": {} } })).await;
    let head = format!(
        "Authorization: Bearer ann-key\r\nMcp-Session-Id: {}\r\nAccept: text/event-stream\r\n",
        session.id
    );
    let mut events = Events::open(three, "GET", "/person/mcp", &head, "").await;
    events.until("\r\n\r\n").await;
    until(super::LIMIT, "the tool is listed", async || (session.tools().await == ["sign_in"]).then_some(()))
        .await;
    let asked = session.error("tools/call", &json!({ "name": "sign_in", "arguments": {} })).await;
    let question = &asked["data"]["elicitations"][0]["elicitationId"];
    for (key, account) in [("ann-key", "ann-account"), ("bob-key", "bob-account")] {
        let (cookie, callback) = begun(one, key, account).await;
        let page = comes_back(two, &callback, &cookie).await;
        assert_eq!(page.status, 200, "{}", page.text());
        for replica in &scene.replicas {
            is(replica, key, json!(account)).await;
        }
    }
    let told = events.message("notifications/elicitation/complete").await;
    assert_eq!(&told["params"]["elicitationId"], question);
    let out = as_key(three, "ann-key", "POST", "/oauth/person/sign-out").header("Accept", "application/json");
    assert_eq!(out.send().await.ok()["signedOut"], "person");
    for replica in &scene.replicas {
        is(replica, "ann-key", json!(401)).await;
        is(replica, "bob-key", json!("bob-account")).await;
    }
    // A replica that starts later knows the users, too.
    let later = Gateway::with(scene.config(super::SESSION_KEY, &users)).start().await;
    is(&later, "bob-key", json!("bob-account")).await;
    assert_eq!(subject(&later, "ann-key").await, 401);
}
