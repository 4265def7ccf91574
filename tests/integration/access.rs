//! Several keys: each sees and calls what it may, and what is hidden from it looks as if it did not exist.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, servers};

const PLAIN: &str = "key-plain";
const LIMITED: &str = "key-limited";
const READER: &str = "key-reader";
const ADMIN: &str = "key-admin";

/// Two working servers and a broken one behind a plain key, a limited, a read-only and an admin one. `look`
/// claims to be read-only; for `b` the operator says that `pid` is, and nothing else.
async fn gateway() -> Gateway {
    let mut overridden = servers::scripted(&["--tools-read-only", "look"]);
    overridden["readOnlyTools"] = json!(["pid"]);
    let config = json!({
        "mcpServers": {
            "a": servers::scripted(&["--tools-read-only", "look"]),
            "b": overridden,
            "broken": servers::scripted(&["--start", "exit"]),
        },
        "apiKeys": {
            "plain": PLAIN,
            "limited": { "key": LIMITED, "servers": ["a"] },
            "reader": { "key": READER, "readOnly": true },
            "admin": { "key": ADMIN, "admin": true },
        },
    });
    let gateway = Gateway::with(config).flag("--api-key", "key-of-the-fixture").start().await;
    gateway.listed(&["a", "b"]).await;
    gateway.in_state("broken", "unavailable").await;
    gateway
}

async fn get(gateway: &Gateway, key: &str, path: &str) -> Answer {
    gateway.ask("GET", path).header("Authorization", &format!("Bearer {key}")).send().await
}

async fn post(gateway: &Gateway, key: &str, path: &str) -> Answer {
    let ask = gateway.ask("POST", path).header("Authorization", &format!("Bearer {key}"));
    ask.json(&json!({})).send().await
}

fn paths(document: &Value) -> BTreeSet<&str> {
    document["paths"].as_object().unwrap().keys().map(String::as_str).collect()
}

/// What a caller can tell one refusal from another by.
fn face(answer: &Answer) -> (u16, String, Option<&str>, Option<&str>) {
    (answer.status, answer.text(), answer.header("x-mcpo-error"), answer.header("location"))
}

#[tokio::test]
async fn each_key_gets_the_combined_document_of_its_own_tools() {
    let gateway = gateway().await;
    for key in [PLAIN, ADMIN] {
        let document = get(&gateway, key, "/openapi.json").await.ok();
        let all = paths(&document);
        for path in ["/a/echo", "/a/look", "/a/pid", "/b/echo", "/b/look", "/b/pid"] {
            assert!(all.contains(path), "{key}: no {path} in {all:?}");
        }
    }
    let document = get(&gateway, LIMITED, "/openapi.json").await.ok();
    let limited = paths(&document);
    assert!(limited.contains("/a/echo") && limited.contains("/a/look"), "{limited:?}");
    assert!(limited.iter().all(|path| path.starts_with("/a/")), "{limited:?}");
    let text = document.to_string();
    assert!(
        !text.contains("broken") && !text.contains("/b/"),
        "the document speaks of hidden servers: {text}"
    );
    let document = get(&gateway, READER, "/openapi.json").await.ok();
    assert_eq!(paths(&document), BTreeSet::from(["/a/look", "/b/pid"]));
}

#[tokio::test]
async fn each_key_gets_the_documents_of_its_own_servers() {
    let gateway = gateway().await;
    for (key, server, tools) in [
        (READER, "a", Some(BTreeSet::from(["/look"]))),
        (READER, "b", Some(BTreeSet::from(["/pid"]))),
        (LIMITED, "b", None),
        (LIMITED, "broken", None),
        (PLAIN, "missing", None),
    ] {
        let answer = get(&gateway, key, &format!("/{server}/openapi.json")).await;
        match tools {
            Some(tools) => assert_eq!(paths(&answer.ok()), tools, "{key} at {server}"),
            None => assert_eq!(answer.status, 404, "{key} at {server}: {}", answer.text()),
        }
    }
    for (key, server) in [(LIMITED, "a"), (PLAIN, "a"), (PLAIN, "b"), (ADMIN, "b")] {
        let document = get(&gateway, key, &format!("/{server}/openapi.json")).await.ok();
        assert!(
            paths(&document).is_superset(&BTreeSet::from(["/echo", "/look", "/pid"])),
            "{key} at {server}"
        );
    }
}

#[tokio::test]
async fn documents_tell_caches_that_they_depend_on_the_key() {
    let gateway = gateway().await;
    for path in ["/openapi.json", "/a/openapi.json"] {
        let plain = get(&gateway, PLAIN, path).await;
        let reader = get(&gateway, READER, path).await;
        for answer in [&plain, &reader] {
            let vary: Vec<&str> =
                answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
            assert!(vary.join(",").to_lowercase().contains("authorization"), "{path}: {vary:?}");
        }
        assert_ne!(plain.header("etag"), reader.header("etag"), "{path}");
        // The tag of one key's document is no reason to tell another key that nothing changed.
        let ask = gateway.ask("GET", path).header("Authorization", &format!("Bearer {READER}"));
        let crossed = ask.header("If-None-Match", plain.header("etag").unwrap()).send().await;
        assert_eq!((crossed.status, &crossed.body), (200, &reader.body), "{path}");
    }
}

#[tokio::test]
async fn the_list_of_servers_is_full_for_admin_keys_alone() {
    let gateway = gateway().await;
    let list =
        async |key: &str| get(&gateway, key, "/servers").await.ok()["servers"].as_array().unwrap().clone();
    let names = |list: &[Value]| -> Vec<String> {
        list.iter().map(|server| server["name"].as_str().unwrap().to_owned()).collect()
    };
    let admin = list(ADMIN).await;
    assert_eq!(names(&admin), ["a", "b", "broken"]);
    assert!(admin.iter().all(|server| server["location"] == "python3"), "{admin:?}");
    let reason = admin[2]["reason"].as_str().unwrap();
    assert!(reason.contains("no licence") && reason.contains('7'), "{reason}");
    for (key, visible) in
        [(PLAIN, &["a", "b", "broken"][..]), (READER, &["a", "b", "broken"]), (LIMITED, &["a"])]
    {
        let servers = list(key).await;
        assert_eq!(names(&servers), visible, "{key}");
        for server in &servers {
            let told = server.to_string();
            assert!(server.get("location").is_none() && !told.contains("licence"), "{key}: {told}");
            assert_eq!(server["state"] == "unavailable", server.get("reason").is_some(), "{key}: {told}");
        }
    }
    let reader = list(READER).await;
    assert_eq!((&reader[0]["tools"], &reader[1]["tools"]), (&json!(["look"]), &json!(["pid"])));
}

#[tokio::test]
async fn each_key_calls_what_it_sees_and_nothing_else() {
    let gateway = gateway().await;
    for (key, path, status) in [
        (PLAIN, "/a/echo", 200),
        (PLAIN, "/b/echo", 200),
        (ADMIN, "/b/look", 200),
        (PLAIN, "/a/missing", 404),
        (LIMITED, "/a/echo", 200),
        (LIMITED, "/b/echo", 404),
        (LIMITED, "/broken/echo", 404),
        (READER, "/a/look", 200),
        (READER, "/a/echo", 404),
        (READER, "/a/pid", 404),
        // What the operator says counts, and not what the server claims.
        (READER, "/b/pid", 200),
        (READER, "/b/look", 404),
        ("key-wrong", "/a/echo", 403),
    ] {
        let answer = post(&gateway, key, path).await;
        assert_eq!(answer.status, status, "{key} at {path}: {}", answer.text());
    }
    for path in ["/a/look", "/b/echo", "/missing/echo"] {
        let answer = gateway.ask("POST", path).json(&json!({})).send().await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn hidden_servers_answer_like_servers_that_do_not_exist() {
    let gateway = gateway().await;
    for key in [Some(LIMITED), None] {
        for (method, path) in [
            ("POST", "/echo"),
            ("POST", "/echo/"),
            ("GET", "/echo"),
            ("GET", "/openapi.json"),
            ("GET", "/docs"),
            ("GET", "/docs/swagger-initializer.js"),
            ("GET", "/redoc"),
            ("GET", "/"),
        ] {
            let ask = async |server: &str| {
                let ask = gateway.ask(method, &format!("/{server}{path}"));
                let ask = match key {
                    Some(key) => ask.header("Authorization", &format!("Bearer {key}")),
                    None => ask,
                };
                ask.send().await
            };
            let missing = ask("c").await;
            for hidden in ["b", "broken"] {
                let answer = ask(hidden).await;
                let (status, text, code, location) = face(&answer);
                // The empty docs page shows the name that was asked for.
                let text = text.replace(&format!("\"{hidden}\""), "\"c\"");
                let text = text.replace(&format!(">{hidden}<"), ">c<");
                assert_eq!(
                    (status, text, code, location),
                    face(&missing),
                    "{method} /{hidden}{path} with {key:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_missing_slash_tells_of_no_hidden_server() {
    let gateway = gateway().await;
    let seen = get(&gateway, LIMITED, "/a").await;
    assert_eq!((seen.status, seen.header("location")), (307, Some("/a/")));
    assert_eq!(face(&get(&gateway, LIMITED, "/b").await), face(&get(&gateway, LIMITED, "/c").await));
    let (hidden, missing) = (gateway.ask("GET", "/b").send().await, gateway.ask("GET", "/c").send().await);
    assert_eq!(face(&hidden), face(&missing));
}

#[tokio::test]
async fn without_a_key_documents_are_closed_once_a_key_is_limited_and_health_stays_open() {
    let gateway = gateway().await;
    for path in ["/openapi.json", "/a/openapi.json", "/b/openapi.json", "/missing/openapi.json", "/servers"] {
        let answer = gateway.ask("GET", path).send().await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        assert!(answer.header("www-authenticate").is_some(), "{path}");
        assert_eq!(get(&gateway, "key-wrong", path).await.status, 403, "{path}");
    }
    for path in ["/health", "/ready"] {
        assert_eq!(gateway.ask("GET", path).send().await.status, 200, "{path}");
        assert_eq!(get(&gateway, "key-wrong", path).await.status, 200, "{path}");
        assert_eq!(get(&gateway, LIMITED, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn without_a_key_documents_are_open_while_no_key_is_limited() {
    let config = json!({
        "mcpServers": { "a": servers::scripted(&[]) },
        "apiKeys": { "plain": PLAIN, "admin": { "key": ADMIN, "admin": true } },
    });
    let gateway = Gateway::with(config).flag("--api-key", "key-of-the-fixture").start().await;
    gateway.listed(&["a"]).await;
    for path in ["/openapi.json", "/a/openapi.json"] {
        let open = gateway.ask("GET", path).send().await;
        assert_eq!(open.body, get(&gateway, PLAIN, path).await.body, "{path}");
        open.ok();
    }
    assert_eq!(gateway.ask("GET", "/servers").send().await.status, 401);
    assert_eq!(gateway.ask("POST", "/a/pid").json(&json!({})).send().await.status, 401);
    post(&gateway, PLAIN, "/a/pid").await.ok();
}

#[tokio::test]
async fn a_key_is_accepted_as_the_password_of_basic_and_keeps_its_limits() {
    let gateway = gateway().await;
    let basic = |password: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("anyone:{password}")));
    for (password, method, path, status) in [
        (LIMITED, "GET", "/openapi.json", 200),
        (LIMITED, "GET", "/b/openapi.json", 404),
        (LIMITED, "POST", "/a/echo", 200),
        (LIMITED, "POST", "/b/echo", 404),
        (READER, "POST", "/a/echo", 404),
        (READER, "POST", "/a/look", 200),
        (PLAIN, "POST", "/b/echo", 200),
        ("key-wrong", "POST", "/b/echo", 401),
        ("key-wrong", "GET", "/openapi.json", 401),
    ] {
        let ask = gateway.ask(method, path).header("Authorization", &basic(password));
        let answer = ask.json(&json!({})).send().await;
        assert_eq!(answer.status, status, "{password}: {method} {path}: {}", answer.text());
    }
}

#[tokio::test]
async fn the_page_offers_the_documents_that_the_key_may_see() {
    let gateway = gateway().await;
    let path = "/docs/swagger-initializer.js";
    let anonymous = gateway.ask("GET", path).send().await;
    for (key, offered) in [
        (Some(PLAIN), &["a", "b", "broken"][..]),
        (Some(READER), &["a", "b", "broken"]),
        (Some(LIMITED), &["a"]),
        (None, &[]),
    ] {
        let script = match key {
            Some(key) => get(&gateway, key, path).await,
            None => anonymous.clone(),
        };
        assert_eq!(script.status, 200, "{key:?}");
        for server in ["a", "b", "broken"] {
            let named = script.text().contains(&format!("{server}/openapi.json"));
            assert_eq!(named, offered.contains(&server), "{server} for {key:?}: {}", script.text());
        }
    }
}
