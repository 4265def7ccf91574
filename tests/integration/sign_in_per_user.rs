//! Users who each sign in to a server (`"per": "user"`): whose tokens go along, and that nobody gets those of another.

mod first_sign_in;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::authorization::Authorization;
use crate::support::client::Answer;
use crate::support::sign_in::Browser;
use crate::support::{Ask, Gateway, free_port, until};

const LIMIT: Duration = Duration::from_secs(30);
const STATELESS: &str = "2026-07-28";

fn as_user(gateway: &Gateway, user: &str, method: &str, path: &str) -> Ask {
    Ask::new(gateway.address, method, path).header("Authorization", &format!("Bearer {user}-key"))
}

async fn who(gateway: &Gateway, user: &str) -> Answer {
    as_user(gateway, user, "POST", "/person/who").json(&json!({})).send().await
}

/// Calls until the server knows the user as `account`.
async fn known_as(gateway: &Gateway, user: &str, account: &str) {
    until(LIMIT, &format!("{user} is {account} at the server"), async || {
        let answer = who(gateway, user).await;
        (answer.status == 200 && answer.ok()["subject"] == account).then_some(())
    })
    .await;
}

/// Begins the sign-in of a user; gives the cookie and the address that the browser goes to.
async fn begin(gateway: &Gateway, user: &str) -> (String, String) {
    let ask = as_user(gateway, user, "POST", "/oauth/person/start").header("Accept", "application/json");
    let answer = ask.send().await;
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    (cookie, answer.ok()["authorizationUrl"].as_str().unwrap().to_owned())
}

/// Comes back from the authorization server with this cookie.
async fn come_back(gateway: &Gateway, callback: &str, cookie: &str) -> Answer {
    let callback = url::Url::parse(callback).unwrap();
    let path = &callback[url::Position::BeforePath..];
    Ask::new(gateway.address, "GET", path).header("Cookie", cookie).send().await
}

async fn sign_in(gateway: &Gateway, user: &str, account: &str) {
    let (cookie, url) = begin(gateway, user).await;
    let callback = Browser::default().sign_in(&url, account).await;
    let page = come_back(gateway, &callback, &cookie).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("This sign-in serves you alone"), "{}", page.text());
}

/// The files of tokens.
fn kept(state: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(state.join("oauth")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|kind| kind == "json")).collect()
}

fn access_tokens(state: &Path) -> Vec<String> {
    let read = |file: &PathBuf| -> Value { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
    let token =
        |record: Value| record["credentials"]["token_response"]["access_token"].as_str().map(str::to_owned);
    kept(state).iter().map(read).filter_map(token).collect()
}

/// Posts a message of MCP for a user.
async fn message(gateway: &Gateway, user: &str, session: Option<&str>, message: &Value) -> Answer {
    let ask = as_user(gateway, user, "POST", "/person/mcp").json(message);
    let ask = ask.header("Accept", "application/json, text/event-stream");
    match session {
        Some(session) => ask.header("Mcp-Session-Id", session).send().await,
        None => {
            ask.header("MCP-Protocol-Version", STATELESS)
                .header("Mcp-Method", "tools/call")
                .header("Mcp-Name", "who")
                .send()
                .await
        }
    }
}

/// The message in an answer of either form.
fn said(answer: &Answer) -> Value {
    let text = answer.text();
    let data = text.lines().rev().find_map(|line| line.strip_prefix("data:")).unwrap_or(&text);
    serde_json::from_str(data.trim()).unwrap_or_else(|_| panic!("{text}"))
}

/// The answer to a call in a session of a client with these capabilities.
async fn called_in_session(gateway: &Gateway, user: &str, capabilities: Value) -> Value {
    let who = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": { "name": "test", "version": "1" } });
    let open = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": who });
    let ask = as_user(gateway, user, "POST", "/person/mcp").json(&open);
    let opened = ask.header("Accept", "application/json, text/event-stream").send().await;
    let session = opened.header("mcp-session-id").expect("a session").to_owned();
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "who", "arguments": {} } });
    said(&message(gateway, user, Some(&session), &call).await)
}

async fn called_stateless(gateway: &Gateway, user: &str, capabilities: Value, more: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": capabilities,
    });
    let mut params = json!({ "name": "who", "arguments": {}, "_meta": meta });
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params });
    said(&message(gateway, user, None, &call).await)
}

#[tokio::test]
async fn each_user_signs_in_to_an_account_of_its_own_and_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let (store, state) = (folder.path().join("store.json"), folder.path().join("state"));
    let options = ["--lifetime", "5", "--store", store.to_str().unwrap()];
    let Some(authorization) = Authorization::start(&options, &[]).await else { return };
    let port = free_port();
    let link = format!("http://localhost:{port}/oauth/person/start");
    let config = json!({
        "publicUrl": format!("http://localhost:{port}"),
        "apiKeys": { "ann": "ann-key", "bob": "bob-key", "cid": "cid-key", "none": { "key": "none-key", "servers": [] } },
        "mcpServers": { "person": authorization.entry(&json!({ "per": "user" })) },
    });
    let start_gateway = async || {
        Gateway::with(config.clone()).port(port).state(&state).flag("--api-key", "ops-key").start().await
    };
    let mut gateway = start_gateway().await;

    // The address is the same for all, and leads nowhere without the credentials of one of them.
    let refused = who(&gateway, "ann").await;
    assert_eq!(
        (refused.status, refused.header("x-mcpo-error")),
        (401, Some("sign_in_needed")),
        "{}",
        refused.text()
    );
    let body: Value = serde_json::from_str(&refused.text()).unwrap();
    assert_eq!(body["detail"]["signIn"], json!(link));
    for (ask, status) in [
        (Ask::new(gateway.address, "GET", "/oauth/person/start"), 401),
        (Ask::new(gateway.address, "POST", "/oauth/person/start"), 401),
        (Ask::new(gateway.address, "POST", "/oauth/person/sign-out"), 401),
        (as_user(&gateway, "none", "POST", "/oauth/person/start"), 404),
        (as_user(&gateway, "ann", "GET", "/oauth/person/sign-out"), 405),
    ] {
        assert_eq!(ask.send().await.status, status);
    }
    let page = as_user(&gateway, "ann", "GET", "/oauth/person/start?here").send().await.text();
    assert!(page.contains("will serve the API key `ann` alone"), "{page}");

    // What ann has begun, only her browser can end: neither side ends up with the account of the other.
    let (anns_cookie, anns_url) = begin(&gateway, "ann").await;
    let (bobs_cookie, _) = begin(&gateway, "bob").await;
    let callback = Browser::default().sign_in(&anns_url, "eves-account").await;
    for cookie in [bobs_cookie.as_str(), "x=y"] {
        let page = come_back(&gateway, &callback, cookie).await;
        assert_eq!(page.status, 400);
        assert!(page.text().contains("in another browser"), "{}", page.text());
    }
    assert_eq!([who(&gateway, "ann").await.status, who(&gateway, "bob").await.status], [401, 401]);
    assert_eq!(come_back(&gateway, &callback, &anns_cookie).await.status, 200);
    known_as(&gateway, "ann", "eves-account").await;
    assert_eq!(come_back(&gateway, &callback, &anns_cookie).await.status, 400, "each state counts once");

    // A further sign-in replaces it.
    sign_in(&gateway, "ann", "anns-account").await;
    known_as(&gateway, "ann", "anns-account").await;
    assert_eq!(who(&gateway, "bob").await.status, 401);
    let server = |user: &'static str| {
        let ask = as_user(&gateway, user, "GET", "/servers");
        async move { ask.send().await.ok()["servers"][0].clone() }
    };
    assert_eq!(
        [&server("ann").await["signIn"], &server("bob").await["signIn"]],
        [&Value::Null, &json!(link)]
    );
    sign_in(&gateway, "bob", "bobs-account").await;
    known_as(&gateway, "bob", "bobs-account").await;

    // Over MCP, in both eras, as the client declares.
    let opens = json!({ "elicitation": { "url": {} } });
    let asked = called_in_session(&gateway, "cid", opens.clone()).await;
    assert_eq!(asked["error"]["code"], -32042, "{asked}");
    let question = &asked["error"]["data"]["elicitations"][0];
    assert_eq!([&question["mode"], &question["url"]], ["url", link.as_str()], "{asked}");
    assert!(question["elicitationId"].is_string() && question["message"].is_string(), "{asked}");
    let told = called_in_session(&gateway, "cid", json!({ "elicitation": {} })).await;
    assert_eq!(told["result"]["isError"], true, "{told}");
    assert!(told["result"]["content"][0]["text"].as_str().unwrap().contains(&link), "{told}");
    let asked = called_stateless(&gateway, "cid", opens.clone(), json!({})).await;
    assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
    let questions = asked["result"]["inputRequests"].as_object().unwrap();
    let (name, question) = questions.iter().next().unwrap();
    assert_eq!([&question["method"], &question["params"]["url"]], ["elicitation/create", link.as_str()]);
    let answers = |action: &str| json!({ "inputResponses": { name.as_str(): { "action": action } } });
    let declined = called_stateless(&gateway, "cid", opens.clone(), answers("decline")).await;
    assert_eq!(declined["result"]["isError"], true, "{declined}");
    let again = called_stateless(&gateway, "cid", opens.clone(), answers("accept")).await;
    assert_eq!(again["result"]["resultType"], "input_required", "not signed in yet: {again}");
    let fine = called_stateless(&gateway, "ann", opens.clone(), answers("accept")).await;
    assert!(fine["result"]["content"][0]["text"].as_str().unwrap().contains("anns-account"), "{fine}");
    let fine = called_in_session(&gateway, "bob", opens).await;
    assert!(fine["result"]["content"][0]["text"].as_str().unwrap().contains("bobs-account"), "{fine}");

    // Kept apart in files, over a restart and a reload that replaces the server, and renewed: tokens live five seconds.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = kept(&state);
    assert_eq!(files.iter().map(|file| mode(file)).collect::<Vec<_>>(), [0o600, 0o600], "{files:?}");
    gateway.stop().await;
    let log = gateway.log();
    let gateway = start_gateway().await;
    let since = std::time::Instant::now();
    for (user, account) in [("ann", "anns-account"), ("bob", "bobs-account")] {
        known_as(&gateway, user, account).await;
    }
    let mut changed = config.clone();
    changed["mcpServers"]["person"]["headers"] = json!({ "X-New": "1" });
    gateway.reload(&changed).await;
    until(LIMIT, "six seconds of calls", async || {
        for (user, account) in [("ann", "anns-account"), ("bob", "bobs-account")] {
            let answer = who(&gateway, user).await;
            assert_eq!((answer.status, &answer.ok()["subject"]), (200, &json!(account)));
        }
        (since.elapsed() > Duration::from_secs(6)).then_some(())
    })
    .await;

    // A sign-out ends the tokens of one user, here and at the authorization server.
    let page = as_user(&gateway, "ann", "GET", "/oauth/person/start?here").send().await.text();
    assert!(page.contains("/oauth/person/sign-out"), "{page}");
    let before = access_tokens(&state);
    as_user(&gateway, "ann", "POST", "/oauth/person/sign-out")
        .header("Accept", "application/json")
        .send()
        .await
        .ok();
    assert_eq!(kept(&state).len(), 1);
    assert_eq!(who(&gateway, "ann").await.status, 401);
    known_as(&gateway, "bob", "bobs-account").await;
    let ended = before.into_iter().find(|token| !access_tokens(&state).contains(token)).unwrap();
    assert!(!authorization.knows(&ended).await, "the token is withdrawn");
    for hidden in ["-key", &ended, "code=", "anns-account"] {
        assert!(!log.contains(hidden) && !gateway.log().contains(hidden), "{hidden} is in the log");
    }
}

#[tokio::test]
async fn tokens_are_bound_to_a_key_where_the_server_asks_for_that_and_stay_so_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (store, state) = (folder.path().join("store.json"), folder.path().join("state"));
    let options = ["--dpop", "--lifetime", "5", "--store", store.to_str().unwrap()];
    let Some(authorization) = Authorization::start(&options, &[]).await else { return };
    let port = free_port();
    let config = json!({
        "publicUrl": format!("http://localhost:{port}"),
        "mcpServers": { "person": authorization.entry(&json!(true)) },
    });
    let mut gateway = Gateway::with(config.clone()).port(port).state(&state).start().await;
    let start = gateway.in_state("person", "unavailable").await["signIn"].as_str().unwrap().to_owned();
    let mut browser = Browser::default();
    let url = browser.begin(&start).await;
    assert!(url.contains("dpop_jkt="), "{url}");
    let callback = browser.sign_in(&url, "ann").await;
    let page = browser.come_back(&callback).await;
    assert_eq!(page.status, 200, "{}", page.text());
    gateway.listed(&["person"]).await;
    let subject =
        async |gateway: &Gateway| gateway.post("/person/who", &json!({})).await.ok()["subject"].clone();
    assert_eq!(subject(&gateway).await, "ann");
    let record: Value = serde_json::from_slice(&std::fs::read(&kept(&state)[0]).unwrap()).unwrap();
    assert_eq!(record["credentials"]["token_response"]["token_type"], "dpop", "{record}");

    // The refresh token of a client without a secret is good with the same key alone.
    gateway.stop().await;
    let gateway = Gateway::with(config).port(port).state(&state).start().await;
    let before = access_tokens(&state);
    until(LIMIT, "another token is in use", async || {
        assert_eq!(subject(&gateway).await, "ann");
        (access_tokens(&state) != before).then_some(())
    })
    .await;
    assert_eq!(gateway.server("person").await["signIn"], Value::Null);
    assert!(!gateway.log().contains(record["dpop"].as_str().unwrap()), "the key is in the log");
}
