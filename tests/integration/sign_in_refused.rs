//! Sign-ins that must come to nothing.

use serde_json::{Value, json};

use crate::support::authorization::Authorization;
use crate::support::sign_in::Browser;
use crate::support::{Answer, Gateway, free_port};

struct Place {
    _authorization: Authorization,
    gateway: Gateway,
    start: String,
}

async fn place() -> Option<Place> {
    place_of(&[]).await
}

/// The same with an authorization server of these options.
async fn place_of(options: &[&str]) -> Option<Place> {
    let authorization = Authorization::start(options, &[]).await?;
    let port = free_port();
    let config = json!({
        "publicUrl": format!("http://localhost:{port}"),
        "mcpServers": {
            "person": authorization.entry(&json!(true)),
            "trusting": authorization.entry(&json!({ "pkce": "assume" })),
        },
    });
    let gateway = Gateway::with(config).port(port).start().await;
    let server = gateway.in_state("person", "unavailable").await;
    let start = server["signIn"].as_str().unwrap().to_owned();
    Some(Place { _authorization: authorization, gateway, start })
}

fn refused(page: &Answer, why: &str) {
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains(why), "{}", page.text());
}

/// `url` with `name` in its query set to `value`, or gone.
fn with(url: &str, name: &str, value: Option<&str>) -> String {
    let mut url = url::Url::parse(url).unwrap();
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs(value.map(|value| (name, value)));
    url.into()
}

#[tokio::test]
async fn a_sign_in_counts_once_and_for_the_browser_that_began_it() {
    let Some(place) = place().await else { return };
    let mut browser = Browser::default();
    let url = browser.begin(&place.start).await;
    let callback = browser.sign_in(&url, "ann").await;

    // A browser that never began one, and one that began another.
    refused(&Browser::default().come_back(&callback).await, "begun in another browser");
    let mut other = Browser::default();
    other.begin(&place.start).await;
    refused(&other.come_back(&callback).await, "begun in another browser");
    refused(&browser.come_back(&with(&callback, "state", Some("guessed"))).await, "not under way");
    refused(&browser.come_back(&with(&callback, "state", None)).await, "not under way");
    assert_eq!(place.gateway.server("person").await["state"], "unavailable");

    let page = browser.come_back(&callback).await;
    assert_eq!(page.status, 200, "{}", page.text());
    place.gateway.ready(&["person"]).await;
    refused(&browser.come_back(&callback).await, "not under way");
    assert_eq!(place.gateway.server("person").await["state"], "ready");
}

#[tokio::test]
async fn an_answer_of_another_authorization_server_and_one_that_names_none_are_refused() {
    let Some(place) = place().await else { return };
    for issuer in [Some("http://localhost:1"), None] {
        let mut browser = Browser::default();
        let url = browser.begin(&place.start).await;
        let callback = browser.sign_in(&url, "ann").await;
        refused(
            &browser.come_back(&with(&callback, "iss", issuer)).await,
            "not from the authorization server",
        );
        // The sign-in is over: the right answer comes too late.
        refused(&browser.come_back(&callback).await, "not under way");
    }
    assert_eq!(place.gateway.server("person").await["state"], "unavailable");
}

#[tokio::test]
async fn a_sign_in_that_the_authorization_server_denies_or_that_brings_a_wrong_code_is_said() {
    let Some(place) = place().await else { return };
    let mut browser = Browser::default();
    let url = browser.begin(&place.start).await;
    let callback = browser.sign_in(&url, "ann").await;
    let denied = with(&with(&callback, "code", None), "error", Some("access_denied<b>"));
    refused(&browser.come_back(&denied).await, "gave no access: access_denied&lt;b&gt;");

    let mut browser = Browser::default();
    let url = browser.begin(&place.start).await;
    let callback = browser.sign_in(&url, "ann").await;
    let page = browser.come_back(&with(&callback, "code", Some("guessed"))).await;
    assert_eq!(page.status, 502);
    assert!(page.text().contains("invalid_grant"), "{}", page.text());
    assert!(!page.text().contains("guessed") && !place.gateway.log().contains("guessed"));
}

#[tokio::test]
async fn a_page_of_another_site_cannot_begin_a_sign_in() {
    let Some(place) = place().await else { return };
    let own = place.start.split("/oauth").next().unwrap();
    for (origin, status) in [("http://evil.example", 403), ("null", 403), (own, 303)] {
        let answer = place.gateway.ask("POST", "/oauth/person/start").header("Origin", origin).send().await;
        assert_eq!(answer.status, status, "{origin}: {}", answer.text());
        assert_eq!(answer.headers.contains_key("set-cookie"), status == 303, "{origin}");
    }
}

#[tokio::test]
async fn addresses_come_from_the_public_one_and_never_from_a_host_header() {
    let Some(place) = place().await else { return };
    let own = place.start.split("/oauth").next().unwrap();
    let elsewhere = |method: &str, path: &str| place.gateway.ask(method, path).header("Host", "127.9.9.9:1");
    let begun =
        elsewhere("POST", "/oauth/person/start").header("Accept", "application/json").send().await.ok();
    let url = url::Url::parse(begun["authorizationUrl"].as_str().unwrap()).unwrap();
    let redirect =
        url.query_pairs().find(|(name, _)| name == "redirect_uri").map(|(_, uri)| uri.into_owned());
    assert_eq!(redirect, Some(format!("{own}/oauth/callback")));
    let document: Value = elsewhere("GET", "/oauth/client-metadata.json").send().await.ok();
    assert_eq!(document["redirect_uris"], json!([format!("{own}/oauth/callback")]));
    assert_eq!(document["client_id"], format!("{own}/oauth/client-metadata.json"));
    // A person who came by another name is led to the public one, where the cookie will be.
    let led = elsewhere("GET", "/oauth/person/start").send().await;
    assert_eq!((led.status, led.header("location")), (303, Some(&*format!("{}?here", place.start))));
}

#[tokio::test]
async fn an_authorization_server_that_does_not_announce_pkce_is_refused_unless_the_entry_trusts_it() {
    let Some(place) = place_of(&["--quiet"]).await else { return };
    let answer = Browser::default().ask("POST", &place.start, None).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    for told in ["code_challenge_methods_supported", "pkce", "assume"] {
        assert!(answer.text().contains(told), "{}", answer.text());
    }
    let mut browser = Browser::default();
    let url = browser.begin(&place.start.replace("person", "trusting")).await;
    assert!(url.contains("code_challenge_method=S256"), "{url}");
    let callback = browser.sign_in(&url, "ann").await;
    let page = browser.come_back(&callback).await;
    assert_eq!(page.status, 200, "{}", page.text());
    place.gateway.ready(&["trusting"]).await;
}

#[tokio::test]
async fn an_authorization_endpoints_own_query_neither_chooses_the_state_nor_leads_elsewhere() {
    let own = "state=fixed&redirect_uri=http://evil.test/&client_id=evil&tenant=a";
    let Some(place) = place_of(&["--query", own]).await else { return };
    let mut browser = Browser::default();
    let url = browser.begin(&place.start).await;
    assert!(url.contains("tenant=a"), "{url}");
    for wrong in ["fixed", "evil"] {
        assert!(!url.contains(wrong), "{url}");
    }
    let callback = browser.sign_in(&url, "ann").await;
    let page = browser.come_back(&callback).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test]
async fn a_token_of_another_kind_than_bearer_is_not_taken() {
    let Some(place) = place_of(&["--kind", "mac"]).await else { return };
    let mut browser = Browser::default();
    let url = browser.begin(&place.start).await;
    let callback = browser.sign_in(&url, "ann").await;
    let page = browser.come_back(&callback).await;
    assert_eq!(page.status, 502, "{}", page.text());
    assert!(page.text().contains("another kind of token"), "{}", page.text());
    assert_eq!(place.gateway.server("person").await["state"], "unavailable");
}
