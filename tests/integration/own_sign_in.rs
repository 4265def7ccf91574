//! The gateway's own authorization server: a client gets in with an API key that a person types into its page.

mod attacks;
mod clients;
mod open_streams;
mod pages;
mod person;
mod replicas;

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::person::{CALLBACK, Person, Tokens, initialize};
use crate::support::fake_http::FakeHttp;
use crate::support::{Gateway, free_port};

/// A configuration with two servers, and a key for each reach.
fn config(servers: &[FakeHttp; 2]) -> Value {
    let [one, two] = servers;
    json!({
        "mcpServers": { "one": one.entry(), "two": two.entry() },
        "apiKeys": {
            "ann": "key-of-ann", "bob": { "key": "key-of-bob", "servers": ["two"] },
            "cid": { "key": "key-of-cid", "servers": [] },
        },
        "signIn": { "apiKeys": true },
    })
}

async fn servers() -> [FakeHttp; 2] {
    [FakeHttp::start(|_| None).await, FakeHttp::start(|_| None).await]
}

async fn started(servers: &[FakeHttp; 2]) -> Gateway {
    let gateway = Gateway::with(config(servers)).flag("--api-key", "key-of-ops").start().await;
    gateway.ready(&["one", "two"]).await;
    gateway
}

async fn call(gateway: &Gateway, server: &str, token: &str) -> u16 {
    let ask = gateway.ask("POST", &format!("/{server}/t")).json(&json!({}));
    ask.header("Authorization", &format!("Bearer {token}")).send().await.status
}

#[tokio::test]
async fn a_client_that_knows_an_address_alone_gets_in_with_a_typed_key_and_its_rights() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let base = format!("http://{}", gateway.address);
    let refused = gateway.ask("POST", "/mcp").json(&json!({})).send().await;
    let metadata = format!("{base}/.well-known/oauth-protected-resource/mcp");
    let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some(challenge.as_str())));
    let resource = gateway.ask("GET", "/.well-known/oauth-protected-resource/mcp").send().await.ok();
    assert_eq!(resource["authorization_servers"], json!([base]));
    for path in ["oauth-authorization-server", "openid-configuration"] {
        let metadata = gateway.ask("GET", &format!("/.well-known/{path}")).send().await.ok();
        assert_eq!(metadata["issuer"], json!(base));
        assert_eq!(metadata["authorization_endpoint"], json!(format!("{base}/oauth/authorize")));
        assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["none"]));
        let other = gateway.ask("GET", &format!("/.well-known/{path}/mcp")).send().await;
        assert_eq!(other.status, 404, "the issuer has no path");
    }

    let person = Person::at(&gateway, "A <b>client</b>").await;
    let page = person.opens().await;
    assert!(
        page.html.contains("A &lt;b&gt;client&lt;/b&gt;") && page.html.contains("id=\"host\">localhost:1<"),
        "{}",
        page.html
    );
    let wrong = page.answers("wrong").await;
    assert_eq!((wrong.status, wrong.header("x-mcpo-error")), (403, Some("wrong_key")));
    assert!(wrong.text().contains("id=\"refused\"") && wrong.header("location").is_none());
    let tokens = person.signs_in("key-of-bob").await;
    assert_eq!(
        (tokens.answer["token_type"].as_str(), tokens.answer["expires_in"].as_u64()),
        (Some("Bearer"), Some(600))
    );
    assert_eq!(
        [call(&gateway, "two", &tokens.access).await, call(&gateway, "one", &tokens.access).await],
        [200, 404]
    );
    assert_eq!(initialize(&gateway, &tokens.access).await.status, 200);
    gateway.logged("two/t ok").await;
    gateway.logged("the client `A <b>client</b>` is signed in with the API key `bob`").await;

    let renewed = person.renews(&tokens).await.unwrap();
    for token in [&tokens.access, &renewed.access] {
        assert_eq!(call(&gateway, "two", token).await, 200);
    }
    let ended = gateway.ask("POST", "/oauth/revoke").form(&[("token", &renewed.refresh)]).send().await;
    assert_eq!(ended.status, 200);
    for token in [&tokens.access, &renewed.access] {
        let refused = initialize(&gateway, token).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
        assert!(refused.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    }
    assert_eq!(person.renews(&renewed).await.unwrap_err(), "invalid_grant");
    let log = gateway.log();
    for secret in ["key-of-bob", &tokens.access, &tokens.refresh, &person.client] {
        assert!(!log.contains(secret), "{secret} stands in the log");
    }
}

#[tokio::test]
async fn a_client_that_is_refused_before_it_sent_its_body_goes_on_over_the_same_connection() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let mut says = async |request: String, wanted: &str| {
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut text, mut bytes) = (String::new(), [0; 4096]);
        while !text.contains(wanted) {
            let read = timeout(Duration::from_secs(20), stream.read(&mut bytes)).await.unwrap().unwrap();
            assert!(read > 0, "the connection ends without {wanted:?}: {text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    };
    let (host, body) = (gateway.address, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    let length = body.len();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    says(head, "100 Continue").await;
    says(body.to_owned(), "HTTP/1.1 401").await;
    let next = "/.well-known/oauth-protected-resource/mcp";
    says(format!("GET {next} HTTP/1.1\r\nHost: {host}\r\n\r\n"), "HTTP/1.1 200").await;
}

#[tokio::test]
async fn a_key_that_is_gone_or_changed_ends_its_tokens_at_once_and_no_others() {
    let servers = servers().await;
    let gateway = started(&servers).await;
    let person = Person::at(&gateway, "client").await;
    let (ann, bob) = (person.signs_in("key-of-ann").await, person.signs_in("key-of-bob").await);
    let mut config = config(&servers);
    config["apiKeys"]["ann"] = json!("another-key-of-ann");
    config["apiKeys"]["bob"] = json!("key-of-bob");
    gateway.reload(&config).await;
    assert_eq!(initialize(&gateway, &ann.access).await.status, 401);
    assert_eq!(person.renews(&ann).await.unwrap_err(), "invalid_grant");
    // It has the rights that the key has now.
    assert_eq!(call(&gateway, "one", &bob.access).await, 200);
    config["apiKeys"].as_object_mut().unwrap().remove("bob");
    gateway.reload(&config).await;
    let refused = initialize(&gateway, &bob.access).await;
    assert_eq!(refused.status, 401);
    assert!(refused.text().contains("its sign-in has ended"), "{}", refused.text());
    // The setting itself counts at once, too.
    let again = person.signs_in("another-key-of-ann").await;
    config.as_object_mut().unwrap().remove("signIn");
    gateway.reload(&config).await;
    assert_eq!(initialize(&gateway, &again.access).await.status, 403);
    assert_eq!(gateway.ask("GET", "/.well-known/oauth-authorization-server").send().await.status, 404);
    assert_eq!(gateway.ask("GET", "/oauth/authorize").send().await.status, 404);
}

#[tokio::test]
async fn sign_ins_last_over_a_restart_in_files_for_this_user_alone() {
    let (servers, folder, port) = (servers().await, tempfile::tempdir().unwrap(), free_port());
    let setup =
        || Gateway::with(config(&servers)).flag("--api-key", "key-of-ops").state(folder.path()).port(port);
    let mut gateway = setup().start().await;
    let person = Person::at(&gateway, "client").await;
    let (kept, revoked) = (person.signs_in("key-of-ann").await, person.signs_in("key-of-ann").await);
    gateway.ask("POST", "/oauth/revoke").form(&[("token", &revoked.access)]).send().await;
    gateway.stop().await;
    let gateway = setup().start().await;
    gateway.ready(&["one"]).await;
    assert_eq!(call(&gateway, "one", &kept.access).await, 200);
    assert_eq!(initialize(&gateway, &revoked.access).await.status, 401);
    assert!(person.renews(&kept).await.is_ok());
    assert_eq!(person.renews(&revoked).await.unwrap_err(), "invalid_grant");
    // A client need not register again.
    person.signs_in("key-of-bob").await;
    let kept = std::fs::read_to_string(folder.path().join("sign-ins.json")).unwrap();
    assert!(!kept.contains("key-of") && !kept.contains("mcpo_"), "{kept}");
    for file in ["sign-ins.json", "seal.key"] {
        assert_eq!(
            folder.path().join(file).metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file}"
        );
    }
}

#[tokio::test]
async fn behind_a_proxy_all_addresses_are_the_public_ones() {
    let servers = servers().await;
    let mut config = config(&servers);
    config["publicUrl"] = json!("https://a.test/root");
    config["rootPath"] = json!("/root");
    config["pathPrefix"] = json!("/tools");
    config["signIn"]["issuers"] = json!([{ "issuer": "https://id.test", "users": [{}] }]);
    let gateway = Gateway::with(config).flag("--api-key", "key-of-ops").start().await;
    let resource =
        gateway.ask("GET", "/root/.well-known/oauth-protected-resource/tools/one/mcp").send().await.ok();
    assert_eq!(resource["authorization_servers"], json!(["https://a.test/root", "https://id.test"]));
    for path in ["/.well-known/oauth-authorization-server/root", "/root/.well-known/openid-configuration"] {
        let metadata = gateway.ask("GET", path).send().await.ok();
        assert_eq!(metadata["token_endpoint"], json!("https://a.test/root/oauth/token"), "{path}");
    }
    let person = Person::at(&gateway, "client").await;
    let person = Person { resource: "https://a.test/root/tools/one/mcp".to_owned(), ..person };
    let page = person.opens().await;
    let cookie = page.set_cookie.as_str();
    assert!(
        cookie.contains("Path=/root/oauth/authorize;")
            && cookie.ends_with("; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
    let answer = page.answers("key-of-ann").await;
    assert!(answer.header("location").unwrap().ends_with("iss=https%3A%2F%2Fa.test%2Froot"), "{answer:?}");
    let Tokens { access, .. } = person.signs_in("key-of-ann").await;
    assert_eq!(initialize(&gateway, &access).await.status, 200);
    assert!(person.callback.starts_with(CALLBACK));
}
