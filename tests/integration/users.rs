//! Users of issuers: they call with their access tokens, within their rights, under their names.

mod issuer;
mod sdk;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use ring::hmac;
use ring::signature::KeyPair as _;
use serde_json::{Value, json};

use self::issuer::{AUDIENCE, Key, ScriptedIssuer, call, seconds_from_now, servers, unsigned};
use crate::support::client::Answer;
use crate::support::fake_http::{FakeHttp, Says};
use crate::support::{Ask, Gateway, until};

/// Opens a session at the endpoint of all servers with `token`.
async fn open(gateway: &Gateway, token: &str) -> Answer {
    open_ask(gateway, token).send().await
}

fn open_ask(gateway: &Gateway, token: &str) -> Ask {
    let who = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": who });
    let ask = gateway.ask("POST", "/mcp").json(&message).header("Authorization", &format!("Bearer {token}"));
    ask.header("Accept", "application/json, text/event-stream")
}

#[tokio::test]
async fn a_user_has_the_rights_of_the_first_entry_that_matches_and_is_named_in_the_log() {
    let key = Key::new("1");
    let issuer = ScriptedIssuer::start(&[&key]).await;
    let users = json!([
        { "claims": { "groups": "ops" }, "admin": true },
        { "claims": { "groups": "home" }, "servers": ["two"], "tools": ["two_t"], "rate": "2/hour" },
        { "claims": { "scope": "gateway", "groups": "guests" }, "servers": [] },
    ]);
    let gateway = issuer.gateway(users).await;
    let token = |user: &str, group: &str| {
        key.token(&json!({}), &issuer.claims(user, &json!({ "groups": ["all", group] })))
    };
    let (ann, bob, cid) = (token("ann", "ops"), token("bob", "home"), token("cid", "home"));
    for server in ["one", "two"] {
        call(&gateway, server, &ann).await.ok();
    }
    call(&gateway, "two", &bob).await.ok();
    assert_eq!(call(&gateway, "one", &bob).await.status, 404);
    gateway.logged("by ann@example.test").await;
    gateway.logged("by bob@example.test").await;

    // A user's rate is its own.
    call(&gateway, "two", &bob).await.ok();
    let limited = call(&gateway, "two", &bob).await;
    assert_eq!(limited.status, 429, "{}", limited.text());
    assert!(limited.text().contains("the user `bob@example.test` may make 2 calls"), "{}", limited.text());
    call(&gateway, "two", &cid).await.ok();

    // A key goes on as before.
    call(&gateway, "one", "key-of-ops").await.ok();

    let stranger = call(&gateway, "one", &token("eve", "others")).await;
    assert_eq!((stranger.status, stranger.header("x-mcpo-error")), (403, Some("unknown_user")));
    gateway.logged("the user eve@example.test of").await;
    gateway.logged("its token has the claims iss, sub, aud, exp, iat, client_id, jti, email, groups").await;
    let guest = open(&gateway, &token("gus", "guests")).await;
    let challenge = guest.header("www-authenticate").unwrap_or_default();
    assert_eq!(guest.status, 403, "{}", guest.text());
    assert!(
        challenge.contains("error=\"insufficient_scope\"") && challenge.contains("scope=\"gateway\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn a_token_that_is_not_for_this_gateway_opens_nothing_and_the_answer_says_why() {
    let (key, other) = (Key::new("1"), Key::new("1"));
    let issuer = ScriptedIssuer::start(&[&key]).await;
    let gateway = issuer.gateway(json!([{}])).await;
    let good = issuer.claims("ann", &json!({}));
    let with = |more: Value| key.token(&json!({}), &issuer.claims("ann", &more));
    let header = |header: Value| key.token(&header, &good);
    let point = key.pair.public_key().as_ref();
    let hmac_text = unsigned("1", &json!({ "alg": "HS256" }), &good);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, point), hmac_text.as_bytes());
    let hmac_token = format!("{hmac_text}.{}", URL_SAFE_NO_PAD.encode(tag));
    let none_token = format!("{}.", unsigned("1", &json!({ "alg": "none" }), &good));

    call(&gateway, "one", &key.token(&json!({}), &good)).await.ok();
    call(&gateway, "one", &header(json!({ "typ": "JWT" }))).await.ok();
    call(&gateway, "one", &with(json!({ "aud": ["other", AUDIENCE] }))).await.ok();
    for (token, why) in [
        (with(json!({ "aud": "https://other.test" })), "`aud` must hold one of `https://gateway.test`"),
        (with(json!({ "aud": null })), "`aud` must hold"),
        (with(json!({ "exp": seconds_from_now(-60) })), "it has expired"),
        (with(json!({ "nbf": seconds_from_now(600) })), "not valid yet"),
        (with(json!({ "iss": "https://other.test" })), "Invalid API key"),
        (with(json!({ "sub": "" })), "the claim `sub`"),
        (
            key.token(&json!({ "typ": "JWT" }), &issuer.claims("ann", &json!({ "nonce": "1" }))),
            "no access token",
        ),
        (header(json!({ "typ": "logout+jwt" })), "no access token"),
        (header(json!({ "kid": "unknown" })), "no key with this `kid`"),
        (other.token(&json!({}), &good), "its signature is wrong"),
        (hmac_token, "the algorithm HS256 is not accepted"),
        (none_token, "Invalid API key"),
        ("nothing.of.this".to_owned(), "Invalid API key"),
        ("opaque".to_owned(), "Invalid API key"),
    ] {
        let refused = call(&gateway, "one", &token).await;
        assert_eq!(refused.status, 403, "{why}: {}", refused.text());
        assert!(refused.text().contains(why), "{why}: {}", refused.text());
        // Clients renew a token after a 401, and give up after a 403.
        let refused = open(&gateway, &token).await;
        let challenge = refused.header("www-authenticate").unwrap_or_default();
        assert_eq!(refused.status, 401, "{why}: {}", refused.text());
        let metadata = format!(
            "resource_metadata=\"http://{}/.well-known/oauth-protected-resource/mcp\"",
            gateway.address
        );
        assert!(
            challenge.contains("error=\"invalid_token\"") && challenge.contains(&metadata),
            "{challenge}"
        );
    }
    assert!(issuer.asked_for_keys() <= 2, "an unknown `kid` is asked for once in a while");
    let log = gateway.log();
    assert!(!log.contains(&URL_SAFE_NO_PAD.encode(good.to_string())), "a token stands in the log");
}

#[tokio::test]
async fn keys_rotate_and_are_kept_while_their_issuer_is_away() {
    let (first, second) = (Key::new("1"), Key::new("2"));
    let issuer = ScriptedIssuer::start(&[]).await;
    let gateway = issuer.gateway(json!([{}])).await;
    let token = |key: &Key, user: &str| key.token(&json!({}), &issuer.claims(user, &json!({})));
    let away = call(&gateway, "one", &token(&first, "ann")).await;
    assert_eq!(
        (away.status, away.header("x-mcpo-error")),
        (503, Some("issuer_unreachable")),
        "{}",
        away.text()
    );
    assert!(away.header("retry-after").is_some() && !away.text().contains(".well-known"), "{}", away.text());
    gateway.logged("cannot be checked: its issuer").await;

    issuer.publish(&[&first]);
    until(Duration::from_secs(30), "the issuer is asked again", async || {
        (call(&gateway, "one", &token(&first, "ann")).await.status == 200).then_some(())
    })
    .await;
    issuer.publish(&[&second]);
    until(Duration::from_secs(30), "the new key is known", async || {
        (call(&gateway, "one", &token(&second, "bob")).await.status == 200).then_some(())
    })
    .await;
    // The old key is gone with the rotation, for users whose tokens are not known.
    assert_eq!(call(&gateway, "one", &token(&first, "cid")).await.status, 403);
    issuer.publish(&[]);
    call(&gateway, "one", &token(&second, "dan")).await.ok();
    // A reload keeps what was read of the issuer, and users that it drops are out at once.
    let text = std::fs::read(gateway.config_file()).unwrap();
    let mut config: Value = serde_json::from_slice(&text).unwrap();
    config["signIn"]["issuers"][0]["users"] = json!([{ "claims": { "sub": "dan" } }]);
    gateway.reload(&config).await;
    call(&gateway, "one", &token(&second, "dan")).await.ok();
    assert_eq!(call(&gateway, "one", &token(&second, "bob")).await.status, 403);
}

#[tokio::test]
async fn metadata_is_there_for_each_endpoint_and_tells_nothing_of_the_servers() {
    let key = Key::new("1");
    let issuer = ScriptedIssuer::start(&[&key]).await;
    let gateway = issuer.gateway(json!([{ "claims": { "scope": "gateway" } }])).await;
    let base = format!("http://{}", gateway.address);
    for path in ["", "/mcp", "/one/mcp", "/no-such-server/mcp"] {
        let metadata =
            gateway.ask("GET", &format!("/.well-known/oauth-protected-resource{path}")).send().await.ok();
        assert_eq!(metadata["resource"], json!(format!("{base}{path}")));
        assert_eq!(metadata["authorization_servers"], json!([issuer.address()]));
        assert_eq!(metadata["scopes_supported"], json!(["gateway"]));
    }
    let none = gateway.ask("GET", "/.well-known/oauth-protected-resource/one/t").send().await;
    assert_eq!(none.status, 404);
    // A client without a token learns where to get one; with a key nothing has changed.
    let unknown = gateway.ask("POST", "/one/mcp").json(&json!({})).send().await;
    let challenge = format!(
        "Bearer resource_metadata=\"{base}/.well-known/oauth-protected-resource/one/mcp\", scope=\"gateway\""
    );
    assert_eq!((unknown.status, unknown.header("www-authenticate")), (401, Some(challenge.as_str())));
    assert_eq!(open(&gateway, "key-of-ops").await.status, 200);
    let without = Gateway::with(json!({ "mcpServers": {}, "apiKey": "k" })).start().await;
    let none = without.ask("GET", "/.well-known/oauth-protected-resource").send().await;
    assert_eq!((none.status, none.header("x-mcpo-error")), (404, Some("no_oauth")));
    assert_eq!(open(&without, "wrong").await.status, 403);
}

#[tokio::test]
async fn a_server_gets_claims_of_the_user_in_headers_that_no_caller_can_forge() {
    let key = Key::new("1");
    let issuer = ScriptedIssuer::start(&[&key]).await;
    let server = FakeHttp::start(|_| None).await;
    let mut entry = server.entry();
    entry["forwardHeaders"] = json!({ "X-User": "${user.email}", "X-Groups": "of ${user.groups}" });
    let gateway = Gateway::with(json!({
        "mcpServers": { "one": entry },
        "signIn": { "issuers": [{ "issuer": issuer.address(), "audience": AUDIENCE, "users": [{}] }] },
    }));
    let gateway = gateway.flag("--api-key", "key-of-ops").start().await;
    gateway.ready(&["one"]).await;
    let of = |user: &str, more: Value| key.token(&json!({}), &issuer.claims(user, &more));
    for token in [of("ann", json!({ "groups": ["a", "b"] })), of("bob", json!({})), "key-of-ops".to_owned()] {
        let ask =
            gateway.ask("POST", "/one/t").json(&json!({})).header("X-User", "eve").header("X-Groups", "all");
        ask.header("Authorization", &format!("Bearer {token}")).send().await.ok();
    }
    let calls: Vec<_> = server.came().into_iter().filter(|came| came.asks() == "tools/call").collect();
    let seen: Vec<_> = calls.iter().map(|came| (came.header("x-user"), came.header("x-groups"))).collect();
    assert_eq!(seen, [("ann@example.test", "of a,b"), ("bob@example.test", ""), ("", "")]);
}

#[tokio::test]
async fn made_up_tokens_that_their_issuer_is_slow_to_refuse_keep_no_user_out() {
    let issuer = FakeHttp::start(|came| {
        let issuer = format!("http://{}", came.header("host"));
        Some(match came.path.as_str() {
            "/.well-known/oauth-authorization-server" => Says::json(
                200,
                &json!({ "issuer": issuer, "introspection_endpoint": format!("{issuer}/introspect") }),
            ),
            // With the leeway it is to be asked about again in two seconds.
            "/introspect" if came.body.starts_with("token=ann&") => Says::json(
                200,
                &json!({ "active": true, "sub": "ann", "aud": AUDIENCE, "exp": seconds_from_now(-28) }),
            ),
            // The rest of the answer never comes.
            "/introspect" => Says::json(200, &json!({})).with("Content-Length", "100"),
            _ => Says::new(404, "text/plain", "no"),
        })
    })
    .await;
    let [one, _two] = servers().await;
    let address = format!("http://127.0.0.1:{}", issuer.port);
    let gateway = Gateway::with(json!({
        "mcpServers": { "one": one.entry() },
        "signIn": { "issuers": [{
            "issuer": address, "audience": AUDIENCE, "clientId": "c", "clientSecret": "s", "users": [{}],
        }] },
    }));
    let gateway = gateway.flag("--api-key", "key-of-ops").start().await;
    gateway.ready(&["one"]).await;
    let asked = |token: &str| {
        let body = format!("token={token}");
        issuer.came().iter().filter(|came| came.body.starts_with(&body)).count()
    };
    call(&gateway, "one", "ann").await.ok();
    let made_up: Vec<String> = (0..48).map(|number| format!("made-up-{number}")).collect();
    let strangers = join_all(made_up.iter().map(|token| call(&gateway, "one", token)));
    let limit = Duration::from_secs(30);
    let user = async {
        until(limit, "the issuer is busy", async || (asked("made-up-") == 16).then_some(())).await;
        until(limit, "the issuer is asked again about the user's token", async || {
            call(&gateway, "one", "ann").await.ok();
            (asked("ann") > 1).then_some(())
        })
        .await;
    };
    tokio::select! {
        () = user => {}
        _ = strangers => panic!("the issuer was busy for too short a time"),
    }
}

/// A token as Open WebUI 0.12 makes it for each request.
pub fn of_open_webui(secret: &str, (user, mail): (&str, &str), role: &str, expires: i64) -> String {
    let claims = json!({
        "sub": user, "email": mail, "name": user, "role": role, "iss": "open-webui",
        "iat": seconds_from_now(0), "exp": seconds_from_now(expires),
    });
    let text = unsigned("", &json!({ "alg": "HS256", "typ": "JWT" }), &claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[tokio::test]
async fn users_behind_the_key_of_an_open_webui_are_told_apart_by_its_signed_header() {
    let [one, two] = servers().await;
    let users = json!([
        { "claims": { "role": "admin" } },
        { "claims": { "role": "user" }, "servers": ["two"], "rate": "2/hour" },
    ]);
    let key = json!({ "key": "k", "servers": ["one"], "openWebUi": { "secret": "shared", "users": users } });
    let gateway = Gateway::with(json!({
        "mcpServers": { "one": one.entry(), "two": two.entry() }, "apiKeys": { "open-webui": key },
    }));
    let gateway = gateway.flag("--api-key", "key-of-ops").flag("--log-format", "json").start().await;
    gateway.ready(&["one", "two"]).await;
    let call = async |server: &str, token: &str| {
        let ask = gateway.ask("POST", &format!("/{server}/t")).json(&json!({}));
        ask.header("Authorization", "Bearer k").header("X-OpenWebUI-User-Jwt", token).send().await
    };
    let token =
        |user: &str, role: &str| of_open_webui("shared", (user, &format!("{user}@example.test")), role, 300);
    call("one", &token("ann", "admin")).await.ok();
    assert_eq!(call("one", &token("bob", "user")).await.status, 404);
    for _ in 0..2 {
        call("two", &token("bob", "user")).await.ok();
    }
    assert_eq!(call("two", &token("bob", "user")).await.status, 429);
    call("two", &token("cid", "user")).await.ok();
    gateway.logged(r#""api_key_name":"open-webui","user":"bob@example.test""#).await;
    for (token, why) in [
        (of_open_webui("shared", ("ann", "ann@example.test"), "admin", -60), "it has expired"),
        (of_open_webui("other", ("ann", "ann@example.test"), "admin", 300), "its signature is wrong"),
        (token("eve", "pending"), "no entry of `users`"),
        ("nothing".to_owned(), "cannot be read"),
    ] {
        let refused = call("one", &token).await;
        assert_eq!(refused.status, 403, "{why}: {}", refused.text());
        assert!(refused.text().contains(why), "{why}: {}", refused.text());
    }
    // Without the header the key has its own rights.
    let alone =
        gateway.ask("POST", "/one/t").json(&json!({})).header("Authorization", "Bearer k").send().await;
    alone.ok();

    // Another token of the same user is the same user, and another user is not.
    let open = open_ask(&gateway, "k").header("X-OpenWebUI-User-Jwt", &token("ann", "admin")).send().await;
    let session = open.header("mcp-session-id").expect("a session").to_owned();
    let ping = async |token: String| {
        let ask = gateway.ask("POST", "/mcp").json(&json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" }));
        let ask = ask.header("Authorization", "Bearer k").header("X-OpenWebUI-User-Jwt", &token);
        let ask = ask.header("Accept", "application/json, text/event-stream");
        ask.header("Mcp-Session-Id", &session).send().await.status
    };
    assert_eq!(ping(of_open_webui("shared", ("ann", "ann@example.test"), "admin", 400)).await, 200);
    assert_eq!(ping(token("bob", "user")).await, 404);
}
