//! Clients of the official SDKs that know nothing but the address of an endpoint, before a real authorization server.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::issuer::servers;
use crate::support::authorization::Authorization;
use crate::support::sdk_client::SdkClient;
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
