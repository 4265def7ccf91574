//! What somebody may try who has no API key.

use std::time::Duration;

use serde_json::json;

use super::person::{CALLBACK, Page, Person, initialize, register};
use super::{call, servers, started};
use crate::support::until;

const EVIL: &str = "https://evil.test/callback";

#[tokio::test]
async fn a_code_is_good_once_for_its_client_its_address_and_its_verifier() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let person = Person::at(&gateway, "client").await;
    let other = Person::at(&gateway, "other").await;
    let code = person.code("key-of-ann").await;
    let with = |name: &'static str, value: &'static str| {
        let form = person.redemption(&code).into_iter();
        form.map(|(own, was)| (own, if own == name { value } else { was })).collect::<Vec<_>>()
    };
    for (name, value, error) in [
        ("code_verifier", "another-verifier-of-at-least-forty-three-characters", "invalid_grant"),
        ("code_verifier", "", "invalid_request"),
        ("redirect_uri", "http://localhost:2/callback", "invalid_grant"),
        ("resource", "https://evil.test/mcp", "invalid_target"),
        ("code", "mcpo_code_AAAA", "invalid_grant"),
        ("code", "", "invalid_request"),
        ("client_id", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
    ] {
        assert_eq!(person.redeems(&with(name, value)).await.unwrap_err(), error, "{name} {value}");
    }
    assert_eq!(other.redeems(&other.redemption(&code)).await.unwrap_err(), "invalid_grant");
    let twice = [person.redemption(&code), vec![("code", code.as_str())]].concat();
    assert_eq!(person.redeems(&twice).await.unwrap_err(), "invalid_request");

    let tokens = person.redeems(&person.redemption(&code)).await.unwrap();
    assert_eq!(call(&gateway, "one", &tokens.access).await, 200);
    // The second use ends what the first one got.
    assert_eq!(person.redeems(&person.redemption(&code)).await.unwrap_err(), "invalid_grant");
    assert_eq!(initialize(&gateway, &tokens.access).await.status, 401);
    assert_eq!(person.renews(&tokens).await.unwrap_err(), "invalid_grant");
    gateway.logged("came twice; its sign-in has ended").await;
    assert_eq!(person.redeems(&person.redemption(&code)).await.unwrap_err(), "invalid_grant");
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_sign_in_when_both_have_used_it() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let person = Person::at(&gateway, "client").await;
    let stolen = person.signs_in("key-of-ann").await;
    let first = person.renews(&stolen).await.unwrap();
    let second = person.renews(&first).await.unwrap();
    assert_eq!(person.renews(&stolen).await.unwrap_err(), "invalid_grant");
    for token in [&stolen.access, &first.access, &second.access] {
        assert_eq!(initialize(&gateway, token).await.status, 401);
    }
    assert_eq!(person.renews(&second).await.unwrap_err(), "invalid_grant");
    gateway.logged("came again after it was exchanged; its sign-in has ended").await;
    // Another client has no use for a token.
    let (tokens, other) = (person.signs_in("key-of-ann").await, Person::at(&gateway, "other").await);
    assert_eq!(other.renews(&tokens).await.unwrap_err(), "invalid_grant");
    assert!(person.renews(&tokens).await.is_ok(), "and does no harm with it");
}

#[tokio::test]
async fn no_browser_is_led_where_the_client_did_not_register_or_before_a_person_has_answered() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let person = Person::at(&gateway, "client").await;
    let with = |name: &'static str, value: Option<&str>| {
        let mut query = person.query();
        query.retain(|(own, _)| *own != name);
        query.extend(value.map(|value| (name, value.to_owned())));
        query
    };
    for (name, value) in [
        ("redirect_uri", Some(EVIL)),
        ("redirect_uri", Some("http://localhost:1\\@evil.test/callback")),
        ("redirect_uri", Some("http://localhost:1@evil.test/callback")),
        ("redirect_uri", Some("http://localhost:1/callback/../x")),
        ("redirect_uri", Some("//evil.test")),
        ("redirect_uri", None),
        ("client_id", Some("mcpo_client_AAAA")),
        ("client_id", None),
    ] {
        let answer = person.led_with(&with(name, value)).await;
        assert_eq!((answer.status, answer.header("location")), (400, None), "{name} {value:?}");
        assert!(
            !answer.text().contains("evil.test") && !answer.text().contains("id=\"back\""),
            "{}",
            answer.text()
        );
    }
    let long = "x".repeat(5000);
    // What a client did wrong it is told by a person alone.
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("resource", "https://evil.test/mcp", "invalid_target"),
        ("state", long.as_str(), "invalid_request"),
    ] {
        let query = person.query().into_iter();
        let query: Vec<_> =
            query.map(|(own, was)| (own, if own == name { value.to_owned() } else { was })).collect();
        let answer = person.led_with(&query).await;
        assert_eq!((answer.status, answer.header("location")), (400, None), "{name}");
        let back = format!("id=\"back\" href=\"{CALLBACK}?error={error}&amp;");
        assert!(answer.text().contains(&back), "{}", answer.text());
    }
    let twice = [person.query(), vec![("redirect_uri", EVIL.to_owned())]].concat();
    assert_eq!(person.led_with(&twice).await.status, 400);
    for uri in ["http://evil.test/", "javascript:alert(1)", "https://a.test/#x", "data:text/html,x"] {
        let refused = register(&gateway, "evil", &[uri]).await;
        assert_eq!(
            (refused.status, refused.json()["error"].as_str()),
            (400, Some("invalid_redirect_uri")),
            "{uri}"
        );
    }
    // A client takes its port as it gets it, on this machine alone.
    let mut query = person.query();
    query[2].1 = "http://localhost:54321/callback".to_owned();
    assert_eq!(person.led_with(&query).await.status, 200);
}

#[tokio::test]
async fn the_form_is_bound_to_its_browser_and_no_page_may_frame_it() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let person = Person::at(&gateway, "client").await;
    let (page, other) = (person.opens().await, person.opens().await);
    assert_eq!(page.answer.header("x-frame-options"), Some("DENY"));
    let policy = page.answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(
        page.set_cookie.contains("; HttpOnly; SameSite=Strict")
            && page.set_cookie.contains("Path=/oauth/authorize;")
    );
    assert_eq!(page.answer.header("cache-control"), Some("no-store"));
    assert!(!page.html.contains("<script"));
    let of = |page: &Page| page.cookie().to_owned();
    for (what, ask) in [
        ("no cookie", page.filled("key-of-ann")),
        ("another page's cookie", page.filled("key-of-ann").header("Cookie", &of(&other))),
        ("another value", page.filled("key-of-ann").header("Cookie", &format!("{}x", of(&page)))),
        (
            "another site",
            page.filled("key-of-ann").header("Cookie", &of(&page)).header("Sec-Fetch-Site", "cross-site"),
        ),
        (
            "no form",
            gateway
                .ask("POST", "/oauth/authorize")
                .form(&[("key", "key-of-ann")])
                .header("Cookie", &of(&page)),
        ),
    ] {
        let answer = ask.send().await;
        assert_eq!((answer.status, answer.header("location")), (400, None), "{what}");
    }
    let by_json =
        gateway.ask("POST", "/oauth/authorize").json(&json!({ "request": page.form, "key": "key-of-ann" }));
    assert_eq!(by_json.header("Cookie", page.cookie()).send().await.status, 415);
    let by_query = [person.query(), vec![("key", "key-of-ann".to_owned())]].concat();
    let asked = person.led_with(&by_query).await;
    assert_eq!((asked.status, asked.header("location")), (200, None), "a link signs nobody in");
    assert_eq!(page.answers("key-of-ann").await.status, 303);
    assert_eq!(other.answers("key-of-ann").await.status, 303, "a page beside it goes on");
    // A client that got answers of two servers tells them apart.
    let decline = page.html.split_once("id=\"decline\" href=\"").unwrap().1.split('"').next().unwrap();
    let iss = format!("iss=http%3A%2F%2F127.0.0.1%3A{}", gateway.address.port());
    assert!(
        decline.starts_with(&format!("{CALLBACK}?error=access_denied&amp;state=the+state&amp;{iss}")),
        "{decline}"
    );
}

#[tokio::test]
async fn guesses_are_slowed_down_and_logged_and_nothing_made_up_opens_anything() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let person = Person::at(&gateway, "client").await;
    let page = person.opens().await;
    for number in 0..5 {
        assert_eq!(page.answers(&format!("guess-{number}")).await.status, 403);
    }
    let slowed = page.answers("key-of-ann").await;
    assert_eq!((slowed.status, slowed.header("x-mcpo-error")), (429, Some("too_many_guesses")));
    gateway.logged("a wrong API key was typed in for the client `client`, from 127.0.0.1").await;
    gateway.logged("typed in too soon after wrong ones").await;
    assert!(!gateway.log().contains("guess-"), "what was typed stands in the log");
    until(Duration::from_secs(20), "the person may try again", async || {
        (page.answers("key-of-ann").await.status == 303).then_some(())
    })
    .await;

    let tokens = person.signs_in("key-of-ann").await;
    let middle = tokens.access.len() / 2;
    let other = if &tokens.access[middle..=middle] == "A" { "B" } else { "A" };
    let changed = format!("{}{other}{}", &tokens.access[..middle], &tokens.access[middle + 1..]);
    let (form, client) = (page.form.as_str(), person.client.as_str());
    let as_access = |text: &str| {
        let sealed = text.strip_prefix("mcpo_rt_").or(text.strip_prefix("mcpo_client_")).unwrap_or(text);
        format!("mcpo_at_{sealed}")
    };
    let disguised = [as_access(&tokens.refresh), as_access(form), as_access(client)];
    let made_up = ["mcpo_at_", "mcpo_at_AAAA", &changed, &tokens.refresh, client, form];
    for token in made_up.into_iter().chain(disguised.iter().map(String::as_str)) {
        assert_eq!(initialize(&gateway, token).await.status, 401, "{token}");
    }
    for refresh in [&tokens.access, &changed, "x"] {
        let form = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", refresh)];
        assert_eq!(person.redeems(&form).await.unwrap_err(), "invalid_grant");
    }
    // A token opens the door for calls, and is passed on to no server.
    assert_eq!(call(&gateway, "one", &tokens.access).await, 200);
    let ask = gateway.ask("POST", "/oauth/token").json(&json!({ "grant_type": "authorization_code" }));
    assert_eq!(ask.send().await.status, 415);
    let large = gateway.ask("POST", "/oauth/register").json(&json!({ "client_name": "x".repeat(20_000) }));
    assert_eq!(large.send().await.status, 413);
}
