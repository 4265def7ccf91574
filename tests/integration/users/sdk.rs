//! Clients of the official SDKs that know nothing but the address of an endpoint, before a real authorization server.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::issuer::servers;
use crate::support::authorization::Authorization;
use crate::support::client::Answer;
use crate::support::sdk_client::SdkClient;
use crate::support::sign_in::Browser;
use crate::support::{Gateway, free_port, provisioned, until};

/// A client that knows the address alone signs in once, renews by itself, and outlives a restart of the issuer, which
/// signs with another key from then on.
async fn signs_in_by_the_address_alone(program: &Path, script: &str, options: &[&str], client: Value) {
    let store = tempfile::tempdir().unwrap();
    let file = store.path().join("store.json");
    let options = [&["--lifetime", "3", "--store", file.to_str().unwrap()], options].concat();
    let Some(mut authorization) = Authorization::start(&options, &[]).await else { return };
    let ([one, two], port) = (servers().await, free_port());
    let mut issuer = json!({
        "issuer": authorization.issuer(),
        "users": [{ "claims": { "groups": "ops" } }, { "claims": { "groups": "home" }, "servers": ["two"] }],
    });
    for (name, value) in client.as_object().unwrap() {
        issuer[name] = value.clone();
    }
    let gateway = Gateway::with(json!({
        "mcpServers": { "one": one.entry(), "two": two.entry() },
        "publicUrl": format!("http://localhost:{port}"),
        "signIn": { "issuers": [issuer] },
    }));
    let gateway = gateway.port(port).start().await;
    let url = format!("http://localhost:{port}/mcp");
    let client = |user| SdkClient::start(program, script, &[&url, "two_t", "{}", user]);
    let (mut ann, mut bob) = (client("ops-ann"), client("home-bob"));
    let (of_ann, of_bob) = (ann.call().await, bob.call().await);
    let has_one = |found: &Value| found["tools"].as_array().unwrap().contains(&json!("one_t"));
    assert!(has_one(&of_ann) && !has_one(&of_bob), "{of_ann} {of_bob}");
    gateway.logged("two/t ok").await;
    gateway.logged("by ops-ann@example.test").await;
    gateway.logged("by home-bob@example.test").await;
    authorization.restart().await;
    let renewals = ann.call().await["renewals"].as_u64().unwrap();
    let renewed = until(Duration::from_secs(90), "a token was renewed", async || {
        let found = ann.call().await;
        (found["renewals"].as_u64().unwrap() > renewals).then_some(found)
    });
    assert_eq!(renewed.await["sign_ins"], json!(1));
    assert_eq!(bob.call().await["sign_ins"], json!(1));
}

#[tokio::test]
async fn the_token_of_each_caller_is_exchanged_for_one_of_its_own_at_a_server() {
    let Some(python) = provisioned::python() else { return };
    let Some(authorization) = Authorization::start(&["--lifetime", "5"], &[]).await else { return };
    let port = free_port();
    let exchange = json!({
        "grant": "token_exchange", "per": "user", "clientId": "exchanger", "clientSecret": "exchanger-secret",
        "scopes": ["read"],
    });
    let issuer = json!({
        "issuer": authorization.issuer(), "clientId": "resource", "clientSecret": "resource-secret", "users": [{}],
    });
    let gateway = Gateway::with(json!({
        "mcpServers": { "person": authorization.entry(&exchange) },
        "publicUrl": format!("http://localhost:{port}"),
        "apiKeys": { "key": "k" },
        "signIn": { "issuers": [issuer] },
    }));
    let gateway = gateway.port(port).start().await;
    let url = format!("http://localhost:{port}/person/mcp");
    let client = |user| SdkClient::start(&python, "mcp_sdk_oauth.py", &[&url, "who", "{}", user]);
    let (mut ann, mut bob) = (client("ops-ann"), client("home-bob"));
    for _ in 0..2 {
        for (client, user) in [(&mut ann, "ops-ann"), (&mut bob, "home-bob")] {
            let found = client.call().await;
            let text = found["text"].to_string();
            assert!(text.contains(user) && text.contains("exchanger"), "{found}");
        }
        // Tokens live for five seconds; the client's own is renewed, and so is the server's.
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    // A key is no token of a user.
    let ask =
        gateway.ask("POST", "/person/who").json(&json!({})).header("Authorization", "Bearer k").send().await;
    assert_eq!(ask.status, 503, "{}", ask.text());
    gateway.logged("the caller has no token to exchange").await;
}

#[tokio::test]
async fn a_browser_shows_which_user_of_an_issuer_it_is_before_it_signs_in_to_a_server() {
    let Some(python) = provisioned::python() else { return };
    let port = free_port();
    let own = format!("http://localhost:{port}");
    let redirect = format!("{own}/oauth/user/callback");
    let Some(authorization) = Authorization::start(&["--redirect", &redirect], &[]).await else { return };
    let issuer = json!({
        "issuer": authorization.issuer(), "clientId": "gateway", "clientSecret": "gateway-secret",
        "users": [{ "claims": { "groups": "ops" } }, { "claims": { "groups": "home" } }],
    });
    let gateway = Gateway::with(json!({
        "mcpServers": { "person": authorization.entry(&json!({ "per": "user" })) },
        "publicUrl": own,
        "signIn": { "issuers": [issuer] },
    }));
    let gateway = gateway.port(port).flag("--api-key", "k").start().await;
    let start = format!("{own}/oauth/person/start");
    let prove = format!("{own}/oauth/person/user?issuer=0");
    let location = |answer: &Answer| {
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").unwrap().to_owned()
    };
    let page = Browser::default().ask("GET", &start, None).await;
    assert!(page.text().contains(&prove) && !page.text().contains("will serve"), "{}", page.text());
    assert_eq!(Browser::default().ask("GET", &format!("{start}?key"), None).await.status, 401);

    // The proof of one browser is of no use in another, nor twice; a stranger to the gateway signs in to nothing, and
    // ends no proof of others, however many it begins.
    let (mut ann, mut bob, mut eve) = (Browser::default(), Browser::default(), Browser::default());
    let url = location(&ann.ask("POST", &prove, None).await);
    for _ in 0..100 {
        location(&Browser::default().ask("POST", &prove, None).await);
    }
    let callback = ann.sign_in(&url, "ops-ann").await;
    assert_eq!(bob.come_back(&callback).await.status, 400);
    let on = location(&ann.come_back(&callback).await);
    assert_eq!(ann.come_back(&callback).await.status, 502, "the issuer takes the code once");
    let url = location(&eve.ask("POST", &prove, None).await);
    let stranger = eve.sign_in(&url, "others-eve").await;
    let refused = eve.come_back(&stranger).await;
    assert_eq!(refused.status, 403, "{}", refused.text());

    let callback = ann.sign_in(&on, "ops-ann").await;
    assert_eq!(ann.come_back(&callback).await.status, 200);
    let url = location(&bob.ask("POST", &prove, None).await);
    let callback = bob.sign_in(&url, "home-bob").await;
    let on = location(&bob.come_back(&callback).await);
    let callback = bob.sign_in(&on, "home-bob").await;
    assert_eq!(bob.come_back(&callback).await.status, 200);
    gateway.ready(&["person"]).await;

    let endpoint = format!("{own}/person/mcp");
    for user in ["ops-ann", "home-bob"] {
        let found =
            SdkClient::start(&python, "mcp_sdk_oauth.py", &[&endpoint, "who", "{}", user]).call().await;
        assert!(found["text"].to_string().contains(user), "{user}: {found}");
    }
    let url = location(&bob.ask("POST", &format!("{prove}&sign-out"), None).await);
    let callback = bob.sign_in(&url, "home-bob").await;
    let page = bob.come_back(&callback).await;
    assert!(page.text().contains("You have signed out"), "{}", page.text());
    let found =
        SdkClient::start(&python, "mcp_sdk_oauth.py", &[&endpoint, "who", "{}", "home-bob"]).call().await;
    assert!(found["text"].to_string().contains(&start), "{found}");
}

#[tokio::test]
async fn the_python_sdk_signs_in_by_the_address_alone() {
    let Some(python) = provisioned::python() else { return };
    signs_in_by_the_address_alone(&python, "mcp_sdk_oauth.py", &["--jwt"], json!({})).await;
}

#[tokio::test]
async fn the_typescript_sdk_signs_in_by_the_address_alone_with_tokens_that_only_their_issuer_reads() {
    let (Some(node), Some(_)) = (provisioned::newer_node(), provisioned::conformance()) else { return };
    let client = json!({ "clientId": "resource", "clientSecret": "resource-secret" });
    signs_in_by_the_address_alone(&node, "mcp_sdk_oauth.mjs", &[], client).await;
}
