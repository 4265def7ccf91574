//! A gateway that nobody calls stays signed in, and says by itself when it cannot.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::support::authorization::Authorization;
use crate::support::sign_in::Browser;
use crate::support::{Gateway, free_port, servers, until};

const LIMIT: Duration = Duration::from_secs(30);
/// Of access tokens, in seconds.
const LIFETIME: u64 = 4;

/// A gateway that somebody has signed in to the server `person`, that keeps what it knows below `state`, and that has a
/// server `s` beside it.
async fn signed_in(authorization: &Authorization, state: &Path) -> (Gateway, String) {
    let port = free_port();
    let config = json!({
        "publicUrl": format!("http://localhost:{port}"),
        "mcpServers": { "person": authorization.entry(&json!(true)), "s": servers::scripted(&[]) },
    });
    let gateway = Gateway::with(config).port(port).state(state).start().await;
    assert_eq!(token_ends(&gateway).await, None);
    let start = gateway.in_state("person", "unavailable").await["signIn"].as_str().unwrap().to_owned();
    let mut browser = Browser::default();
    let url = browser.begin(&start).await;
    let callback = browser.sign_in(&url, "ann").await;
    assert_eq!(browser.come_back(&callback).await.status, 200);
    gateway.listed(&["person"]).await;
    (gateway, start)
}

/// What the metrics say of the end of the token, in seconds since 1970.
async fn token_ends(gateway: &Gateway) -> Option<u64> {
    let text = gateway.get("/metrics").await.text();
    let series = "mcpo_oauth_token_expiry_timestamp_seconds{mcp_server=\"person\"} ";
    Some(text.lines().find_map(|line| line.strip_prefix(series))?.parse().unwrap())
}

/// The access token that is kept; while its file is written anew there may be none.
fn kept(state: &Path) -> Option<String> {
    let mut files = std::fs::read_dir(state.join("oauth")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let file = files.find(|file| file.extension().is_some_and(|kind| kind == "json"))?;
    let record: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(record["credentials"]["token_response"]["access_token"].as_str()?.to_owned())
}

async fn another(state: &Path, before: &str) -> String {
    let is_another = async || kept(state).filter(|now| now != before);
    until(LIMIT, "another token, though nobody calls", is_another).await
}

#[tokio::test]
async fn tokens_are_renewed_though_nobody_calls_also_after_their_authorization_server_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let (store, state) = (folder.path().join("store.json"), folder.path().join("state"));
    let lifetime = LIFETIME.to_string();
    let options = ["--lifetime", lifetime.as_str(), "--store", store.to_str().unwrap()];
    let Some(mut authorization) = Authorization::start(&options, &[]).await else { return };
    let (gateway, _) = signed_in(&authorization, &state).await;

    let token = kept(&state).unwrap();
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let ends = token_ends(&gateway).await.unwrap();
    assert!((since_1970..=since_1970 + LIFETIME).contains(&ends), "{ends} is told at {since_1970}");

    // Away until the token has ended: that is tried again, and no reason to send for a person.
    authorization.server.kill();
    gateway.logged("could not be renewed ahead of its end").await;
    tokio::time::sleep(Duration::from_secs(LIFETIME)).await;
    assert_eq!(kept(&state).as_deref(), Some(&*token));
    authorization.restart().await;
    let token = another(&state, &token).await;
    let server = gateway.server("person").await;
    assert_eq!([&server["state"], &server["signIn"]], [&json!("ready"), &Value::Null]);

    // A token that lives as short as this is not exchanged all the time, until somebody calls.
    tokio::time::sleep(Duration::from_secs(2 * LIFETIME)).await;
    assert_eq!(kept(&state).as_deref(), Some(&*token), "renewed again though nobody calls");
    assert_eq!(gateway.post("/person/who", &json!({})).await.ok()["subject"], "ann");
    assert_ne!(kept(&state).as_deref(), Some(&*token));
    assert_eq!(gateway.log().matches("could not be renewed ahead").count(), 1, "told once");
}

#[tokio::test]
async fn a_refused_renewal_makes_a_server_wait_for_a_sign_in_before_anybody_calls() {
    let folder = tempfile::tempdir().unwrap();
    let lifetime = LIFETIME.to_string();
    let Some(mut authorization) = Authorization::start(&["--lifetime", &lifetime], &[]).await else { return };
    let (gateway, start) = signed_in(&authorization, folder.path()).await;
    // Without a store it knows neither the gateway nor its tokens any more.
    authorization.restart().await;
    let server = gateway.in_state("person", "unavailable").await;
    assert_eq!([&server["signIn"], &server["stale"]], [&json!(start), &Value::Null]);
    let reason = server["reason"].as_str().unwrap();
    assert!(reason.contains("waits for a sign-in") && reason.contains(&start), "{reason}");
    assert_eq!(kept(folder.path()), None, "what is of no use is not kept");

    // Signed in anew, it stays so as before.
    let mut browser = Browser::default();
    let url = browser.begin(&start).await;
    let callback = browser.sign_in(&url, "bob").await;
    assert_eq!(browser.come_back(&callback).await.status, 200);
    let since = Instant::now();
    gateway.listed(&["person"]).await;
    another(folder.path(), &kept(folder.path()).unwrap()).await;
    let after = since.elapsed().as_secs_f64();
    assert!((0.5..4.5).contains(&after), "renewed after {after} s, and not before its end");
    assert_eq!(gateway.server("person").await["state"], "ready");
}

#[tokio::test]
async fn a_server_that_a_reload_replaces_and_its_successor_exchange_each_refresh_token_once() {
    let folder = tempfile::tempdir().unwrap();
    let lifetime = LIFETIME.to_string();
    let Some(authorization) = Authorization::start(&["--lifetime", &lifetime], &[]).await else { return };
    let (gateway, _) = signed_in(&authorization, folder.path()).await;
    let token = kept(folder.path()).unwrap();
    gateway.listed(&["s"]).await;
    // A call under way keeps the old server in service.
    let waiting = tokio::spawn(gateway.ask("POST", "/s/wait").json(&json!({})).try_send());
    until(LIMIT, "the call is in flight", async || {
        let metrics = gateway.get("/metrics").await.text();
        metrics.contains("mcpo_calls_in_flight{mcp_server=\"s\"} 1\n").then_some(())
    })
    .await;
    let mut config: Value = serde_json::from_slice(&std::fs::read(gateway.config_file()).unwrap()).unwrap();
    config["mcpServers"]["person"]["headers"] = json!({ "X-New": "1" });
    gateway.reload(&config).await;

    another(folder.path(), &token).await;
    // The authorization server voids all tokens of a sign-in when it sees a refresh token twice.
    tokio::time::sleep(Duration::from_secs(LIFETIME)).await;
    let server = gateway.server("person").await;
    assert_eq!([&server["state"], &server["signIn"]], [&json!("ready"), &Value::Null], "{}", gateway.log());
    assert_eq!(gateway.post("/person/who", &json!({})).await.ok()["subject"], "ann");
    assert!(!gateway.log().contains("person is out of service"), "the old server was there all the time");
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()), "it was in flight until now");
}
